//! What can go wrong with channels.

use super::ChannelNameError;
use crate::{
    backend::BackendError,
    envelope::FrameError,
    error::{RouteError, code},
    presence::EnterError,
    socket::JoinError,
};

/// Why a message was not published.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The payload cannot be written as JSON.
    #[error("the payload cannot be written as JSON")]
    Payload(#[from] serde_json::Error),
    /// The message's head is too long: its topic, or its sender's names.
    #[error("the message's head is too long")]
    Frame(#[from] FrameError),
    /// The store did not take it. [`BackendError::kind`] says whether some may have got it.
    #[error("the store did not take the message")]
    Unavailable(#[source] BackendError),
}

impl From<PublishError> for RouteError {
    fn from(error: PublishError) -> Self {
        match error {
            PublishError::Payload(_) => Self::internal(),
            PublishError::Frame(_) => Self::new(code::BAD_PAYLOAD, "The topic is too long."),
            PublishError::Unavailable(_) => Self::unavailable(),
        }
    }
}

/// Why a socket is not on a channel.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SubscribeError {
    /// A gate refused it, or the channel is closed: what the client is told.
    #[error("refused: {0}")]
    Refused(RouteError),
    /// The query is longer than the limit `subscription_query`.
    #[error("the query is too long")]
    QueryTooLong,
    /// The socket is on as many channels as it may be (the limit `channels_per_socket`), or gone, or
    /// the bus did not confirm the node's interest.
    #[error(transparent)]
    Join(#[from] JoinError),
    /// The store did not take the client on the roster. The socket is not on the channel.
    #[error("the store did not take the client on the roster")]
    Presence(#[source] EnterError),
    /// The store did not tell the channel's position. The socket is not on the channel.
    #[error("the store did not tell the channel's position")]
    Unavailable(#[from] BackendError),
}

impl From<SubscribeError> for RouteError {
    fn from(error: SubscribeError) -> Self {
        match error {
            SubscribeError::Refused(error) => error,
            SubscribeError::QueryTooLong => Self::new(code::BAD_PAYLOAD, "The query is too long."),
            SubscribeError::Join(error) => error.into(),
            SubscribeError::Presence(_) | SubscribeError::Unavailable(_) => Self::unavailable(),
        }
    }
}

impl From<ChannelNameError> for RouteError {
    fn from(error: ChannelNameError) -> Self {
        Self::new(code::BAD_CHANNEL, error.to_string())
    }
}
