//! What can become of a message that was given to the bus.

use crate::{
    args::PayloadError,
    backend::{BackendError, bus::AppendError},
    envelope::FrameError,
    error::{RouteError, code},
};

/// Why a broadcast did not reach other nodes. This node's own observers may have it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BroadcastError {
    /// The payload cannot be written as JSON.
    #[error("the payload cannot be written as JSON")]
    Payload(#[from] serde_json::Error),
    /// The message cannot be framed.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The bus did not take it.
    #[error("the bus did not take the broadcast")]
    Unavailable(#[source] BackendError),
}

/// Why a transmit has no receipt.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransmitError {
    /// The payload cannot be written as JSON.
    #[error("the payload cannot be written as JSON")]
    Payload(#[from] serde_json::Error),
    /// The message cannot be framed.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The address names no node.
    #[error("the address names a namespace and no node")]
    NoNode,
    /// The addressed node does not live, or lost its lease. It has not got the message.
    #[error("the node does not live")]
    NodeGone,
    /// A bounded queue on the way is full. The node has not got the message.
    #[error("a queue on the way is full")]
    Overloaded,
    /// No receipt came in time: the node may have the message, or get it yet.
    #[error("no receipt came in time")]
    Timeout,
    /// The bus did not take the message, or did not say so.
    #[error("the bus did not take the message")]
    Unavailable(#[source] BackendError),
}

impl From<AppendError> for TransmitError {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::NodeGone => Self::NodeGone,
            AppendError::Full => Self::Overloaded,
            AppendError::Backend(error) => Self::Unavailable(error),
        }
    }
}

/// Why an ask has no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AskError {
    /// The message did not arrive, or no answer came in time.
    #[error(transparent)]
    Transmit(#[from] TransmitError),
    /// The handler answered with an error.
    #[error("the answer is an error: {0}")]
    Answered(RouteError),
    /// The answer does not fit the type that was asked for.
    #[error("the answer does not fit")]
    Answer(#[source] PayloadError),
}

impl From<BroadcastError> for RouteError {
    fn from(error: BroadcastError) -> Self {
        match error {
            BroadcastError::Payload(_) | BroadcastError::Frame(_) => Self::internal(),
            BroadcastError::Unavailable(_) => Self::unavailable(),
        }
    }
}

impl From<TransmitError> for RouteError {
    fn from(error: TransmitError) -> Self {
        match error {
            TransmitError::NodeGone | TransmitError::NoNode => {
                Self::new(code::NODE_GONE, "Nobody lives at this address.")
            }
            TransmitError::Overloaded => Self::overloaded(1_000),
            TransmitError::Timeout => Self::new(code::TIMEOUT, "Nobody answered in time."),
            TransmitError::Unavailable(_) => Self::unavailable(),
            TransmitError::Payload(_) | TransmitError::Frame(_) => Self::internal(),
        }
    }
}

impl From<AskError> for RouteError {
    fn from(error: AskError) -> Self {
        match error {
            AskError::Transmit(error) => error.into(),
            AskError::Answered(error) => error,
            AskError::Answer(_) => Self::internal(),
        }
    }
}
