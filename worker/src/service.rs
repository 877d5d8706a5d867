//! A worker's life, from its start to its stop.

use std::{io, net::TcpListener, pin::pin, time::Duration};

use actix_web::{App, HttpServer};
use router_core::{
    Bus,
    node::{Health, Node},
    presence::Presence,
};
use tokio::{sync::oneshot, task::JoinHandle};

use crate::health;

/// How long a health check in flight may hold up the stop, in seconds.
const HEALTH_WINDOW: u64 = 1;

/// A worker. Made by [`WorkerService::builder`](crate::Builder). Dropping it stops its node.
#[derive(Debug)]
pub struct WorkerService {
    pub(crate) node: Node,
    /// Adopts what dead nodes held on rosters.
    pub(crate) presence: Presence,
    pub(crate) bus: Bus,
    pub(crate) health: Health,
    pub(crate) observers: JoinHandle<()>,
    /// Ends the observers once they have finished what had arrived.
    pub(crate) stop_observers: oneshot::Sender<()>,
    pub(crate) window: Duration,
    pub(crate) request_timeout: Duration,
}

/// Why a worker ended without being told to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The listener of the health checks cannot be used, or its server failed.
    #[error("the server of the worker's health checks failed")]
    Server(#[from] io::Error),
    /// The server of the health checks ended by itself.
    #[error("the server of the worker's health checks ended by itself")]
    Ended,
}

impl WorkerService {
    /// The bus, as this node.
    pub fn bus(&self) -> &Bus {
        &self.bus
    }

    /// Works until `shutdown`, and answers health checks on `listener`, until the last observer has
    /// finished. Signals are the caller's: `shutdown` is what SIGTERM resolves.
    ///
    /// # Errors
    /// [`RunError`] when the health checks cannot be served: a worker of which nobody can tell
    /// whether it works does not run.
    pub async fn run(
        self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), RunError> {
        let health = self.health.clone();
        let app = move || {
            let health = health.clone();
            App::new().configure(move |cfg| health::mount(cfg, &health))
        };
        let server = HttpServer::new(app)
            .workers(1)
            .client_request_timeout(self.request_timeout)
            .shutdown_timeout(HEALTH_WINDOW)
            .disable_signals()
            .listen(listener)?
            .run();
        let handle = server.handle();
        let mut server = pin!(server);
        let mut ended = None;
        tokio::select! {
            outcome = &mut server => ended = Some(outcome),
            () = shutdown => {}
        }
        self.stop().await;
        if let Some(outcome) = ended {
            outcome?;
            return Err(RunError::Ended);
        }
        let ((), outcome) = tokio::join!(handle.stop(true), server);
        Ok(outcome?)
    }

    /// Unready; the address freed; what had arrived finished.
    async fn stop(mut self) {
        self.health.stop();
        self.presence.stop().await;
        self.node.stop().await;
        // Nobody listens any more where the observers ended by a panic of our own.
        let _ended = self.stop_observers.send(());
        if tokio::time::timeout(self.window, &mut self.observers).await.is_err() {
            tracing::warn!("observers did not finish within the window; they are cut off");
            self.observers.abort();
        }
    }
}
