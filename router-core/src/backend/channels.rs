//! Channels as a backend keeps them: how far each is, and publishing on it.

use std::fmt::Debug;

use bytes::Bytes;

use super::{BackendError, BoxFuture};
use crate::channel::{ChannelKey, Position};

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The message's own position.
    pub position: Position,
    /// How many links heard it, as far as the backend knows: one that broke in this moment may be
    /// counted and hear nothing.
    pub listeners: u64,
}

/// The positions of channels.
///
/// A channel begins with its first message, in an epoch that no other had, and is forgotten some days
/// after its last one. Who asks for one leaves nothing behind.
pub trait ChannelStore: Debug + Send + Sync {
    /// Takes the channel's next offset for `frame` and publishes it, stamped
    /// ([`Position::stamp`]), on the channel's [subject](ChannelKey::subject), in one atomic step:
    /// listeners hear a channel's frames in the order of their offsets.
    fn publish<'a>(
        &'a self,
        channel: &'a ChannelKey,
        frame: Bytes,
    ) -> BoxFuture<'a, Result<Stored, BackendError>>;

    /// How far the channel is; the [default](Position::default) where it has not begun. Whoever
    /// listens to it already hears all that is published after.
    fn position<'a>(
        &'a self,
        channel: &'a ChannelKey,
    ) -> BoxFuture<'a, Result<Position, BackendError>>;
}
