//! A service that is put together: it runs until it is told to stop, and then drains.

use std::{future::Future, io, net::SocketAddr, pin::pin, sync::Arc};

use router_core::{handler::Services, node::Node, session::Confirmer, socket::SocketHub};
use tokio::sync::Notify;

use crate::{builder::Builder, listener::Listener, shared::Shared};

/// A ws-service: it holds sockets. Several may run in one process, each with a node of its own.
///
/// ```
/// use std::sync::Arc;
///
/// use router_core::{
///     Routes,
///     backend::memory::MemoryHub,
///     keys::{Key, KeyRing},
///     node::{Node, NodeSpec},
///     ns,
///     session::{Confirmer, SessionSettings, Sessions, Site},
/// };
/// use ws_service::{Origins, WsService};
///
/// fn routes(cfg: &mut Routes) {
///     cfg.route("world").on("say", async || "said");
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let backend = MemoryHub::new().backend();
/// let sessions =
///     Sessions::new(backend.records.clone(), Site::main(), SessionSettings::default());
/// let keys = Arc::new(KeyRing::new(Key::random("now")?, None)?);
/// let confirmer = Confirmer::new(sessions, backend.tokens.clone(), keys);
/// let node = Node::start(NodeSpec::new(ns("ws").node(1)), backend).await?;
///
/// let service = WsService::builder(node, confirmer)
///     .routes(routes)
///     .origins(Origins::list(["http://127.0.0.1:8888"]))
///     .bind("127.0.0.1:0")?
///     .build()?;
/// let handle = service.handle();
/// println!("sockets connect to {}", handle.local_addr());
/// # handle.stop();
/// service.run(std::future::pending()).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct WsService {
    node: Node,
    listener: Listener,
    handle: Handle,
}

/// A running service, as others in its process hold it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Handle {
    shared: Arc<Shared>,
    address: SocketAddr,
    stop: Arc<Notify>,
}

/// Why a service ended by itself.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// Its threads could not be started.
    #[error("the listener did not start")]
    Listener(#[source] io::Error),
    /// The listener ended though nobody told it to.
    #[error("the listener ended")]
    Ended,
}

impl WsService {
    /// Begins a service of this node, whose sockets are confirmed by `confirmer`.
    ///
    /// The service owns the node: it stops it when it stops.
    pub fn builder(node: Node, confirmer: Confirmer) -> Builder {
        Builder::new(node, confirmer)
    }

    pub(crate) fn new(
        node: Node,
        shared: Arc<Shared>,
        listener: Listener,
        address: SocketAddr,
    ) -> Self {
        Self { node, listener, handle: Handle { shared, address, stop: Arc::default() } }
    }

    /// The service as others hold it.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Accepts sockets until `stop` is over or [`Handle::stop`] is called; then drains, stops the
    /// node and returns. Needs a tokio runtime. A runtime's `LocalSet` is not needed: sockets live on
    /// threads of their own.
    ///
    /// Dropped before it is over, it takes its threads and sockets with it, without a drain.
    ///
    /// # Errors
    /// When the listener does not start, or ends by itself.
    pub async fn run(self, stop: impl Future<Output = ()>) -> Result<(), RunError> {
        let Self { node, listener, handle } = self;
        let shared = &handle.shared;
        let mut server = match listener.serve(shared) {
            Ok(server) => server,
            Err(error) => {
                node.stop().await;
                return Err(RunError::Listener(error));
            }
        };
        let control = server.handle();
        tracing::info!(node = %shared.rules.node, address = %handle.address, "listening");
        tokio::select! {
            ended = &mut server => {
                node.stop().await;
                return Err(ended.map_or_else(RunError::Listener, |()| RunError::Ended));
            }
            () = stop => {}
            () = handle.stop.notified() => {}
        }

        let mut stopped = pin!(async {
            shared.go_away().await;
            control.stop(false).await;
        });
        let outcome = tokio::select! {
            () = &mut stopped => Ok(()),
            ended = &mut server => {
                stopped.await;
                ended.map_err(RunError::Listener)
            }
        };
        shared.end(node).await;
        tracing::info!(address = %handle.address, "stopped");
        outcome
    }
}

impl Handle {
    /// Where the service listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// The sockets of this node.
    pub fn hub(&self) -> Arc<dyn SocketHub> {
        Arc::clone(&self.shared.services.hub)
    }

    /// What handlers get, for code beside them.
    pub fn services(&self) -> &Arc<Services> {
        &self.shared.services
    }

    /// Whether messages reach this node and new sockets are welcome, as `/readyz` says.
    pub fn is_ready(&self) -> bool {
        self.shared.is_ready()
    }

    /// Tells the service to drain and stop, as the end of `stop` in [`WsService::run`] does.
    pub fn stop(&self) {
        self.stop.notify_one();
    }
}
