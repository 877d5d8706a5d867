//! Sockets in somebody's own actix-web App, beside its pages and under its server.
//!
//! The same connections, shards, routes and observers as under the service's own listener. What
//! differs comes from one thing: the TCP socket stays with the App's HTTP service, which lends it out
//! as the payload of the request and the body of the response.

mod pipe;
mod stream;
mod tunnel;
mod upgrade;

use std::{
    any::Any,
    cell::RefCell,
    future::Future,
    rc::{Rc, Weak},
    sync::Arc,
};

use actix_rt::net::TcpStream;
use actix_tls::accept::rustls_0_23::TlsStream;
use actix_web::{
    HttpRequest, HttpResponse,
    web::{self, Payload, ServiceConfig},
};
use router_core::{handler::Services, node::Node, socket::SocketHub};
use tokio::sync::Notify;

pub(crate) use self::stream::{Abroad, Mounted};
use crate::{
    builder::{BuildError, Builder},
    health, listener, patience,
    peer::forward::Forwarder,
    polling,
    shard::Shard,
    shared::Shared,
};

/// A ws-service without a listener: its sockets come through Apps that [mount](Mount) it. See
/// [`Builder::mount`].
///
/// It has the node, so whoever has it decides when the node stops: [`run`](Self::run).
///
/// What differs from a service with a listener of its own:
///
/// | | own listener | mounted |
/// |---|---|---|
/// | threads | the service's own | the server's workers; each has a shard from when its App is built |
/// | where frames wait | in the kernel's send buffer, then in the outbox | in 256 KiB beside the outbox, which are not counted, then in the outbox: so much may be sent to one socket before its thread comes round to write |
/// | a peer that stops reading | its socket is gone from the kernel within 2 s | its connection ends at the same moment, and what waits for it is dropped; its TCP connection goes when the peer reads again or the kernel gives it up: after `ping_timeout` with [`Mount::on_connect`], else after what TCP takes for that, which is many minutes |
/// | after a close frame | our side ends, and the peer has 2 s to end its own | the peer has 2 s to answer; then the body ends, and the server the TCP connection: at once with `HttpServer::client_disconnect_timeout(Duration::ZERO)`, else it lets the peer do it for a second |
/// | a poll whose client is gone | is noticed at once | only with `HttpServer::h1_allow_half_closed(false)`; else at the heartbeat's end |
/// | TLS, time for a request's head, backlog, number of connections | the builder's, and the limits' | the server's |
/// | memory of an idle socket | nothing for reading and writing | 16 KiB of the HTTP service's buffers, and more where middleware keeps the request |
///
/// HTTP/2 has no WebSockets here; long-polling works over it.
#[derive(Debug)]
pub struct MountedService {
    node: Node,
    mount: Mount,
    going: Going,
}

/// What Apps are configured with, and what a program holds of a mounted service. Cheap to clone; each
/// thread of a server needs one.
#[derive(Debug, Clone)]
pub struct Mount {
    shared: Arc<Shared>,
    stop: Arc<Notify>,
}

thread_local! {
    /// The shards of this thread: one for each service that an App here has mounted.
    static SHARDS: RefCell<Vec<Weak<Shard>>> = const { RefCell::new(Vec::new()) };
}

impl Builder {
    /// The service without a listener, to be mounted in a program's own actix-web App.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use actix_web::{App, HttpServer, web};
    /// # use std::sync::Arc;
    /// # use router_core::{
    /// #     Routes, backend::memory::MemoryHub, keys::{Key, KeyRing}, node::{Node, NodeSpec}, ns,
    /// #     session::{Confirmer, SessionSettings, Sessions, Site},
    /// # };
    /// use ws_service::{Origins, WsService};
    ///
    /// # fn routes(cfg: &mut Routes) {
    /// #     cfg.route("world").on("say", async || "said");
    /// # }
    /// # #[actix_web::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let backend = MemoryHub::new().backend();
    /// # let sessions =
    /// #     Sessions::new(backend.records.clone(), Site::main(), SessionSettings::default());
    /// # let keys = Arc::new(KeyRing::new(Key::random("now")?, None)?);
    /// # let confirmer = Confirmer::new(sessions, backend.tokens.clone(), keys);
    /// # let node = Node::start(NodeSpec::new(ns("ws").node(1)), backend).await?;
    /// let service = WsService::builder(node, confirmer)
    ///     .routes(routes)
    ///     .origins(Origins::list(["http://127.0.0.1:8080"]))
    ///     .mount()?;
    ///
    /// let (sockets, kernel) = (service.sockets(), service.sockets());
    /// let server = HttpServer::new(move || {
    ///     App::new()
    ///         .configure(|cfg| sockets.configure(cfg))
    ///         .configure(|cfg| sockets.health(cfg))
    ///         .route("/", web::get().to(async || "a page"))
    /// })
    /// .on_connect(move |io, _| kernel.on_connect(io))
    /// .h1_allow_half_closed(false)
    /// .client_disconnect_timeout(Duration::ZERO)
    /// // The sockets are sent away first, while the App still answers.
    /// .disable_signals()
    /// .bind("127.0.0.1:0")?
    /// .run();
    /// let http = server.handle();
    /// let server = actix_web::rt::spawn(server);
    ///
    /// # service.sockets().stop();
    /// service.run(actix_web::rt::signal::ctrl_c()).await;
    /// http.stop(true).await;
    /// server.await??;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// What is the server's own is not this builder's to say: [`listen`](Self::listen),
    /// [`bind`](Self::bind), [`tls`](Self::tls), [`workers`](Self::workers) and
    /// [`http`](Self::http) are errors here. Where the App ends TLS itself,
    /// [`peers`](Self::peers) need an address of their own that speaks plain HTTP: an App may be
    /// bound to several.
    ///
    /// # Errors
    /// [`BuildError`] names what does not fit.
    pub fn mount(self) -> Result<MountedService, BuildError> {
        if let Some(option) = self.of_the_listener() {
            return Err(BuildError::NotMounted(option));
        }
        let (node, shared) = self.assemble()?;
        let going = Going(Arc::clone(&shared));
        Ok(MountedService { node, mount: Mount { shared, stop: Arc::default() }, going })
    }
}

