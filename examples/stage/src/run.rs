//! Puts the services together: all in one process, or one of them.

use std::{net::SocketAddr, sync::Arc};

use anyhow::{Context as _, Result};
use futures_util::future::{LocalBoxFuture, try_join_all};
use router_core::{
    backend::Backend,
    keys::KeyRing,
    metrics::Metrics,
    node::{Node, NodeSpec},
    ns,
    session::{Confirmer, Sessions, Site},
};
use web_service::WebService;
use ws_service::{Origins, TrustedProxy, WsService};

use crate::{
    Example, Nodes, Stop,
    cli::Command,
    config::{Config, Settings},
    listen, say,
};

/// What the services of a process share.
struct System<T> {
    example: Example<T>,
    config: Config<T>,
    backend: Backend,
    keys: Arc<KeyRing>,
    metrics: Arc<Metrics>,
    stop: Stop,
}

/// A service that runs until the stop.
type Running = LocalBoxFuture<'static, Result<()>>;

/// Runs what the command line asks for, until SIGTERM or Ctrl-C.
pub(crate) async fn run<T: Settings>(
    example: Example<T>,
    command: Option<&Command>,
    config: Config<T>,
) -> Result<()> {
    let backend = launch::open(&config.bus, &config.limits)?;
    let (name, host) = (example.name, config.listen.host);
    let keys = launch::configured_or_shared(&config.keys, name, host, &*backend.secrets).await?;
    let (keys, metrics) = (Arc::new(keys), Arc::default());
    let system = System { example, config, backend, keys, metrics, stop: Stop::default() };
    let services = match command {
        None => system.all().await?,
        Some(Command::Web(_)) => vec![system.web().await?],
        Some(Command::Ws(_)) => vec![system.ws_alone().await?],
    };
    system.stop.at_signal();
    try_join_all(services).await?;
    Ok(())
}

impl<T: Settings> System<T> {
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

    /// The pages and their sessions.
    async fn web(&self) -> Result<Running> {
        let node = Node::start(self.spec("web", 0), self.backend.clone()).await?;
        let (host, port) = (self.config.listen.host, self.config.listen.port);
        let listener = listen(format!("{host}:{port}"))?;
        // Where TLS is configured for this process, its own nodes speak it too.
        let scheme = if self.config.listen.tls_key.is_some() { "wss" } else { "ws" };
        let nodes = self.config.ws.iter().map(|address| socket_url(address, scheme)).collect();
        let web = WebService::builder(node, self.sessions(), Arc::clone(&self.keys))
            .configure(self.example.pages)
            .data(Nodes(nodes))
            .data(self.config.example.clone())
            .cookie_name(self.example.name)
            .secure(self.config.web.secure);
        // Without a list, the service's own origins are those whose host the request names.
        let web = match self.config.web.origins.is_empty() {
            true => web.build()?,
            false => web.origins(self.config.web.origins.iter()).build()?,
        };
        say(&(self.example.invitation)(&format!("http://{host}:{port}")));
        let stop = self.stop.told();
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
        let (routes, settings) = (self.example.routes, self.config.example.clone());
        let ws = WsService::builder(node, confirmer)
            .data(settings.clone())
            .routes(move |cfg| routes(cfg, &settings))
            .observers(self.example.observers)
            .origins(origins)
            .trusted_proxies(proxies)
            .channels(self.config.channels.access)
            .ping_interval(sockets.ping_interval)
            .ping_timeout(sockets.ping_timeout)
            .drain_window(sockets.drain_window)
            .listen(listen(bare(address))?);
        let ws = match tls {
            Some(tls) => ws.tls(tls).build()?,
            // Then a proxy may send a client's requests to any node.
            None => ws.peers(Arc::clone(&self.keys)).build()?,
        };
        say(&format!("ws/{nid} holds sockets at {scheme}://{}", ws.handle().local_addr()));
        let stop = self.stop.told();
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
}

/// A node as a browser dials it; an address may bring its own scheme.
fn socket_url(address: &str, scheme: &str) -> String {
    if address.contains("://") { address.to_owned() } else { format!("{scheme}://{address}") }
}

/// Where other nodes of this machine reach one that listens here. One that listens everywhere is
/// told where that is, by `node.advertise`.
fn reachable(address: &str) -> Option<String> {
    let address = bare(address);
    let everywhere = address.parse().is_ok_and(|at: SocketAddr| at.ip().is_unspecified());
    (!everywhere).then(|| address.into())
}

/// An address without its scheme.
fn bare(address: &str) -> &str {
    address.rsplit("://").next().unwrap_or(address)
}
