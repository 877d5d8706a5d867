//! What the program does with each event.

use router_core::{
    Args, Bus, Observers, Payload, RouteError, Routes, ns,
    socket::{EmitError, LocalSockets, Socket},
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// What clients may emit. The same in every namespace.
pub(crate) fn routes(cfg: &mut Routes) {
    cfg.root()
        .on("message-with-ack", back)
        .on("echo", back)
        .on("to-all", to_all)
        .on("bcast", bcast)
        .on("kick", kick);
}

/// What nodes tell each other.
pub(crate) fn observers(cfg: &mut Observers) {
    cfg.observer("conformance").on_broadcast("said", said);
}

/// An event for everyone in a namespace.
#[derive(Debug, Serialize, Deserialize)]
struct Said {
    nsp: String,
    event: String,
    body: Box<RawValue>,
}

/// `message-with-ack`, `echo`: the acknowledgement has what came.
async fn back(args: Args) -> Args {
    args
}

/// `to-all`: `all-msg` to everyone in the namespace on every node.
async fn to_all(
    bus: Bus,
    socket: Socket,
    Payload(body): Payload<Box<RawValue>>,
) -> Result<&'static str, RouteError> {
    tell(&bus, &socket, "all-msg", body).await?;
    Ok("ok")
}

/// `bcast`: `msg` to everyone in the namespace on every node.
async fn bcast(
    bus: Bus,
    socket: Socket,
    Payload(body): Payload<Box<RawValue>>,
) -> Result<(), RouteError> {
    tell(&bus, &socket, "msg", body).await
}

async fn tell(
    bus: &Bus,
    socket: &Socket,
    event: &str,
    body: Box<RawValue>,
) -> Result<(), RouteError> {
    let said = Said { nsp: socket.nsp().to_owned(), event: event.to_owned(), body };
    bus.broadcast(ns("ws"), "conformance.said", &said).await?;
    Ok(())
}

/// `conformance.said`: passes it on to the sockets of this node.
async fn said(sockets: LocalSockets, Payload(said): Payload<Said>) -> Result<(), EmitError> {
    sockets.of(said.nsp).emit(&said.event, &said.body).await
}

/// `kick`: disconnects the namespace.
async fn kick(socket: Socket) {
    socket.disconnect().await;
}
