//! What the program does with each event, the same in every namespace.

use std::time::Duration;

use router_core::{
    Args, Payload, RouteError, Routes,
    route::Hook,
    socket::{Handshake, Io, Socket},
};
use serde::Deserialize;

/// How long a client may take to acknowledge.
const ACK_TIMEOUT: Duration = Duration::from_secs(10);

/// What clients may emit.
pub(crate) fn routes(cfg: &mut Routes) {
    cfg.nsp("/guarded").guard(admit);
    cfg.hook(Hook::Connect, greet);
    cfg.root()
        .on("message", message)
        .on("message-with-ack", back)
        .on("echo", back)
        .on("emit-with-ack", emit_with_ack)
        .on("join", join)
        .on("leave", leave)
        .on("to-room", to_room)
        .on("to-all", to_all)
        .on_concurrent("bcast", bcast)
        .on("kick", kick)
        .on("kick-transport", kick_transport);
}

/// What a client shows to be let into `/guarded`.
#[derive(Debug, Deserialize)]
struct Shown {
    token: Option<String>,
}

/// `/guarded` admits those who know the word.
async fn admit(handshake: Handshake) -> Result<(), RouteError> {
    match handshake.auth::<Shown>() {
        Ok(Shown { token: Some(token) }) if token == "letmein" => Ok(()),
        _ => Err(RouteError::new("not_authorized", "not authorized")),
    }
}

/// On connect: `auth` with the object that the client came with.
async fn greet(socket: Socket, handshake: Handshake) -> Result<(), RouteError> {
    let auth = Args::from_checked_json(handshake.auth_json().into(), Vec::new());
    Ok(socket.emit_args("auth", auth).await?)
}

/// `message`: the arguments come back in an event.
async fn message(socket: Socket, args: Args) -> Result<(), RouteError> {
    Ok(socket.emit_args("message-back", args).await?)
}

/// `message-with-ack`, `echo`: the arguments come back in the acknowledgement.
async fn back(args: Args) -> Args {
    args
}

/// `emit-with-ack`: the arguments go out again with an acknowledgement asked for, and what came back
/// goes out once more. In the background, so that the client's next events do not wait for it.
async fn emit_with_ack(socket: Socket, args: Args) {
    actix_web::rt::spawn(async move {
        let asked = socket.emit_args_with_ack("emit-with-ack", args, ACK_TIMEOUT).await;
        let said = match asked {
            Ok(answer) => socket.emit_args("emit-with-ack", answer).await,
            Err(error) => return tracing::info!(%error, "nothing came back"),
        };
        if let Err(error) = said {
            tracing::info!(%error, "what came back has nowhere to go");
        }
    });
}

/// `join`: answered with the room when whatever is said there reaches the socket.
async fn join(socket: Socket, Payload(room): Payload<String>) -> Result<String, RouteError> {
    socket.join(&*room).await?;
    Ok(room)
}

/// `leave`: answered with the room when nothing said there reaches the socket any more.
async fn leave(socket: Socket, Payload(room): Payload<String>) -> String {
    socket.leave(&*room).await;
    room
}

/// `to-room`: `room-msg` with room and body to everyone on the room but the sender.
async fn to_room(
    socket: Socket,
    Payload(room): Payload<String>,
    args: Args,
) -> Result<&'static str, RouteError> {
    socket.to(&*room).emit_args("room-msg", args).await?;
    Ok("ok")
}

/// `to-all`: `all-msg` to everyone in the namespace on every node.
async fn to_all(io: Io, args: Args) -> Result<&'static str, RouteError> {
    io.emit_args("all-msg", args).await?;
    Ok("ok")
}

/// `bcast`: `msg` to everyone in the namespace on every node. Those that follow each other do not wait
/// until the bus has taken the one before; it gets them in their order all the same.
async fn bcast(io: Io, args: Args) -> Result<(), RouteError> {
    Ok(io.emit_args("msg", args).await?)
}

/// `kick`: disconnects the namespace.
async fn kick(socket: Socket) {
    socket.disconnect().await;
}

/// `kick-transport`: closes the connection, after which clients come back.
async fn kick_transport(socket: Socket) {
    socket.close_connection().await;
}
