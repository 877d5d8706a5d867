//! Running observers on what arrives from the bus.
//!
//! Each observer has a queue of its own, in which messages run one at a time in the order in which
//! they came, so that a slow observer does not hold up another.

use std::{collections::HashMap, sync::Arc};

use bytestring::ByteString;
use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::sync::mpsc;

use super::Observers;
use crate::{
    bus::{Bus, Delivery, queues::Place},
    envelope::{Envelope, Kind},
    error::{RouteError, code},
    handler::{ErasedHandler, Message, Occasion, Services},
    route::{
        ConfigureError, RouteId,
        dispatch::guarded,
        lanes::{Arrival, Lanes, Room},
    },
    socket::Socket,
};

/// The observers of a process, by message.
#[derive(Debug)]
pub struct ObserverSet {
    handlers: HashMap<(Kind, ByteString), (RouteId, ErasedHandlerBox)>,
}

/// A handler that prints as such.
#[derive(Clone)]
struct ErasedHandlerBox(ErasedHandler);

impl std::fmt::Debug for ErasedHandlerBox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("handler")
    }
}

impl ObserverSet {
    /// The set of these observers.
    ///
    /// # Errors
    /// [`ConfigureError`] names what was registered twice.
    pub fn new(observers: Observers) -> Result<Self, ConfigureError> {
        let mut handlers = HashMap::new();
        for (number, (name, observer)) in observers.checked()?.observers.into_iter().enumerate() {
            let index = u16::try_from(number).unwrap_or(u16::MAX);
            let id = RouteId::new(index, observer.concurrent);
            for ((kind, event), registered) in observer.handlers {
                let event = if name.is_empty() { event } else { format!("{name}.{event}").into() };
                handlers.insert((kind, event), (id, ErasedHandlerBox(registered.handler)));
            }
        }
        Ok(Self { handlers })
    }
}

/// What arrives for a node's observers.
#[derive(Debug)]
pub struct Inbox {
    bus: Bus,
    deliveries: mpsc::Receiver<Delivery>,
}

/// A message whose observer is known, on its way to run.
struct Ready {
    envelope: Envelope,
    handler: ErasedHandler,
    /// In the observer's queue.
    place: Option<Place>,
}

impl Inbox {
    pub(crate) fn new(bus: Bus, deliveries: mpsc::Receiver<Delivery>) -> Self {
        Self { bus, deliveries }
    }

    /// Runs observers until it is dropped. The future need not be `Send`: it stays on the thread
    /// that spawned it, and so do the observers.
    pub async fn observe(self, observers: Arc<ObserverSet>, services: Arc<Services>) {
        let never = std::future::pending();
        self.observe_until(observers, services, never).await;
    }

    /// Runs observers until `stop`, and then what had arrived by then; ends when nothing runs any
    /// more. Stop the node first, so that senders hear `node_gone` from then on.
    pub async fn observe_until(
        mut self,
        observers: Arc<ObserverSet>,
        services: Arc<Services>,
        stop: impl Future<Output = ()>,
    ) {
        let by_message = observers.handlers.iter();
        let numbers = by_message.map(|(message, (route, _))| (message.clone(), route.index()));
        self.bus.shared.queues.set(numbers);
        // The queues bound how many may wait, and the bytes are those of the node's stream.
        let room = Room { at_once: usize::MAX, events: usize::MAX, bytes: usize::MAX };
        let mut lanes: HashMap<u16, Lanes<Ready>> = HashMap::new();
        let mut running = FuturesUnordered::new();
        let mut stop = std::pin::pin!(stop);
        // After `stop` the channel is closed, and open until what it holds was taken.
        let (mut stopping, mut open) = (false, true);
        loop {
            let (lane, route) = tokio::select! {
                () = &mut stop, if !stopping => {
                    stopping = true;
                    self.deliveries.close();
                    continue;
                }
                delivery = self.deliveries.recv(), if open => {
                    let Some(Delivery { envelope, place }) = delivery else {
                        (stopping, open) = (true, false);
                        continue;
                    };
                    let found = observers.handlers.get(&(envelope.kind, envelope.event.clone()));
                    let Some((route, handler)) = found else {
                        self.unobserved(&envelope).await;
                        continue;
                    };
                    let ready = Ready { envelope, handler: handler.0.clone(), place };
                    let lane = lanes.entry(route.index()).or_default();
                    // Its place was given to it when it came, so nothing is refused here.
                    match lane.arrive(*route, ready, 0, room) {
                        Arrival::Start(ready)
                        | Arrival::Refused(ready)
                        | Arrival::RefusedBytes(ready) => {
                            running.push(self.run(*route, ready, &services));
                        }
                        Arrival::Waits => {}
                    }
                    continue;
                }
                Some(route) = running.next(), if !running.is_empty() => {
                    (lanes.entry(RouteId::index(route)).or_default(), route)
                }
                else => break,
            };
            lane.finished(route);
            while let Some((route, ready)) = lane.next_start(room) {
                running.push(self.run(route, ready, &services));
            }
        }
    }

    fn run(
        &self,
        route: RouteId,
        ready: Ready,
        services: &Arc<Services>,
    ) -> impl Future<Output = RouteId> + use<> {
        let (bus, services) = (self.bus.clone(), Arc::clone(services));
        let Ready { envelope, handler, place } = ready;
        drop(place);
        async move {
            let tenant = envelope.recipient.tid();
            let message = Message {
                occasion: match envelope.kind {
                    Kind::Broadcast => Occasion::Broadcast,
                    Kind::Transmit => Occasion::Transmit,
                    Kind::Ask => Occasion::Ask,
                },
                event: envelope.event.clone(),
                args: envelope.args.clone(),
                origin: envelope.origin.clone(),
                socket: tenant
                    .and_then(|tid| services.hub.find(tid))
                    .map(|info| Socket::new(info, Arc::clone(&services.hub))),
                services,
            };
            let outcome = guarded(&handler, message).await;
            match (envelope.kind, outcome) {
                (Kind::Ask, answer) => bus.answer(&envelope, answer).await,
                (_, Ok(_)) => {}
                (_, Err(error)) => {
                    bus.shared.metrics.events_failed.inc();
                    let (code, path) = (error.code(), error.data("path"));
                    // Its text may quote the payload, which stays out of logs.
                    tracing::warn!(event = %envelope.event, code, ?path, "an observer failed");
                }
            }
            route
        }
    }

    async fn unobserved(&self, envelope: &Envelope) {
        self.bus.shared.metrics.events_unknown.inc();
        if envelope.kind == Kind::Ask {
            let error = RouteError::new(code::UNKNOWN_EVENT, "Nothing answers this.");
            self.bus.answer(envelope, Err(error)).await;
        }
    }
}