impl MountedService {
    /// What Apps are configured with.
    pub fn sockets(&self) -> Mount {
        self.mount.clone()
    }

    /// Waits until `stop` is over or [`Mount::stop`] is called; then drains, and stops the node.
    ///
    /// The drain: new sockets get 503 and [`Mount::is_ready`] is false at once; those that are there
    /// are told to reconnect, each at a random moment of the drain's window, and closed. So the
    /// server has to go on meanwhile, and is stopped after this; with `HttpServer`'s own signal
    /// handling it would stop to accept at once, and the proxy would not see that the node is
    /// unready.
    ///
    /// Dropped before it is over, the node stops without a drain: no new socket comes in, and those
    /// that are there live until the server ends.
    pub async fn run<T>(self, stop: impl Future<Output = T>) {
        // With the service, however it ends.
        let Self { node, mount, going: _going } = self;
        tracing::info!(node = %mount.shared.rules.node, "mounted");
        tokio::select! {
            _ = stop => {}
            () = mount.stop.notified() => {}
        }
        mount.shared.go_away().await;
        mount.shared.end(node).await;
        tracing::info!(node = %mount.shared.rules.node, "stopped");
    }
}

/// However the service ends, nobody comes in any more.
#[derive(Debug)]
struct Going(Arc<Shared>);

impl Drop for Going {
    fn drop(&mut self) {
        if !self.0.drain.is_draining() {
            self.0.drain.begin(self.0.clock.now());
        }
    }
}

impl Mount {
    /// Mounts the sockets at [their path](Builder::path), in an App or a scope of one. For each App
    /// that a server builds, which it does at least once for each of its threads.
    ///
    /// On the first thread the service's observers begin to run, too.
    pub fn configure(&self, cfg: &mut ServiceConfig) {
        let shard = self.shard();
        for path in [self.shared.path.clone(), format!("{}/", self.shared.path)] {
            let resource = web::resource(path)
                .app_data(Rc::clone(&shard))
                .app_data(Forwarder::new())
                .route(web::route().to(serve));
            cfg.service(resource);
        }
    }

    /// Adds `/healthz`, which says that the process lives, and `/readyz`, which says whether messages
    /// reach the node and new sockets are welcome.
    pub fn health(&self, cfg: &mut ServiceConfig) {
        health::configure(cfg, &self.shared);
    }

    /// Has the kernel give up a peer that takes nothing for as long as a ping may remain unanswered,
    /// and send small frames at once: for `HttpServer::on_connect`. Knows plain TCP, and TLS by
    /// rustls 0.23.
    pub fn on_connect(&self, io: &dyn Any) {
        let tls = io.downcast_ref::<TlsStream<TcpStream>>().map(|tls| tls.get_ref().0);
        if let Some(stream) = tls.or_else(|| io.downcast_ref::<TcpStream>()) {
            patience::bound(stream, Some(self.shared.rules.bounds.ping_timeout));
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "a socket's delay stays on");
            }
        }
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

    /// Tells the service to drain and stop, as the end of `stop` in [`MountedService::run`] does.
    pub fn stop(&self) {
        self.stop.notify_one();
    }

    /// The shard of this thread; begun, if this is the first App here.
    fn shard(&self) -> Rc<Shard> {
        SHARDS.with_borrow_mut(|shards| {
            shards.retain(|shard| shard.strong_count() > 0);
            let known = shards.iter().filter_map(Weak::upgrade);
            known.into_iter().find(|shard| Arc::ptr_eq(&shard.shared, &self.shared)).unwrap_or_else(
                || {
                    let shard = listener::begin(&self.shared);
                    shards.push(Rc::downgrade(&shard));
                    shard
                },
            )
        })
    }
}

/// A request at the sockets' path.
async fn serve(request: HttpRequest, payload: Payload) -> HttpResponse {
    let Some(shard) = request.app_data::<Rc<Shard>>().map(Rc::clone) else {
        return HttpResponse::InternalServerError().finish();
    };
    if request.head().upgrade() {
        upgrade::serve(shard, request, payload).await
    } else {
        polling::serve(request, payload).await
    }
}
