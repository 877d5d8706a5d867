//! What is told of a roster: its changes, its pages, its counts.

use bytestring::ByteString;
use serde::Serialize;

use super::{ClientId, Coming, Member, Millis, Serial};

/// What happened to a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// It came on the roster.
    Connected,
    /// It was not heard for the disconnect threshold, or its node died.
    Disconnected,
    /// It came back before it was removed.
    Reconnected,
    /// What it says of itself changed, or whose it is.
    Updated,
    /// It left, or did not come back.
    Removed,
}

impl Kind {
    /// The event's name as clients hear it: `client.connected`, …
    pub fn event(self) -> &'static str {
        match self {
            Self::Connected => "client.connected",
            Self::Disconnected => "client.disconnected",
            Self::Reconnected => "client.reconnected",
            Self::Updated => "client.updated",
            Self::Removed => "client.removed",
        }
    }
}

/// A change of a roster, told once to every node that listens to the channel.
///
/// Its version is the member's. Versions rise in an epoch, not always by one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PresenceEvent {
    /// What happened.
    pub kind: Kind,
    /// The roster's epoch. A new one begins where the store forgot the roster: whoever follows it
    /// reads it anew.
    pub epoch: ByteString,
    /// The member after the change; of a removed one, what it was.
    pub member: Member,
}

/// A part of a roster, in the order of client ids.
///
/// Whoever reads all pages and hears all changes meanwhile has the whole roster: of two words about
/// one client that of the greater version counts, and a removal heard before the last page was read
/// counts for the pages too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Page {
    /// The roster's epoch.
    pub epoch: ByteString,
    /// The roster's version when the page was read.
    pub version: u64,
    /// The members.
    pub members: Vec<Member>,
    /// After whom to read on, if there are more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<ClientId>,
}

/// How many are on a roster.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Members whose socket is there.
    pub connected: u64,
    /// Members whose socket is away, and which may come back.
    pub disconnected: u64,
    /// Users among all of them; two pages of one user are two members of one user.
    pub users: u64,
}

/// A client enters a roster: what its owner asks of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entrance {
    /// Who comes, by which socket.
    pub coming: Coming,
    /// When, by the owner's clock.
    pub at: Millis,
    /// How long it stays on the roster after it was last seen.
    pub kept: Millis,
    /// Tells this from the owner's earlier requests.
    pub serial: Serial,
    /// This socket was on the roster before: it does not take the client from a newer one.
    pub again: bool,
}
