//! What goes into a connection's state machine, and what comes out of it.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use bytestring::ByteString;
use router_core::{
    Args, RouteError, TenantId,
    session::{ConfirmError, Confirmed, Credential},
    socket::{DisconnectReason, SocketInfo},
};
use wire::{CloseCode, CloseReason, engine, socketio::Nsp, ws};

use super::{
    auth::{ClientSecret, Identity},
    timers::Timer,
};
use crate::gate::Renewed;

/// One socket of a connection: counts up, so that what comes late for a socket that is gone meets
/// no other.
pub(crate) type SocketKey = u32;

/// A socket that is to be admitted.
#[derive(Debug)]
pub(crate) struct Applicant {
    pub(crate) nsp: Nsp,
    pub(crate) tid: TenantId,
    /// `None` where the nsp is open.
    pub(crate) identity: Option<Identity>,
    /// What the client's CONNECT carried, without credentials of ours.
    pub(crate) auth: Option<ByteString>,
    /// The secret by which its client is the same when it comes back.
    pub(crate) client: Option<ClientSecret>,
}

/// What happened to a connection.
#[derive(Debug)]
pub(crate) enum Input {
    /// The transport is open; where a session gate let it in for some time, for how long.
    Opened { good_for: Option<Duration> },
    /// The peer sent a message.
    Message(ws::Message),
    /// The peer sent a packet by long-polling.
    Packet(engine::Packet),
    /// The peer broke the framing.
    Violation(ws::Violation),
    /// A body of the peer's cannot be read.
    Malformed,
    /// A body of the peer's is over the bound.
    TooLarge,
    /// The peer asked twice for what waits: one of its transports is given up.
    Overlap,
    /// A timer is due.
    Timer(Timer),
    /// A credential was judged.
    Confirmed(Result<Box<Confirmed>, ConfirmError>),
    /// The nsp's guards let a socket in, or not.
    Guarded { key: SocketKey, outcome: Result<Arc<SocketInfo>, RouteError> },
    /// Whether the session of the connection's confirmation still lives.
    LookedAgain(Result<(), ConfirmError>),
    /// The client acknowledged what nobody asked, or nobody waits for any more.
    Unasked,
    /// How often the peer is pinged at least, for the rosters that its sockets are on.
    Pace(Option<Duration>),
    /// The peer is to be pinged now.
    Ping,
    /// The credential with which the confirmation is to be renewed was judged.
    Renewed(Result<Box<Confirmed>, ConfirmError>),
    /// Another credential was shown to the session gate's own judge.
    Readmitted(Renewed),
    /// A handler finished an event that had this acknowledgement id.
    Finished { key: SocketKey, id: Option<u64>, result: Result<Args, RouteError> },
    /// The application, an operator or the end of a session sends a socket away.
    Disconnect { key: SocketKey, reason: DisconnectReason },
    /// The node goes away: the client is told to come back after `after_ms`. `busy` says whether
    /// handlers still run; they have `within` to finish.
    Drain { after_ms: u64, busy: bool, within: Duration },
    /// The last running handler finished.
    Idle,
    /// The peer does not take what is sent to it.
    Slow,
    /// The peer ended the connection without a close frame, or the network did.
    Lost,
}

/// What is to be done.
#[derive(Debug)]
pub(crate) enum Effect {
    /// Write this frame.
    Send(Bytes),
    /// Set a timer, in place of its former time.
    Set(Timer, Duration),
    /// Have a timer be due after this time at the latest.
    Hasten(Timer, Duration),
    /// Unset a timer.
    Clear(Timer),
    /// Judge a credential, and say so with [`Input::Confirmed`].
    Confirm(Credential),
    /// Judge the credential with which a confirmation is renewed, and say so with [`Input::Renewed`].
    Renew(Credential),
    /// Show this to the session gate's own judge, and say so with [`Input::Readmitted`].
    Readmit(Args),
    /// See whether this session still lives, and say so with [`Input::LookedAgain`].
    LookAgain(Identity),
    /// A credential was not good, or could not be judged: the failure's code, for the hooks.
    NotConfirmed(&'static str),
    /// Ask the nsp's guards whether this socket may come in, and say so with [`Input::Guarded`].
    Guard { key: SocketKey, applicant: Applicant },
    /// A socket that the guards let in is admitted.
    Enter { key: SocketKey, info: Arc<SocketInfo> },
    /// A socket is admitted: from now on it gets what is sent to its nsp.
    Admit { key: SocketKey, applicant: Applicant },
    /// An event for a handler, to be answered with [`Input::Finished`].
    Event { key: SocketKey, id: Option<u64>, name: ByteString, args: Args },
    /// An admitted socket acknowledged the event of ours that had this id.
    Answered { key: SocketKey, id: u64, args: Args },
    /// An admitted socket is gone.
    Leave { key: SocketKey, reason: DisconnectReason },
    /// Count a hit of this limit.
    Limit(&'static str),
    /// Say goodbye with a close frame, then end. `answer` says whether the peer said it first.
    Close { code: CloseCode, reason: CloseReason, answer: bool },
    /// End at once, without a word: the peer would not read it, or is gone.
    Abort(CloseCode),
}
