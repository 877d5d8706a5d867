//! Putting a worker together.

use std::{fmt, sync::Arc, time::Duration};

use actix_web::rt::System;
use router_core::{
    Observers,
    handler::{DataMap, Services},
    node::{Health, Node},
    observer::ObserverSet,
    presence::Presence,
    route::ConfigureError,
    session::Sessions,
};
use tokio::sync::oneshot;

use crate::WorkerService;

/// What a [`WorkerService`] is made of.
pub struct Builder {
    node: Node,
    sessions: Sessions,
    observers: Observers,
    data: DataMap,
    window: Duration,
}

/// Why a worker cannot be put together.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// Observers contradict each other.
    #[error(transparent)]
    Observers(#[from] ConfigureError),
    /// The node's inbox was taken by someone else: a node serves one service.
    #[error("the node serves another service already")]
    NodeInUse,
    /// Not on a thread of an actix system, on which the observers are to run.
    #[error("a worker is built inside an actix system; see `actix_web::main`")]
    NoSystem,
}

impl WorkerService {
    /// Begins a worker on `node`, whose observers may use the `sessions` of a site.
    pub fn builder(node: Node, sessions: Sessions) -> Builder {
        Builder {
            node,
            sessions,
            observers: Observers::default(),
            data: DataMap::default(),
            window: Duration::from_secs(30),
        }
    }
}

impl Builder {
    /// Adds an observer module: what the worker takes and answers.
    #[must_use]
    pub fn observers(mut self, configure: impl FnOnce(&mut Observers)) -> Self {
        configure(&mut self.observers);
        self
    }

    /// Registers what observers extract as `Data<T>`.
    #[must_use]
    pub fn data<T: Send + Sync + 'static>(mut self, value: T) -> Self {
        self.data.insert(value);
        self
    }

    /// How long what had arrived may take to finish at a stop. 30 s.
    #[must_use]
    pub fn window(mut self, window: Duration) -> Self {
        self.window = window;
        self
    }

    /// Puts the worker together and begins to observe, on this thread.
    ///
    /// # Errors
    /// [`BuildError`] says what contradicts; nothing runs then.
    pub fn build(self) -> Result<WorkerService, BuildError> {
        if System::try_current().is_none() {
            return Err(BuildError::NoSystem);
        }
        let observers = Arc::new(ObserverSet::new(self.observers)?);
        let inbox = self.node.take_inbox().ok_or(BuildError::NodeInUse)?;
        let services = Services::without_sockets(&self.node, self.sessions, self.data);
        let (stop_observers, stopped) = oneshot::channel();
        let stop = async move {
            // A worker that is dropped stops too.
            let _gone = stopped.await;
        };
        Ok(WorkerService {
            bus: self.node.bus().clone(),
            health: Health::new(self.node.readiness()),
            request_timeout: self.node.limits().request_timeout.get().unwrap_or_default(),
            presence: Presence::start(&self.node),
            node: self.node,
            observers: actix_web::rt::spawn(inbox.observe_until(observers, services, stop)),
            stop_observers,
            window: self.window,
        })
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("node", self.node.address()).finish_non_exhaustive()
    }
}
