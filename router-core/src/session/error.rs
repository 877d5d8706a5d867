//! What can go wrong with a session, and what a client gets to see of it.

use super::UpdateError;
use crate::{
    args::PayloadError,
    backend::BackendError,
    error::{RouteError, code},
    id::RandomError,
};

/// Why a session could not be read or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// There is none: it ended, ran out, or the socket was admitted without one.
    #[error("there is no session")]
    NoSession,
    /// The store does not fit the handler's type.
    #[error("the session's store does not fit the handler's type")]
    Document(#[source] PayloadError),
    /// The update does not fit the store.
    #[error("the update was refused")]
    Update(#[from] UpdateError),
    /// Other writers were faster in every one of the bounded attempts; nothing was changed.
    #[error("too many writers at once")]
    Contention,
    /// The backend failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// The operating system gave no randomness for a new id.
    #[error(transparent)]
    Random(#[from] RandomError),
}

impl From<SessionError> for RouteError {
    fn from(error: SessionError) -> Self {
        match error {
            SessionError::NoSession => Self::new(code::NO_SESSION, "There is no session."),
            SessionError::Document(fault) => {
                Self::new(code::BAD_SESSION, "The session does not fit this event.")
                    .with("path", fault.path)
            }
            SessionError::Update(fault) => Self::new(code::BAD_SESSION, fault.to_string()),
            SessionError::Contention => Self::overloaded(100),
            SessionError::Backend(_) | SessionError::Random(_) => Self::unavailable(),
        }
    }
}

/// Why a socket was not confirmed. Wrong, used, foreign and expired credentials are all
/// [`Refused`](Self::Refused), so that a guesser learns nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfirmError {
    /// The credential leads to no session.
    #[error("the credential was refused")]
    Refused,
    /// Nobody could tell: the client may try again with the same credential if it is a resume one,
    /// and with a new token otherwise.
    #[error("the credential could not be checked")]
    Unavailable(#[source] SessionError),
}

impl ConfirmError {
    /// The code that the client gets.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Refused => "session_refused",
            Self::Unavailable(_) => code::UNAVAILABLE,
        }
    }

    /// The text that the client gets.
    pub fn message(&self) -> &'static str {
        match self {
            Self::Refused => "Session confirmation failed.",
            Self::Unavailable(_) => "Session confirmation is not possible at the moment.",
        }
    }
}

impl From<SessionError> for ConfirmError {
    fn from(error: SessionError) -> Self {
        match error {
            SessionError::NoSession => Self::Refused,
            other => Self::Unavailable(other),
        }
    }
}

impl From<BackendError> for ConfirmError {
    fn from(error: BackendError) -> Self {
        Self::Unavailable(error.into())
    }
}

impl From<RandomError> for ConfirmError {
    fn from(error: RandomError) -> Self {
        Self::Unavailable(error.into())
    }
}
