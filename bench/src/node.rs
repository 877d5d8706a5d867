//! A ws-service for what the conformance program does not have: sockets that are confirmed by a token,
//! channels, rosters, and a bus to meet others on.

use std::{sync::Arc, time::Duration};

use actix_web::web;
use clap::Args;
use router_core::{
    Routes,
    backend::Backend,
    config::BusSection,
    keys::{Key, KeyRing},
    limits::Limits,
    node::{Node, NodeSpec},
    ns,
    presence::Settings,
    session::{Confirmer, SessionDocument, SessionSettings, Sessions, Site, UserId},
};
use ws_service::{Auth, WsService};

/// The user whose sessions its tokens are of.
pub(crate) const USER: &str = "bench";

/// The nsp that anybody may connect to.
pub(crate) const OPEN: &str = "/open";

/// How the node runs.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Where it meets others.
    #[arg(long, default_value = "memory:")]
    bus: String,
    /// Its node id.
    #[arg(long, default_value_t = 0)]
    nid: u32,
}

/// Runs until it is killed. Prints its port first.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    actix_web::rt::System::new().block_on(serve(options))
}

/// The limits of a measurement: nobody is too many or too quick.
pub(crate) fn limits() -> Arc<Limits> {
    Arc::new(Limits::default().rates_and_numbers_off())
}

/// The backend behind a URL, for a node of this process.
pub(crate) fn backend(bus: &str) -> anyhow::Result<Backend> {
    Ok(launch::open(&BusSection { url: bus.to_owned().into() }, &limits())?)
}

/// The sessions of a backend.
pub(crate) fn sessions(backend: &Backend) -> Sessions {
    Sessions::new(backend.records.clone(), Site::main(), SessionSettings::default())
}

fn routes(cfg: &mut Routes) {
    cfg.channel("room:*").open();
    cfg.channel("roster:*").open().presence(Settings::default());
}

async fn serve(options: &Options) -> anyhow::Result<()> {
    let backend = backend(&options.bus)?;
    let keys = Arc::new(KeyRing::new(Key::random("bench")?, None)?);
    let confirmer = Confirmer::new(sessions(&backend), backend.tokens.clone(), keys);
    let mut spec = NodeSpec::new(ns("ws").node(options.nid));
    spec.limits = limits();
    let node = Node::start(spec, backend).await?;
    let issuer = web::Data::new(confirmer.clone());
    let service = WsService::builder(node, confirmer)
        .workers(1)
        .ping_interval(Duration::from_secs(3600))
        .nsp("/", Auth::SessionSync)
        .nsp(OPEN, Auth::Open)
        .routes(routes)
        .http(move |cfg| {
            cfg.app_data(issuer.clone()).route("/bench/token", web::post().to(token));
        })
        .bind("127.0.0.1:0")?
        .build()?;
    let handle = service.handle();
    println!("ports {}", handle.local_addr().port());
    service.run(std::future::pending()).await?;
    Ok(())
}

/// What a page does: a session with a user, and a token.
async fn token(confirmer: web::Data<Confirmer>) -> Result<String, actix_web::Error> {
    let failed = |error| actix_web::error::ErrorInternalServerError(error);
    let document = SessionDocument::new(UserId::new(USER));
    let sid = confirmer.sessions().create(&document).await.map_err(failed)?;
    let (token, _) = confirmer.issue(&sid).await.map_err(failed)?;
    Ok(token)
}
