//! Puts the service together and runs it until the process is told to stop.

use std::{
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result};
use router_core::{
    backend::Backend,
    config::BusSection,
    keys::{Key, KeyRing},
    node::{Node, NodeSpec},
    ns,
    session::{Confirmer, SessionSettings, Sessions, Site},
};
use ws_service::{Auth, Builder, Origins, WsService};

use crate::{cli::Cli, events, say};

/// Sockets are sent away at once: nobody who runs a suite wants to wait for its server.
const DRAIN: Duration = Duration::from_millis(100);

/// Runs until SIGTERM or Ctrl-C.
pub(crate) async fn run(cli: &Cli) -> Result<()> {
    let backend = launch::open(&BusSection { url: cli.bus.clone().into() }, &cli.limits())?;
    let mut spec = NodeSpec::new(ns("ws").node(cli.nid));
    spec.limits = Arc::new(cli.limits());
    let node = Node::start(spec, backend.clone()).await?;
    let service = builder(cli, node, &backend)?
        .nsp("/", Auth::Open)
        .nsp("/custom", Auth::Open)
        .routes(events::routes)
        .observers(events::observers)
        .listen(listen(cli.listen())?)
        .build()?;
    let address = service.handle().local_addr();
    say(&format!("Socket.IO at http://{address}/socket.io/"));
    service.run(stopped()).await?;
    Ok(())
}

/// What every service of this program has.
fn builder(cli: &Cli, node: Node, backend: &Backend) -> Result<Builder> {
    // Nobody is confirmed here, so no other process needs to know the key.
    let keys = Arc::new(KeyRing::new(Key::random("alone")?, None)?);
    let records = Arc::clone(&backend.records);
    let sessions = Sessions::new(records, Site::main(), SessionSettings::default());
    let confirmer = Confirmer::new(sessions, Arc::clone(&backend.tokens), keys);
    let mut builder = WsService::builder(node, confirmer)
        .origins(Origins::any())
        .ping_interval(cli.ping_interval())
        .ping_timeout(cli.ping_timeout())
        .drain_window(DRAIN);
    if let Some(workers) = cli.workers {
        builder = builder.workers(workers);
    }
    Ok(builder)
}

fn listen(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address)
        .with_context(|| format!("{address} cannot be listened on; is the port taken?"))
}

async fn stopped() {
    if let Err(error) = launch::stop_signal().await {
        tracing::error!(%error, "signals cannot be heard; stopping");
    }
}
