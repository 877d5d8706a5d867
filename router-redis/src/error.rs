//! What can go wrong with a call, and what that says about its effect.

use redis::{ErrorKind, RedisError};
use router_core::backend::{BackendError, BackendErrorKind};

/// Why a call to Redis failed.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum Fault {
    /// There is no connection now; nothing was sent.
    #[error("not connected to Redis")]
    Down(#[source] Option<RedisError>),
    /// As many calls as are allowed wait for an answer; nothing was sent.
    #[error("too many calls wait for Redis")]
    Busy,
    /// The call was sent, and no answer came in time.
    #[error("Redis did not answer in time")]
    Silent,
    /// Redis answered with an error, or the connection broke.
    #[error(transparent)]
    Redis(#[from] RedisError),
    /// The answer is nothing that our own writes could have led to.
    #[error("Redis holds or answers something unexpected: {0}")]
    Unexpected(&'static str),
    /// The cluster sent the call from node to node.
    #[error("the cluster redirected the call too often")]
    Lost,
    /// The lease under which the call was made belongs to another life by now, or to nobody.
    #[error("the lease is lost")]
    Fenced,
    /// The link was told to leave the subject before its subscription was confirmed.
    #[error("the subject was left meanwhile")]
    Left,
    /// The subject is of a kind that this crate does not know.
    #[error("this backend has no channel for the subject")]
    NoChannel,
}

impl Fault {
    /// What is known about the call's effect. In doubt, that it is unknown.
    pub(crate) fn kind(&self) -> BackendErrorKind {
        match self {
            Self::Down(_)
            | Self::Busy
            | Self::Lost
            | Self::Fenced
            | Self::Left
            | Self::NoChannel => BackendErrorKind::NotApplied,
            Self::Silent => BackendErrorKind::OutcomeUnknown,
            Self::Unexpected(_) => BackendErrorKind::Corrupt,
            Self::Redis(error) => kind_of(error),
        }
    }
}

/// An error reply says that the command was refused (our scripts write only after their last
/// command that can fail). Whatever happens to the connection says nothing of the sort.
fn kind_of(error: &RedisError) -> BackendErrorKind {
    match (error.kind(), error.code()) {
        (_, Some("WRONGTYPE")) => BackendErrorKind::Corrupt,
        (ErrorKind::Server(_) | ErrorKind::Extension, _) => BackendErrorKind::NotApplied,
        (
            ErrorKind::AuthenticationFailed
            | ErrorKind::InvalidClientConfig
            | ErrorKind::RESP3NotSupported,
            _,
        ) => BackendErrorKind::NotApplied,
        (ErrorKind::UnexpectedReturnType, _) => BackendErrorKind::Corrupt,
        _ if error.is_connection_refusal() => BackendErrorKind::NotApplied,
        _ => BackendErrorKind::OutcomeUnknown,
    }
}

impl From<Fault> for BackendError {
    fn from(fault: Fault) -> Self {
        Self::because(fault.kind(), fault)
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use redis::ServerErrorKind;

    use super::*;

    #[test]
    fn a_refusal_is_told_from_an_unknown_outcome() {
        let refused = [
            ServerErrorKind::ReadOnly,
            ServerErrorKind::BusyLoading,
            ServerErrorKind::ClusterDown,
            ServerErrorKind::TryAgain,
            ServerErrorKind::MasterDown,
            ServerErrorKind::NoPerm,
        ];
        for kind in refused {
            let error = RedisError::from((ErrorKind::Server(kind), "refused"));
            assert_eq!(Fault::from(error).kind(), BackendErrorKind::NotApplied, "{kind:?}");
        }
        let io = |kind| Fault::from(RedisError::from(io::Error::from(kind))).kind();
        assert_eq!(io(io::ErrorKind::ConnectionRefused), BackendErrorKind::NotApplied);
        for broken in [
            io::ErrorKind::BrokenPipe,
            io::ErrorKind::ConnectionReset,
            io::ErrorKind::UnexpectedEof,
            io::ErrorKind::TimedOut,
        ] {
            assert_eq!(io(broken), BackendErrorKind::OutcomeUnknown, "{broken:?}");
        }
        assert_eq!(Fault::Silent.kind(), BackendErrorKind::OutcomeUnknown);
    }
}
