//! What other threads tell a shard.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use bytestring::ByteString;
use router_core::{
    Args, TenantId,
    bus::Wanted,
    session::SessionId,
    socket::{DisconnectReason, JoinError, Recipients, RemoteSocket, Selection},
};
use tokio::sync::oneshot;

use crate::{
    connection::{asks::Asker, polling::Reply, stream::Traveller},
    sid::Sid,
};

/// One message to a shard, through its bounded queue.
#[derive(Debug)]
pub(crate) enum ShardMessage {
    /// A finished frame for some of the shard's sockets; and what it says, where somebody looks at
    /// what sockets are sent.
    Deliver { to: Target, frame: Bytes, volatile: bool, shown: Option<Arc<Shown>> },
    /// An event for one socket, whose acknowledgement goes to `asker`.
    Ask { tid: TenantId, event: ByteString, args: Args, asker: Asker },
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
    /// Somebody asks who is here, and on which rooms.
    Describe { who: Recipients, done: oneshot::Sender<Vec<RemoteSocket>> },
    /// Somebody asks for a socket's rooms.
    Rooms { tid: TenantId, done: oneshot::Sender<Vec<ByteString>> },
    /// A request to one of its polling sessions, whose socket came to another thread.
    Session { sid: Sid, request: Request },
    /// The node goes away: each connection gets a moment of its own to leave.
    Drain,
}

/// An event, as it is shown to those who look at what sockets are sent.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) event: ByteString,
    pub(crate) args: Args,
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

/// What a client asks of a polling session. A reply that is dropped means that there is no such
/// session.
#[derive(Debug)]
pub(crate) enum Request {
    /// GET: what waits, as soon as there is something.
    Poll(Reply),
    /// POST: packets.
    Post { body: Body, reply: Reply },
    /// The session may move to this WebSocket.
    Upgrade {
        stream: Traveller,
        /// Answers the request to upgrade; empty where its host does.
        response: Bytes,
        /// What came behind that request.
        early: BytesMut,
    },
}

/// The body of a request.
#[derive(Debug)]
pub(crate) enum Body {
    /// The whole of it.
    Whole(Bytes),
    /// Its client or the time for it ended first.
    Unread,
    /// Over the bound; not read to its end.
    TooLarge,
}
