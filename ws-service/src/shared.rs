//! What all threads of a service share.

use std::{
    rc::Rc,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use router_core::{
    Incarnation,
    handler::Services,
    node::{Node, Readiness},
    observer::{Inbox, ObserverSet},
    route::Router,
    session::Confirmer,
    socket::SocketHub as _,
};
use tokio::sync::watch;

use crate::{
    clock::Clock, connection::protocol::Rules, drain::Drain, gate::SessionGate, hub::Hub,
    memory::Waiting, origins::Origins, peer::Peers, proxies::TrustedProxy,
    unconfirmed::Unconfirmed,
};

/// How long the drain may go on after its window, for close frames that are on their way.
const GRACE: Duration = Duration::from_secs(3);

/// One service, as its threads see it.
pub(crate) struct Shared {
    pub(crate) rules: Rules,
    /// Where sockets connect, without a slash at its end.
    pub(crate) path: String,
    pub(crate) clock: Clock,
    pub(crate) router: Arc<Router>,
    pub(crate) services: Arc<Services>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) confirmer: Confirmer,
    pub(crate) incarnation: Option<Incarnation>,
    pub(crate) readiness: watch::Receiver<Readiness>,
    pub(crate) origins: Origins,
    pub(crate) gate: Option<SessionGate>,
    pub(crate) proxies: Vec<TrustedProxy>,
    /// What is needed to pass requests to other nodes, if they are to be.
    pub(crate) peers: Option<Arc<Peers>>,
    pub(crate) unconfirmed: Arc<Unconfirmed>,
    pub(crate) waiting: Waiting,
    pub(crate) drain: Drain,
    pub(crate) observers: Arc<ObserverSet>,
    /// Taken by the thread that runs the observers.
    pub(crate) inbox: Mutex<Option<Inbox>>,
    /// Set when the observers ended though the service goes on: messages reach nobody any more.
    pub(crate) deaf: AtomicBool,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("node", &self.rules.node).finish_non_exhaustive()
    }
}

impl Shared {
    /// The life of the node in which this service began: sessions of a former one are gone.
    pub(crate) fn life(&self) -> Incarnation {
        self.incarnation.unwrap_or(Incarnation(0))
    }

    /// Whether new sockets are welcome.
    pub(crate) fn is_ready(&self) -> bool {
        !self.drain.is_draining()
            && !self.deaf.load(Ordering::Acquire)
            && self.readiness.borrow().is_ready()
    }

    /// Sends all sockets away, and waits until they are gone, or for the end of the drain.
    pub(crate) async fn go_away(&self) {
        tracing::info!(node = %self.rules.node, sockets = self.hub.count(), "draining");
        self.drain.begin(self.clock.now());
        let drained = async {
            self.hub.drain().await;
            self.drain.emptied().await;
        };
        let most = self.drain.window() + GRACE;
        if tokio::time::timeout(most, drained).await.is_err() {
            let left = self.drain.left();
            tracing::warn!(left, "connections and handlers are cut at the end of the drain");
        }
    }

    /// After that: hands over what the node keeps for others, and ends it.
    pub(crate) async fn end(&self, node: Node) {
        // Observers end with their threads, of which there may never have been one.
        drop(self.inbox.lock().unwrap_or_else(PoisonError::into_inner).take());
        self.services.upkeep.stop().await;
        node.stop().await;
    }

    /// Runs the observers on this thread, if no other does. Their futures need not be `Send`.
    pub(crate) fn observe_here(self: &Arc<Self>) {
        let inbox = self.inbox.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(inbox) = inbox {
            let (observers, services) = (Arc::clone(&self.observers), Arc::clone(&self.services));
            let observing = Observing(Arc::clone(self));
            actix_rt::spawn(async move {
                inbox.observe(observers, services).await;
                drop(observing);
            });
        }
    }
}

/// Lives as long as the observers do, also when their thread dies under them.
struct Observing(Arc<Shared>);

impl Drop for Observing {
    fn drop(&mut self) {
        if !self.0.drain.is_draining() {
            tracing::error!(node = %self.0.rules.node, "the observers ended");
        }
        self.0.deaf.store(true, Ordering::Release);
    }
}

/// Work that a drain waits for: a connection, a handler that outlives its own, a socket's coming or
/// going. Counted until it is dropped.
#[derive(Debug)]
pub(crate) struct Work {
    of: Arc<Shared>,
}

impl Work {
    pub(crate) fn new(of: &Arc<Shared>) -> Self {
        of.drain.enter();
        Self { of: Arc::clone(of) }
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        self.of.drain.leave();
    }
}

/// A connection that is open; counted until it is dropped.
#[derive(Debug)]
pub(crate) struct Open {
    of: Arc<Shared>,
    work: Rc<Work>,
}

impl Open {
    pub(crate) fn new(of: &Arc<Shared>) -> Self {
        of.services.metrics.connections.inc();
        Self { of: Arc::clone(of), work: Rc::new(Work::new(of)) }
    }

    /// For what goes on after the connection.
    pub(crate) fn work(&self) -> Rc<Work> {
        Rc::clone(&self.work)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.of.services.metrics.connections.dec();
    }
}
