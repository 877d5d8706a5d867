//! The session that a web page and its sockets share, and the credentials that lead to it.

mod authority;
mod credentials;
mod document;
mod error;
mod handle;
pub mod resume;
pub mod sessions;
pub mod token;
pub mod update;

pub use authority::{Authority, AuthorityError, ENDED_EVENT, Ended, observers};
pub use credentials::{Confirmed, Confirmer, Credential};
pub use document::{SessionDocument, SessionId, Site, UserId};
pub use error::{ConfirmError, SessionError};
pub use handle::Session;
pub use sessions::{SessionSettings, Sessions};
pub use update::{Update, UpdateError, inc, pull, push, set, unset};
