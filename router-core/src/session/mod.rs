//! The session that a web page and its sockets share, and the credentials that lead to it.

mod credentials;
mod document;
mod error;
mod handle;
pub mod resume;
pub mod sessions;
pub mod token;
pub mod update;

pub use credentials::{Confirmed, Confirmer, Credential};
pub use document::{SessionDocument, SessionId, Site, UserId};
pub use error::{ConfirmError, SessionError};
pub use handle::Session;
pub use sessions::{SessionSettings, Sessions};
pub use update::{Update, UpdateError, inc, pull, push, set, unset};

/// The event of the broadcast to namespace `ws`, and of the transmit to each of its nodes, that tells
/// that a session has ended. Its payload is an [`Ended`]. A node may hear it twice.
pub const ENDED_EVENT: &str = "whisk.session_ended";

/// A session that ended by logout or revocation; every node sends its sockets away.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Ended {
    /// The session's id.
    pub sid: SessionId,
    /// What it held at its end, where that is known: for the disconnect hooks of its sockets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<SessionDocument>,
}
