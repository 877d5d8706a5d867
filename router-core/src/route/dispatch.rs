//! From an event's name to its handler, and around the handler: the gate, the panic, the counting.

use std::{
    any::Any,
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    task::{Context, Poll, Waker},
};

use bytestring::ByteString;
use futures_util::{FutureExt, future::LocalBoxFuture};

use super::{ConfigureError, Hook, Registered, Routes, gate::Gate, nsp::NspRoutes};
use crate::{
    args::Args,
    error::{RouteError, code},
    handler::{ErasedHandler, Message},
    limits::Limits,
    metrics::Metrics,
    pattern::Pattern,
    socket::{Socket, SocketInfo},
};

/// A route's number in its router, and whether its events may overtake each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RouteId {
    index: u16,
    concurrent: bool,
}

impl RouteId {
    pub(crate) const fn new(index: u16, concurrent: bool) -> Self {
        Self { index, concurrent }
    }

    /// The number alone.
    pub(crate) fn index(self) -> u16 {
        self.index
    }

    pub(super) fn is_concurrent(self) -> bool {
        self.concurrent
    }
}

/// The handlers of a process, by event.
#[derive(Debug)]
pub struct Router {
    events: HashMap<ByteString, Found>,
    hooks: HashMap<Hook, Registered>,
    nsps: Vec<NspRoutes>,
    /// The handler of what has none, with a number and a gate of its own.
    fallback: Option<Found>,
    /// Answers what has no handler where somebody is to see it before.
    unknown: Found,
    observers: Vec<Registered>,
}

/// An event's handler.
#[derive(Clone)]
pub struct Found(Arc<Routed>);

/// A handler behind its route's gate.
struct Routed {
    route: RouteId,
    handler: ErasedHandler,
    gate: Arc<Gate>,
}

impl std::fmt::Debug for Found {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Found").field("route", &self.0.route).finish_non_exhaustive()
    }
}

impl Router {
    /// A router of these routes.
    ///
    /// # Errors
    /// [`ConfigureError`] names what was registered twice.
    pub fn new(routes: Routes, limits: &Limits) -> Result<Self, ConfigureError> {
        let mut routes = routes.checked()?;
        let mut events = HashMap::new();
        let mut indices = 0..=u16::MAX;
        let mut next_index = || indices.next().unwrap_or(u16::MAX);
        for (name, route) in std::mem::take(&mut routes.routes) {
            let index = next_index();
            let gate = if route.own { Gate::open() } else { Gate::new(limits) };
            for (method, event) in &route.events {
                let id = RouteId::new(index, route.is_concurrent(event));
                let name = match &*name {
                    "" => method.clone(),
                    name => format!("{name}.{method}").into(),
                };
                events.insert(name, Found::new(id, &event.registered.handler, &gate));
            }
        }
        let mut alone = |handler: &ErasedHandler| {
            Found::new(RouteId::new(next_index(), false), handler, &Gate::new(limits))
        };
        let fallback = routes.fallback.take().map(|registered| alone(&registered.handler));
        let unknown: ErasedHandler = Arc::new(|message| {
            let error = Self::unknown_event(&message.services.metrics);
            Box::pin(std::future::ready(Err(error)))
        });
        let unknown = alone(&unknown);
        let Routes { hooks, nsps, observers, .. } = routes;
        Ok(Self { events, hooks, nsps, fallback, unknown, observers })
    }

    /// The handler of an event.
    ///
    /// A name splits at its first dot, so `a.b.c` is `b.c` on the route `a`; names are matched as a
    /// whole, and a method registered on the root route has no dot.
    pub fn find(&self, event: &str) -> Option<Found> {
        self.events.get(event).or(self.fallback.as_ref()).cloned()
    }

    /// The handler of an event of `socket`. Where there is none, and somebody looks at all events, it
    /// is one that answers so.
    pub fn find_for(&self, event: &str, socket: &SocketInfo) -> Option<Found> {
        let is_shown = || !self.observers.is_empty() || socket.has_incoming_taps();
        self.find(event).or_else(|| is_shown().then(|| self.unknown.clone()))
    }

    /// Begins an event's handler on the spot: most end before they wait for anything.
    ///
    /// Nothing that the handler could reach may be borrowed meanwhile.
    pub fn begin(self: &Arc<Self>, found: Found, message: Message) -> Begun {
        if self.is_alone(&message) {
            return found.begin(message);
        }
        let router = Arc::clone(self);
        Begun::Runs(Box::pin(async move { router.run(found, message).await }))
    }

    /// Whether nothing of the program comes before the message's handler.
    fn is_alone(&self, message: &Message) -> bool {
        let is_tapped = |socket: &Socket| {
            socket.info().has_incoming_taps()
                || self.of_nsp(socket.nsp()).any(|nsp| !nsp.before.is_empty())
        };
        self.observers.is_empty() && !message.socket().is_some_and(is_tapped)
    }

    /// Runs an event's handler, after what the socket's nsp and the socket itself have before it.
    pub async fn run(&self, found: Found, message: Message) -> Result<Args, RouteError> {
        let of_socket = message.socket().and_then(Socket::incoming_taps);
        let (looking, last) = of_socket.unwrap_or_default();
        let observers = self.observers.iter().map(|observer| &observer.handler);
        for observer in observers.chain(&looking) {
            if let Err(error) = guarded(observer, message.clone()).await {
                let (code, path) = (error.code(), error.data("path"));
                // Its text may quote the payload, which stays out of logs.
                tracing::warn!(event = %message.event, code, ?path, "an observer of events failed");
            }
        }
        let nsp = message.socket().map_or("", |socket| socket.nsp());
        for before in self.of_nsp(nsp).flat_map(|nsp| &nsp.before).chain(&last) {
            if let Err(error) = guarded(before, message.clone()).await {
                message.services.metrics.events_failed.inc();
                return Err(error);
            }
        }
        found.run(message).await
    }

