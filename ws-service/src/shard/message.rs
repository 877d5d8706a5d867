//! What other threads tell a shard.

use std::sync::Arc;

use bytes::Bytes;
use bytestring::ByteString;
use router_core::{
    TenantId,
    bus::Wanted,
    session::SessionId,
    socket::{DisconnectReason, JoinError, Recipients, Selection},
};
use tokio::sync::oneshot;

/// One message to a shard, through its bounded queue.
#[derive(Debug)]
pub(crate) enum ShardMessage {
    /// A finished frame for some of the shard's sockets.
    Deliver { to: Target, frame: Bytes, volatile: bool },
    /// Sockets are sent away.
    Disconnect { who: Recipients, reason: DisconnectReason },
    /// Sockets of a nsp are put on rooms, of which the bus has confirmed that the node listens to
    /// them.
    Join {
        who: Recipients,
        nsp: ByteString,
        rooms: Vec<(ByteString, Wanted)>,
        done: oneshot::Sender<Result<(), JoinError>>,
    },
    /// Sockets are taken off rooms.
    Leave { who: Recipients, rooms: Arc<[ByteString]>, done: oneshot::Sender<()> },
    /// Somebody asks for a socket's rooms.
    Rooms { tid: TenantId, done: oneshot::Sender<Vec<ByteString>> },
    /// The node goes away: each connection gets a moment of its own to leave.
    Drain,
}

/// Which sockets a frame is for. They are all of one nsp, since the frame names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// One socket.
    Socket(TenantId),
    /// Every socket of a nsp.
    Nsp(ByteString),
    /// The sockets of a session that are in this nsp.
    Session(SessionId, ByteString),
    /// Some sockets of a nsp.
    Selection(Arc<Selection>),
}
