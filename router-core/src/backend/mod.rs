//! What a backend owes: a bus and some small stores, each method one atomic intent.
//!
//! `memory:` ([`memory`]) lives in this crate; the Redis one in `router-redis`. A program names its
//! backend in one place and passes it on as a [`Backend`]; no handler ever sees its type. One
//! conformance suite (`conformance`, feature `testing`) runs over every backend.
//!
//! All traits are object-safe. Every method is safe to drop before it finishes; whether its effect
//! then took place is unknown, as with [`BackendErrorKind::OutcomeUnknown`].

use std::{fmt, future::Future, pin::Pin, sync::Arc};

pub mod bus;
pub mod channels;
#[cfg(any(test, feature = "testing"))]
pub mod conformance;
pub mod memory;
pub mod presence;
pub mod records;
pub mod registry;
pub mod secrets;
pub mod tokens;

use bus::BusBackend;
use channels::ChannelStore;
use presence::PresenceStore;
use records::RecordStore;
use registry::Registry;
use secrets::SharedSecrets;
use tokens::TokenStore;

use crate::error::RouteError;

/// A future that may be sent to another thread.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Everything that a process takes from its backend.
#[derive(Clone, Debug)]
pub struct Backend {
    /// Broadcasts, and the streams of nodes.
    pub bus: Arc<dyn BusBackend>,
    /// Sessions, and the families of resume credentials.
    pub records: Arc<dyn RecordStore>,
    /// Session-sync tokens that were issued and not yet used.
    pub tokens: Arc<dyn TokenStore>,
    /// Which node lives where.
    pub registry: Arc<dyn Registry>,
    /// Keys that the processes of an example share.
    pub secrets: Arc<dyn SharedSecrets>,
    /// How far channels are, and publishing on them.
    pub channels: Arc<dyn ChannelStore>,
    /// Who is on channels.
    pub presence: Arc<dyn PresenceStore>,
}

/// Why a backend did not do what it was asked.
///
/// Callers branch on [`kind`](Self::kind); the source is for logs.
#[derive(Debug)]
pub struct BackendError {
    kind: BackendErrorKind,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// What is known about the effect of a call that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum BackendErrorKind {
    /// The call had no effect: the backend was not reached, or refused.
    NotApplied,
    /// The call was sent and no answer came: its effect may have taken place.
    OutcomeUnknown,
    /// The backend holds something under this name that Whisk did not write.
    Corrupt,
}

impl BackendError {
    /// An error of this kind without a cause to tell.
    pub fn new(kind: BackendErrorKind) -> Self {
        Self { kind, source: None }
    }

    /// An error of this kind, and what caused it.
    pub fn because(
        kind: BackendErrorKind,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self { kind, source: Some(source.into()) }
    }

    /// What is known about the effect.
    pub fn kind(&self) -> BackendErrorKind {
        self.kind
    }
}

impl fmt::Display for BackendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            BackendErrorKind::NotApplied => "the backend did not take the call",
            BackendErrorKind::OutcomeUnknown => "the backend did not answer in time",
            BackendErrorKind::Corrupt => "the backend holds a value that Whisk did not write",
        })
    }
}

impl std::error::Error for BackendError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

/// A handler may pass it on: its client may try again.
impl From<BackendError> for RouteError {
    fn from(error: BackendError) -> Self {
        tracing::debug!(%error, "a handler's call of the store failed");
        Self::unavailable()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::code;

    #[test]
    fn whatever_failed_in_the_store_a_client_is_told_to_try_again() {
        for kind in [BackendErrorKind::NotApplied, BackendErrorKind::OutcomeUnknown] {
            let error = RouteError::from(BackendError::because(kind, "the address of the store"));
            assert_eq!(error.code(), code::UNAVAILABLE);
            assert!(!error.to_string().contains("address"));
        }
    }
}
