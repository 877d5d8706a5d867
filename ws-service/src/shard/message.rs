//! What other threads tell a shard.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use bytestring::ByteString;
use router_core::{
    Args, TenantId,
    bus::Wanted,
    channel::ChannelName,
    presence::{ClientId, Millis, Settings},
    session::{SessionId, UserId},
    socket::{DisconnectReason, JoinError, Recipients, RemoteSocket, Selection, SocketJob},
};
use tokio::sync::oneshot;

use super::rooms::Place;
use crate::{
    connection::{asks::Asker, frames::Event, polling::Reply, stream::Traveller},
    sid::Sid,
};

/// One message to a shard, through its bounded queue.
#[derive(Debug)]
pub(crate) enum ShardMessage {
    /// A finished frame for some of the shard's sockets, which are of one nsp; and what it says,
    /// where somebody looks at what sockets are sent.
    Deliver { to: Target, frame: Bytes, volatile: bool, shown: Option<Arc<Shown>> },
    /// An event for some of the shard's sockets, of whatever nsps.
    DeliverEach { to: Target, event: Arc<Event>, volatile: bool, shown: Option<Arc<Shown>> },
    /// An event for one socket, whose acknowledgement goes to `asker`.
    Ask { tid: TenantId, event: ByteString, args: Args, asker: Asker },
    /// Sockets are sent away.
    Disconnect { who: Recipients, reason: DisconnectReason },
    /// Sockets of a nsp are put on rooms or channels, of which the bus has confirmed that the node
    /// listens to them.
    Join {
        who: Recipients,
        nsp: ByteString,
        places: Vec<(Place, Wanted)>,
        done: oneshot::Sender<Result<(), JoinError>>,
    },
    /// Sockets are taken off rooms or channels.
    Leave { who: Recipients, places: Arc<[Place]>, done: oneshot::Sender<()> },
    /// A socket on a channel's roster is watched over, or no more.
    Watch {
        tid: TenantId,
        channel: ChannelName,
        settings: Option<Settings>,
        done: oneshot::Sender<()>,
    },
    /// Somebody asks when those on a channel's roster were heard last; they are pinged if `ping`.
    Sightings { channel: ChannelName, ping: bool, done: oneshot::Sender<Vec<(ClientId, Millis)>> },
    /// Something is to be done for sockets, on this thread.
    Run { who: Recipients, job: SocketJob },
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

/// Which sockets something is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// One socket.
    Socket(TenantId),
    /// Every socket of a nsp.
    Nsp(ByteString),
    /// The sockets of a session.
    Session(SessionId),
    /// The sockets of a user.
    User(UserId),
    /// Every socket.
    All,
    /// The sockets on a channel.
    Channel(ByteString),
    /// The sockets on a channel but one.
    ChannelBut(ByteString, TenantId),
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
