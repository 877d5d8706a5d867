//! The Whisk server under measurement: a ws-service with session-sync, and no limit of rates.

use std::{sync::Arc, time::Duration};

use actix_web::web;
use clap::Args;
use router_core::{
    Bus, Observers, Payload, RouteError, Routes,
    backend::memory::MemoryHub,
    keys::{Key, KeyRing},
    limits::Limits,
    node::{Node, NodeSpec},
    ns,
    session::{Confirmer, SessionDocument, SessionSettings, Sessions, Site, UserId},
    socket::{EmitError, LocalSockets},
};
use wire::socketio::{Nsp, Outgoing};
use ws_service::WsService;

/// Bytes of the message that every socket gets.
pub(crate) const PAYLOAD_LEN: usize = 128;

/// What a client sends to set off one broadcast.
pub(crate) const TRIGGER: &str = r#"42["bench.tell"]"#;

const EVENT: &str = "bench.told";

/// How the Whisk server runs.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Threads that hold sockets; one, as the limit program has.
    #[arg(long, default_value_t = 1)]
    workers: usize,
}

fn routes(cfg: &mut Routes) {
    cfg.route("bench").on("tell", tell);
}

async fn tell(bus: Bus) -> Result<(), RouteError> {
    bus.broadcast(ns("ws"), EVENT, &payload()).await?;
    Ok(())
}

fn observers(cfg: &mut Observers) {
    cfg.observer("bench").on_broadcast("told", told);
}

async fn told(sockets: LocalSockets, Payload(text): Payload<String>) -> Result<(), EmitError> {
    sockets.emit(EVENT, &text).await
}

fn payload() -> String {
    "x".repeat(PAYLOAD_LEN)
}

/// Bytes of one delivery, as the WebSocket frame that leaves.
pub(crate) fn frame_len() -> usize {
    let args = format!("\"{}\"", payload());
    Outgoing::event(&Nsp::ROOT, None, EVENT, &args).to_frame().len()
}

/// Runs until it is killed. Prints its port first.
pub(crate) fn run(options: Options) -> anyhow::Result<()> {
    actix_web::rt::System::new().block_on(serve(options))
}

async fn serve(options: Options) -> anyhow::Result<()> {
    let backend = MemoryHub::new().backend();
    let sessions = Sessions::new(backend.records.clone(), Site::main(), SessionSettings::default());
    let keys = Arc::new(KeyRing::new(Key::random("bench")?, None)?);
    let confirmer = Confirmer::new(sessions, backend.tokens.clone(), keys);
    let mut spec = NodeSpec::new(ns("ws").node(0));
    spec.limits = Arc::new(Limits::default().rates_and_numbers_off());
    let node = Node::start(spec, backend).await?;
    let issuer = web::Data::new(confirmer.clone());
    let service = WsService::builder(node, confirmer)
        .routes(routes)
        .observers(observers)
        .workers(options.workers)
        // A ping in the middle of a measurement would count as a delivery.
        .ping_interval(Duration::from_secs(3600))
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
    let document = SessionDocument::new(UserId::new("bench"));
    let sid = confirmer.sessions().create(&document).await.map_err(failed)?;
    let (token, _) = confirmer.issue(&sid).await.map_err(failed)?;
    Ok(token)
}
