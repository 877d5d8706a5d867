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

/// The event of the broadcast to namespace `ws` that tells nodes that a session has ended. Its
/// payload is an [`Ended`].
pub const ENDED_EVENT: &str = "whisk.session_ended";

/// A session that ended by logout or revocation; every node sends its sockets away.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Ended {
    /// The session's id.
    pub sid: SessionId,
}