    fn of_nsp(&self, nsp: &str) -> impl Iterator<Item = &NspRoutes> {
        self.nsps.iter().filter(move |known| known.pattern.fits(nsp))
    }

    /// The nsps that have guards.
    pub fn guarded_nsps(&self) -> Vec<Pattern> {
        let guarded = self.nsps.iter().filter(|nsp| !nsp.guards.is_empty());
        guarded.map(|nsp| nsp.pattern.clone()).collect()
    }

    /// Asks the guards of the nsp of the message's socket.
    ///
    /// # Errors
    /// The first refusal.
    pub async fn guard(&self, message: Message) -> Result<(), RouteError> {
        let nsp = message.socket().map_or("", |socket| socket.nsp());
        for guard in self.of_nsp(nsp).flat_map(|nsp| &nsp.guards) {
            guarded(guard, message.clone()).await?;
        }
        Ok(())
    }

    /// The names of all events, in order.
    pub fn events(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.events.keys().map(|name| &**name).collect();
        names.sort_unstable();
        names
    }

    /// Runs a hook, if the program has one. A failure is logged and changes nothing.
    pub fn hook(&self, hook: Hook, message: Message) -> Option<LocalBoxFuture<'static, ()>> {
        let handler = Arc::clone(&self.hooks.get(&hook)?.handler);
        Some(Box::pin(async move {
            if let Err(error) = guarded(&handler, message).await {
                let (code, path) = (error.code(), error.data("path"));
                // Its text may quote the payload, which stays out of logs.
                tracing::warn!(?hook, code, ?path, "a hook failed");
            }
        }))
    }

    /// The answer to an event that has no handler.
    pub fn unknown_event(metrics: &Metrics) -> RouteError {
        metrics.events_unknown.inc();
        RouteError::new(code::UNKNOWN_EVENT, "Nothing handles this event.")
    }
}

impl Found {
    fn new(route: RouteId, handler: &ErasedHandler, gate: &Arc<Gate>) -> Self {
        Self(Arc::new(Routed { route, handler: Arc::clone(handler), gate: Arc::clone(gate) }))
    }

    /// The route that it belongs to.
    pub fn route(&self) -> RouteId {
        self.0.route
    }

    /// Runs the handler alone behind its route's gate, with its panic caught and its outcome counted.
    pub async fn run(self, message: Message) -> Result<Args, RouteError> {
        let metrics = Arc::clone(&message.services.metrics);
        let Ok(_place) = self.0.gate.enter().await else {
            metrics.limit("route_queue");
            return Err(RouteError::overloaded(1_000));
        };
        count(&metrics, guarded(&self.0.handler, message).await)
    }

    /// Begins the same.
    fn begin(self, message: Message) -> Begun {
        let Some(place) = self.0.gate.try_enter() else {
            return Begun::Runs(Box::pin(self.run(message)));
        };
        let witness = Witness::of(&message);
        // What a panic leaves half done is dropped with the future.
        let begun = catch_unwind(AssertUnwindSafe(|| {
            let mut running = (self.0.handler)(message);
            match running.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(outcome) => Ok(outcome),
                Poll::Pending => Err(running),
            }
        }));
        match begun {
            Ok(Ok(outcome)) => Begun::Ended(count(&witness.metrics, outcome)),
            Err(panic) => Begun::Ended(count(&witness.metrics, Err(witness.panicked(&*panic)))),
            Ok(Err(running)) => Begun::Runs(Box::pin(async move {
                let _place = place;
                let outcome = AssertUnwindSafe(running).catch_unwind().await;
                let outcome = outcome.unwrap_or_else(|panic| Err(witness.panicked(&*panic)));
                count(&witness.metrics, outcome)
            })),
        }
    }
}

/// How far a handler is that was begun.
pub enum Begun {
    /// It has ended.
    Ended(Result<Args, RouteError>),
    /// It goes on. It was asked once, for nobody, so it is to be asked again at once.
    Runs(LocalBoxFuture<'static, Result<Args, RouteError>>),
}

impl std::fmt::Debug for Begun {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ended(outcome) => f.debug_tuple("Ended").field(outcome).finish(),
            Self::Runs(_) => f.write_str("Runs"),
        }
    }
}

fn count(metrics: &Metrics, outcome: Result<Args, RouteError>) -> Result<Args, RouteError> {
    match &outcome {
        Ok(_) => metrics.events_handled.inc(),
        Err(_) => metrics.events_failed.inc(),
    };
    outcome
}

/// Runs a handler; a panic becomes `internal`.
pub(crate) async fn guarded(handler: &ErasedHandler, message: Message) -> Result<Args, RouteError> {
    let witness = Witness::of(&message);
    // What a panic leaves half done is dropped with the future.
    let run = AssertUnwindSafe(async { handler(message).await }).catch_unwind();
    run.await.unwrap_or_else(|panic| Err(witness.panicked(&*panic)))
}

/// Tells of a handler's panic.
struct Witness {
    event: ByteString,
    metrics: Arc<Metrics>,
}

impl Witness {
    fn of(message: &Message) -> Self {
        Self { event: message.event.clone(), metrics: Arc::clone(&message.services.metrics) }
    }

    fn panicked(&self, panic: &(dyn Any + Send)) -> RouteError {
        self.metrics.handler_panics.inc();
        // A text that was put together may quote the payload, which stays out of logs.
        let text = panic.downcast_ref::<&'static str>().copied().unwrap_or("not shown");
        tracing::error!(event = %self.event, panic = text, "a handler panicked");
        RouteError::internal()
    }
}
