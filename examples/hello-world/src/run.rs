//! Puts the services together: all in one process, or one of them.

use std::{
    net::{SocketAddr, TcpListener},
    sync::Arc,
};

use anyhow::{Context, Result};
use futures_util::future::{LocalBoxFuture, try_join_all};
use router_core::{
    backend::Backend,
    keys::KeyRing,
    metrics::Metrics,
    node::{Node, NodeSpec},
    ns,
    session::{Confirmer, Sessions, Site},
};
use tokio::sync::watch;
use web_service::WebService;
use ws_service::{Origins, TrustedProxy, WsService};

use crate::{
    cli::{Command, Config},
    page::{self, Nodes},
    say, world,
};

/// What the services of a process share.
struct System {
    config: Config,
    backend: Backend,
    keys: Arc<KeyRing>,
    metrics: Arc<Metrics>,
    /// Becomes true when the process is told to stop.
    stop: watch::Receiver<bool>,
}

/// A service that runs until the stop.
type Running = LocalBoxFuture<'static, Result<()>>;

/// Runs what the command line asks for, until SIGTERM or Ctrl-C.
pub(crate) async fn run(command: Option<&Command>, config: Config) -> Result<()> {
    let backend = launch::open(&config.bus, &config.limits)?;
    let host = config.listen.host;
    let keys =
        launch::configured_or_shared(&config.keys, "hello-world", host, &*backend.secrets).await?;
    let (tell, stop) = watch::channel(false);
    let (keys, metrics) = (Arc::new(keys), Arc::default());
    let system = System { config, backend, keys, metrics, stop };
    let services = match command {
        None => system.all().await?,
        Some(Command::Web(_)) => vec![system.web().await?],
        Some(Command::Ws(_)) => vec![system.ws_alone().await?],
    };
    actix_web::rt::spawn(async move {
        if let Err(error) = launch::stop_signal().await {
            tracing::error!(%error, "signals cannot be heard; stopping");
        }
        tell.send_replace(true);
    });
    try_join_all(services).await?;
    Ok(())
}

impl System {
    async fn all(&self) -> Result<Vec<Running>> {
        let mut services = vec![];
        for (nid, address) in (0..).zip(self.config.ws.iter()) {
            services.push(self.ws(nid, address).await?);
        }
        services.push(self.web().await?);
        Ok(services)
    }

    async fn ws_alone(&self) -> Result<Running> {
        let address = format!("{}:{}", self.config.listen.host, self.config.listen.port);
        self.ws(self.config.node.nid.0, &address).await
    }

    /// The page and its sessions.
    async fn web(&self) -> Result<Running> {
        let node = Node::start(self.spec("web", 0), self.backend.clone()).await?;
        let (host, port) = (self.config.listen.host, self.config.listen.port);
        let listener = listen(&format!("{host}:{port}"))?;
        // Where TLS is configured for this process, its own nodes speak it too.
        let scheme = if self.config.listen.tls_key.is_some() { "wss" } else { "ws" };
        let nodes = self.config.ws.iter().map(|address| socket_url(address, scheme)).collect();
        let web = WebService::builder(node, self.sessions(), Arc::clone(&self.keys))
            .configure(page::pages)
            .data(Nodes(nodes))
            .cookie_name("hello-world")
            .secure(self.config.web.secure);
        // Without a list, the service's own origins are those whose host the request names.
        let web = match self.config.web.origins.is_empty() {
            true => web.build()?,
            false => web.origins(self.config.web.origins.iter()).build()?,
        };
        say(&format!("Open http://{host}:{port} in two browsers, and say something in one."));
        let stop = self.stopped();
        Ok(Box::pin(async move { Ok(web.run(listener, stop).await?) }))
    }

    /// One node that holds sockets.
    async fn ws(&self, nid: u32, address: &str) -> Result<Running> {
        let mut spec = self.spec("ws", nid);
        spec.advertise = spec.advertise.or_else(|| reachable(address).map(Into::into));
        let node = Node::start(spec, self.backend.clone()).await?;
        let tokens = Arc::clone(&self.backend.tokens);
        let confirmer = Confirmer::new(self.sessions(), tokens, Arc::clone(&self.keys));
        let sockets = &self.config.sockets;
        let mut origins = Origins::list(sockets.origins.iter());
        if sockets.require_origin {
            origins = origins.require_origin();
        }
        let proxies = sockets.trusted_proxies.iter().map(str::parse::<TrustedProxy>);
        let proxies = proxies.collect::<Result<Vec<_>, _>>().context("sockets.trusted_proxies")?;
        let tls = launch::tls(&self.config.listen)?;
        let scheme = if tls.is_some() { "wss" } else { "ws" };
        let ws = WsService::builder(node, confirmer)
            .routes(world::routes)
            .observers(world::observers)
            .origins(origins)
            .trusted_proxies(proxies)
            .ping_interval(sockets.ping_interval)
            .ping_timeout(sockets.ping_timeout)
            .drain_window(sockets.drain_window)
            .listen(listen(address)?);
        let ws = match tls {
            Some(tls) => ws.tls(tls).build()?,
            // Then a proxy may send a client's requests to any node.
            None => ws.peers(Arc::clone(&self.keys)).build()?,
        };
        say(&format!("ws/{nid} holds sockets at {scheme}://{}", ws.handle().local_addr()));
        let stop = self.stopped();
        Ok(Box::pin(async move { Ok(ws.run(stop).await?) }))
    }

    fn sessions(&self) -> Sessions {
        let records = Arc::clone(&self.backend.records);
        Sessions::new(records, Site::main(), self.config.session.clone())
    }

    fn spec(&self, namespace: &'static str, nid: u32) -> NodeSpec {
        let section = &self.config.node;
        let mut spec = NodeSpec::new(ns(namespace).node(nid));
        spec.advertise = section.advertise.clone();
        spec.lease_ttl = section.lease_ttl;
        spec.lease_renewal = section.lease_renewal;
        spec.limits = Arc::new(self.config.limits.clone());
        spec.metrics = Arc::clone(&self.metrics);
        spec
    }

    fn stopped(&self) -> impl Future<Output = ()> + 'static {
        let mut stop = self.stop.clone();
        async move {
            // The sender is dropped with the process.
            let _told = stop.wait_for(|stop| *stop).await;
        }
    }
}

/// A node as a browser dials it; an address may bring its own scheme.
fn socket_url(address: &str, scheme: &str) -> String {
    if address.contains("://") { address.to_owned() } else { format!("{scheme}://{address}") }
}

/// Where other nodes of this machine reach one that listens here. One that listens everywhere is
/// told where that is, by `node.advertise`.
fn reachable(address: &str) -> Option<String> {
    let address = address.rsplit("://").next().unwrap_or(address);
    let everywhere = address.parse().is_ok_and(|at: SocketAddr| at.ip().is_unspecified());
    (!everywhere).then(|| address.into())
}

fn listen(address: &str) -> Result<TcpListener> {
    let address = address.rsplit("://").next().unwrap_or(address);
    TcpListener::bind(address)
        .with_context(|| format!("{address} cannot be listened on; is the port taken?"))
}
