//! Puts the service together and runs it until the process is told to stop.

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use futures_util::future::try_join;
use router_core::{
    backend::{Backend, memory::MemoryHub},
    config::{BusSection, KeysSection},
    keys::{Key, KeyRing},
    node::{Node, NodeSpec},
    ns,
    session::{Confirmer, SessionSettings, Sessions, Site},
};
use stage::{Stop, listen, say};
use ws_service::{Auth, Builder, Origins, Parser, WsService};

use crate::{
    cli::Cli,
    events,
    host::{self, Prepared},
};

/// Sockets are sent away at once: nobody who runs a suite wants to wait for its server.
const DRAIN: Duration = Duration::from_millis(100);

/// Runs until SIGTERM or Ctrl-C.
pub(crate) async fn run(cli: &Cli) -> Result<()> {
    let backend = launch::open(&BusSection { url: cli.bus.clone().into() }, &cli.limits())?;
    let mut spec = NodeSpec::new(ns("ws").node(cli.nid));
    spec.limits = Arc::new(cli.limits());
    let peers = peers(cli, &backend).await?;
    spec.advertise = peers.is_some().then(|| cli.listen().to_string().into());
    let node = Node::start(spec, backend.clone()).await?;
    let mut service = builder(cli, node, &backend)?;
    if let Some(peers) = peers {
        service = service.peers(peers);
    }
    let service = service
        .nsp("/", Auth::Open)
        .nsp("/custom", Auth::Open)
        .nsp("/guarded", Auth::Open)
        .parser(if cli.msgpack { Parser::Msgpack } else { Parser::Json })
        .routes(events::routes);
    let service = host::prepare(cli, service, listen(cli.listen())?)?;
    let engine = engine(cli).await?;
    say(&format!("Socket.IO at http://{}/socket.io/", service.address));
    let stop = Stop::default();
    let (sockets, sessions) = (stop.told(), stop.told());
    stop.at_signal();
    let engine = async {
        match engine {
            Some(engine) => engine.run(sessions).await,
            None => Ok(()),
        }
    };
    try_join(service.run(sockets), engine).await?;
    Ok(())
}

/// The key that nodes share who pass requests to each other: on loopback, where they find it in the
/// store. Elsewhere, or at a port that is not known before, a node stays alone.
async fn peers(cli: &Cli, backend: &Backend) -> Result<Option<KeyRing>> {
    if !cli.address.is_loopback() || cli.port == 0 {
        return Ok(None);
    }
    let none = KeysSection::default();
    let secrets = &*backend.secrets;
    let keys = launch::configured_or_shared(&none, "conformance", cli.address, secrets).await?;
    Ok(Some(keys))
}

/// The bare Engine.IO server. It has nothing to say to other processes, so its backend is its own.
async fn engine(cli: &Cli) -> Result<Option<Prepared>> {
    let Some(address) = cli.engine_listen() else { return Ok(None) };
    let backend = MemoryHub::new().backend();
    let mut spec = NodeSpec::new(ns("engine").node(cli.nid));
    spec.limits = Arc::new(cli.limits());
    let node = Node::start(spec, backend.clone()).await?;
    let service =
        builder(cli, node, &backend)?.path("/engine.io").raw(|message, reply| reply.send(message));
    let service = host::prepare(cli, service, listen(address)?)?;
    say(&format!("Engine.IO at http://{}/engine.io/", service.address));
    Ok(Some(service))
}

/// What every service of this program has.
fn builder(cli: &Cli, node: Node, backend: &Backend) -> Result<Builder> {
    // Nobody is confirmed here, so no other process needs to know the key.
    let keys = Arc::new(KeyRing::new(Key::random("alone")?, None)?);
    let records = Arc::clone(&backend.records);
    let sessions = Sessions::new(records, Site::main(), SessionSettings::default());
    let confirmer = Confirmer::new(sessions, Arc::clone(&backend.tokens), keys);
    Ok(WsService::builder(node, confirmer)
        .origins(Origins::any())
        .ping_interval(cli.ping_interval())
        .ping_timeout(cli.ping_timeout())
        .drain_window(DRAIN))
}
