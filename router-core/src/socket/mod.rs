//! Sockets as handlers hold them.
//!
//! | handle | is |
//! |---|---|
//! | [`Socket`] | one socket of this node: emit, ask, join, leave |
//! | [`LocalSockets`] | all sockets of this node |
//! | [`Io`] | the sockets of all nodes |
//! | [`Emitter`] | some of them, by room: what [`Io`] and [`Socket`] make when they are told `to` whom |
//!
//! What a program adds to a single socket, to see or stop its events, stands in the table of [`Tap`].
//!
//! A *room* is a channel without history: a name that sockets of one nsp are on, on whatever node. A
//! socket's own room is its [address](SocketInfo::address); it is reached there and never joined.

mod cluster;
mod data;
mod emitter;
mod error;
mod handle;
mod handshake;
mod hub;
mod io;
mod room;
mod selection;
mod taps;

use std::sync::Arc;

use bytestring::ByteString;

pub use cluster::{QueryError, RemoteSocket, observers};
pub use data::SocketData;
pub use emitter::Emitter;
pub use error::{AckError, EmitError, JoinError, QueueFull};
pub use handle::{LocalSockets, Socket};
pub use handshake::{Handshake, OpeningRequest};
pub use hub::{NoSockets, SocketHub, SocketJob};
pub use io::Io;
pub use room::{IntoRooms, ROOM_NAME_MAX, Room, room_channel};
pub use selection::Selection;
pub use taps::Tap;

use crate::{
    address::{Address, TenantId},
    args::Args,
    channel::ChannelName,
    handler::DataMap,
    presence::ClientId,
    session::{SessionDocument, SessionId, UserId},
};

/// What is known of a socket from its admission on. All but its data never changes; a socket whose
/// session changes hands is closed.
#[derive(Debug)]
pub struct SocketInfo {
    /// Where it lives; its tenant id is the socket's public id.
    pub address: Address,
    /// The Socket.IO namespace that it is connected to.
    pub nsp: ByteString,
    /// Its session, where it was confirmed.
    pub sid: Option<SessionId>,
    /// Its user, where it was confirmed.
    pub user_id: Option<UserId>,
    /// With what its client came.
    pub handshake: Handshake,
    /// What the program keeps with it.
    pub data: SocketData,
    /// Who its client is to others, where that came with a secret of its own: the same when it comes
    /// back.
    pub client: Option<ClientId>,
    /// With what the session gate let its connection in, if there is one.
    pub locals: Option<Arc<DataMap>>,
}

impl SocketInfo {
    /// Whether somebody looks at every event that comes from it.
    pub fn has_incoming_taps(&self) -> bool {
        self.data.taps().is_some_and(taps::Taps::has_incoming)
    }

    /// Whether somebody looks at every event that is emitted to it.
    pub fn has_outgoing_taps(&self) -> bool {
        self.data.taps().is_some_and(taps::Taps::has_outgoing)
    }

    /// Shows an event that is emitted to it to those who look at them all. For hubs.
    pub fn show_outgoing(&self, event: &str, args: &Args) {
        if let Some(taps) = self.data.taps() {
            taps.show(event, args);
        }
    }

    /// Notes that a hub counts it, or no more, among the sockets whose events are looked at. Returns
    /// whether that is a change. For hubs.
    pub fn set_tapped(&self, tapped: bool) -> bool {
        self.data.taps().is_some_and(|taps| taps.set_tapped(tapped))
    }

    /// Who its client is to others: by a secret of its own, else by the socket's id.
    pub fn client_id(&self) -> ClientId {
        let tid = || self.address.tid().cloned().map(ClientId::from);
        self.client.clone().or_else(tid).unwrap_or_else(ClientId::least)
    }
}

/// Whom a message goes to on this node.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Recipients {
    /// One socket.
    Socket(TenantId),
    /// Every admitted socket of a Socket.IO namespace.
    Nsp(ByteString),
    /// Every socket of a session.
    Session(SessionId),
    /// Every socket of a user.
    User(UserId),
    /// Every admitted socket of the node.
    All,
    /// Those on a channel, in whatever nsp, but one.
    Channel {
        /// The channel.
        name: ChannelName,
        /// Who is not meant.
        except: Option<TenantId>,
    },
    /// Those of one nsp that are on some rooms and not on others.
    Selection(Arc<Selection>),
}

/// Why a socket went, as the disconnect hook and its extractor see it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum DisconnectReason {
    /// The client left the namespace.
    Client,
    /// A handler or an operator sent it away.
    Server,
    /// It was sent away for good, and its client told why.
    Booted(ByteString),
    /// The connection ended, by a close frame or without: a page that is left, a network that is
    /// gone. The client may come back.
    TransportClosed,
    /// No answer to a ping in time.
    PingTimeout,
    /// The client did not take what waited for it.
    Slow,
    /// The client broke the protocol or a limit; the close code's name.
    Refused(&'static str),
    /// The session ended: logout or revocation. Its last state, where whoever ended it told it: a
    /// disconnect hook can then still extract the [`Session`](crate::session::Session).
    SessionEnded(Option<Arc<SessionDocument>>),
    /// The node is going away.
    Drain,
}

impl DisconnectReason {
    /// The reason's name, as logs and metrics use it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
            Self::Booted(_) => "booted",
            Self::TransportClosed => "transport_closed",
            Self::PingTimeout => "ping_timeout",
            Self::Slow => "slow",
            Self::Refused(name) => name,
            Self::SessionEnded(_) => "session_ended",
            Self::Drain => "drain",
        }
    }
}
