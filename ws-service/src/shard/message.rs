//! What other threads tell a shard.

use bytes::Bytes;
use bytestring::ByteString;
use router_core::{
    TenantId,
    session::SessionId,
    socket::{DisconnectReason, Recipients},
};

/// One message to a shard, through its bounded queue.
#[derive(Debug)]
pub(crate) enum ShardMessage {
    /// A finished frame for some of the shard's sockets.
    Deliver { to: Target, frame: Bytes, volatile: bool },
    /// Sockets are sent away.
    Disconnect { who: Recipients, reason: DisconnectReason },
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
}
