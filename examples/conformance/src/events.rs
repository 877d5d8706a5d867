//! What the program does with each event, the same in every namespace.

use router_core::{
    Args, Payload, RouteError, Routes,
    socket::{Io, Socket},
};

/// What clients may emit.
pub(crate) fn routes(cfg: &mut Routes) {
    cfg.root()
        .on("message", message)
        .on("message-with-ack", back)
        .on("echo", back)
        .on("join", join)
        .on("leave", leave)
        .on("to-room", to_room)
        .on("to-all", to_all)
        .on("bcast", bcast)
        .on("kick", kick);
}

/// `message`: the arguments come back in an event.
async fn message(socket: Socket, args: Args) -> Result<(), RouteError> {
    Ok(socket.emit_args("message-back", args).await?)
}

/// `message-with-ack`, `echo`: the arguments come back in the acknowledgement.
async fn back(args: Args) -> Args {
    args
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

/// `bcast`: `msg` to everyone in the namespace on every node.
async fn bcast(io: Io, args: Args) -> Result<(), RouteError> {
    Ok(io.emit_args("msg", args).await?)
}

/// `kick`: disconnects the namespace.
async fn kick(socket: Socket) {
    socket.disconnect().await;
}
