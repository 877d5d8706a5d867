//! What can become of an event for a socket, and of a wish to be on a room.

use crate::{
    args::PayloadError,
    backend::BackendError,
    error::{RouteError, code},
};

/// Why an event was not queued to a socket.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmitError {
    /// The payload cannot be written as JSON.
    #[error("the payload cannot be written as JSON")]
    Payload(#[from] serde_json::Error),
    /// The socket is gone.
    #[error("the socket is gone")]
    Gone,
    /// The node is going away.
    #[error("the node is going away")]
    Closing,
}

impl From<EmitError> for RouteError {
    fn from(error: EmitError) -> Self {
        match error {
            EmitError::Payload(_) => Self::internal(),
            EmitError::Gone => Self::new(code::NODE_GONE, "The socket is gone."),
            EmitError::Closing => Self::unavailable(),
        }
    }
}

/// The queue on the way to the sockets is full; some of them did not get the event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the queue on the way to the sockets is full")]
pub struct QueueFull;

/// Why an event of ours has no acknowledgement.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AckError {
    /// The payload cannot be written as JSON.
    #[error("the payload cannot be written as JSON")]
    Payload(#[from] serde_json::Error),
    /// None came in time. The client may have got the event.
    #[error("no acknowledgement came in time")]
    Timeout,
    /// The socket was gone already: it did not get the event.
    #[error("the socket is gone")]
    Gone,
    /// The socket went before it acknowledged. It may have got the event.
    #[error("the socket went before it acknowledged")]
    Disconnected,
    /// Too many events of this connection wait for theirs (the limit `pending_acks`): it did not get
    /// the event.
    #[error("too many events wait for their acknowledgement")]
    TooMany,
    /// The acknowledgement does not fit the type that was asked for.
    #[error("the acknowledgement does not fit")]
    Answer(#[source] PayloadError),
}

impl From<AckError> for RouteError {
    fn from(error: AckError) -> Self {
        match error {
            AckError::Payload(_) => Self::internal(),
            AckError::Timeout => Self::new(code::TIMEOUT, "Nobody answered in time."),
            AckError::Gone | AckError::Disconnected => EmitError::Gone.into(),
            AckError::TooMany => Self::overloaded(1_000),
            AckError::Answer(fault) => {
                Self::new(code::BAD_PAYLOAD, fault.reason).with("path", fault.path)
            }
        }
    }
}

/// Why a socket is not on a room that it was to join. It is on none of the rooms that it was to
/// join together, unless it was on them before.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// A room's name is empty or longer than [`ROOM_NAME_MAX`](super::ROOM_NAME_MAX).
    #[error("a room's name is 1 to 255 bytes")]
    Name,
    /// The socket is on as many rooms as it may be (the limit `rooms_per_socket`).
    #[error("the socket is on too many rooms")]
    TooManyRooms,
    /// The socket is on as many channels as it may be (the limit `channels_per_socket`).
    #[error("the socket is on too many channels")]
    TooManyChannels,
    /// The socket is gone.
    #[error("the socket is gone")]
    Gone,
    /// The bus did not confirm that this node listens to the room.
    #[error("the bus did not confirm the node's interest in the room")]
    Unavailable(#[source] BackendError),
    /// The node is going away.
    #[error("the node is going away")]
    Closing,
}

impl From<JoinError> for RouteError {
    fn from(error: JoinError) -> Self {
        match error {
            JoinError::Name => Self::new(code::BAD_ROOM, "A room's name is 1 to 255 bytes."),
            JoinError::TooManyRooms => {
                Self::new(code::TOO_MANY_ROOMS, "The socket is on too many rooms.")
            }
            JoinError::TooManyChannels => {
                Self::new(code::TOO_MANY_CHANNELS, "The socket is on too many channels.")
            }
            JoinError::Gone => EmitError::Gone.into(),
            JoinError::Closing | JoinError::Unavailable(_) => Self::unavailable(),
        }
    }
}
