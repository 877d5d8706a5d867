//! The listener: worker threads with an HTTP service each, and the App for plain requests.
//!
//! actix-server accepts and spreads connections over threads. Its own handling of signals is off and
//! its bound on connections lifted: both are ours (the drain, and the bound on unconfirmed sockets).

use std::{io, net::TcpListener, rc::Rc, sync::Arc};

use actix_http::HttpService;
use actix_rt::net::TcpStream;
use actix_server::{Server, ServerBuilder};
use actix_service::{ServiceFactory, map_config};
use actix_tls::accept::rustls_0_23::TlsStream;
use actix_web::{
    App,
    dev::{AppConfig, ServiceRequest, ServiceResponse},
    web::{self, ServiceConfig},
};

use crate::{
    health, patience, peer::forward::Forwarder, polling, shard::Shard, shared::Shared,
    upgrade::Upgrade,
};

/// Connections that the kernel keeps until they are accepted.
const BACKLOG: i32 = 4_096;

/// A function that adds routes to the App of each thread.
pub(crate) type Configure = Arc<dyn Fn(&mut ServiceConfig) + Send + Sync>;

/// What the listener is made of.
pub(crate) struct Listener {
    pub(crate) socket: TcpListener,
    pub(crate) workers: Option<usize>,
    pub(crate) tls: Option<rustls::ServerConfig>,
    pub(crate) http: Vec<Configure>,
}

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Listener").field("socket", &self.socket).finish_non_exhaustive()
    }
}

impl Listener {
    /// The server. It accepts from its first poll on.
    pub(crate) fn serve(self, shared: &Arc<Shared>) -> io::Result<Server> {
        let mut server = Server::build()
            .disable_signals()
            .max_concurrent_connections(usize::MAX - 1)
            .shutdown_timeout(1);
        if let Some(workers) = self.workers {
            server = server.workers(workers);
        }
        let http: Arc<[Configure]> = self.http.into();
        // More than the standard library's 128, for when all clients of a dead node come at once.
        socket2::SockRef::from(&self.socket).listen(BACKLOG)?;
        let shared = Arc::clone(shared);
        let server = match self.tls {
            None => plain(server, self.socket, shared, http)?,
            Some(tls) => secure(server, self.socket, shared, http, tls)?,
        };
        Ok(server.run())
    }
}

fn plain(
    server: ServerBuilder,
    socket: TcpListener,
    shared: Arc<Shared>,
    http: Arc<[Configure]>,
) -> io::Result<ServerBuilder> {
    server.listen("whisk-ws", socket, move || {
        let shard = begin(&shared);
        let app = app(Rc::clone(&shard), Arc::clone(&http));
        // As long as the answer to a ping may take.
        let patience = shared.rules.bounds.ping_timeout;
        HttpService::build()
            .client_request_timeout(shared.rules.bounds.request_timeout)
            // A client that is gone while its poll waits is seen at once.
            .h1_allow_half_closed(false)
            .on_connect_ext(move |tcp: &TcpStream, _: &mut _| patience::bound(tcp, Some(patience)))
            .upgrade(Upgrade::<TcpStream>::new(shard))
            .h1(map_config(app, |()| AppConfig::default()))
            .tcp()
    })
}

fn secure(
    server: ServerBuilder,
    socket: TcpListener,
    shared: Arc<Shared>,
    http: Arc<[Configure]>,
    tls: rustls::ServerConfig,
) -> io::Result<ServerBuilder> {
    server.listen("whisk-ws", socket, move || {
        let shard = begin(&shared);
        let app = app(Rc::clone(&shard), Arc::clone(&http));
        // As long as the answer to a ping may take.
        let patience = shared.rules.bounds.ping_timeout;
        HttpService::build()
            .client_request_timeout(shared.rules.bounds.request_timeout)
            // A client that is gone while its poll waits is seen at once.
            .h1_allow_half_closed(false)
            .on_connect_ext(move |tls: &TlsStream<TcpStream>, _: &mut _| {
                patience::bound(tls.get_ref().0, Some(patience));
            })
            .upgrade(Upgrade::<TlsStream<TcpStream>>::new(shard))
            .h1(map_config(app, |()| AppConfig::default()))
            .rustls_0_23(tls.clone())
    })
}

/// Begins a thread: its shard, and on the first one the observers.
pub(crate) fn begin(shared: &Arc<Shared>) -> Rc<Shard> {
    let shard = Shard::start(shared);
    shared.observe_here();
    shard
}

/// The App for plain requests.
fn app(
    shard: Rc<Shard>,
    http: Arc<[Configure]>,
) -> App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse,
        Error = actix_web::Error,
        InitError = (),
    >,
> {
    let shared = Arc::clone(&shard.shared);
    let path = shared.path.clone();
    App::new()
        .app_data(web::Data::from(Arc::clone(&shared)))
        .app_data(shard)
        .app_data(Forwarder::new())
        // First, so that a program may put a page of its own at `/`.
        .configure(|cfg| http.iter().for_each(|configure| configure(cfg)))
        .route("/", web::get().to(banner))
        .configure(|cfg| health::configure(cfg, &shared))
        .route(&path, web::route().to(polling::serve))
        .route(&format!("{path}/"), web::route().to(polling::serve))
}

async fn banner(shared: web::Data<Shared>) -> String {
    format!("Whisk {}\n", shared.rules.node)
}
