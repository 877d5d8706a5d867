//! What the keeper asks for, and what it hears back.

use crate::{
    backend::{
        presence::{Holding, Outcome},
        registry::Lease,
    },
    channel::ChannelKey,
    presence::{ClientId, Entrance, Member, Millis, Serial},
};

/// What the keeper wants done.
#[derive(Debug)]
pub(crate) enum Effect {
    /// A request to the store; its answer comes back by [`Keeper::answered`](super::Keeper::answered).
    Call(Call),
    /// Whoever waits for this serial is told.
    Tell(Serial, Result<(), EnterError>),
    /// Whoever waits for the note of this channel is told whether it is made.
    Noted(ChannelKey, bool),
}

/// A request to the store.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    /// The life that asks. An answer to a former one says nothing.
    pub(crate) owner: Lease,
    pub(crate) channel: ChannelKey,
    pub(crate) ask: Ask,
}

/// What is asked of the store.
#[derive(Debug, Clone)]
pub(crate) enum Ask {
    Note(Serial),
    Forget(Serial),
    Enter {
        entrance: Box<Entrance>,
        /// The serial of the socket's coming.
        came: Serial,
        /// What was said of the member then.
        turn: Serial,
        /// Whether the store might have had the client in this node's hands before.
        maybe: bool,
    },
    Lose {
        client: ClientId,
        serial: Serial,
        last_seen: Millis,
    },
    Remove {
        client: ClientId,
        serial: Serial,
    },
    /// The channel's note again, and a page of what the store says this node holds there.
    Audit {
        note: Serial,
        after: Option<ClientId>,
        /// The last serial when it was asked: what changed later is not compared.
        since: Serial,
        /// The channel is to be forgotten if there is nothing.
        closing: bool,
    },
    /// Somebody whom the store says this node holds, and who is not known here.
    Look(ClientId),
}

/// What the store said.
#[derive(Debug)]
pub(crate) enum Answer {
    /// To a note or its end.
    Done,
    /// To a request about a member.
    Member(Outcome),
    /// To an audit: at most [`AUDIT_PAGE`](super::AUDIT_PAGE) members.
    Held(Vec<Holding>),
    /// To a look.
    Looked(Option<Box<Member>>),
    /// The life that asked is over.
    Fenced,
    /// Nothing was done, or nothing is known.
    Failed {
        /// It may have been done, or be done yet.
        maybe: bool,
    },
}

/// Why a client is not on the roster, or what is said of it there has not changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EnterError {
    /// The store did not take it, or the node has no lease. Trying again later may help.
    #[error("presence is not available now")]
    Unavailable,
    /// A newer socket of the same client took its place.
    #[error("a newer socket of the client took its place")]
    Replaced,
    /// The socket was lost or left meanwhile, or was never there.
    #[error("the socket is not on the roster")]
    NotThere,
}
