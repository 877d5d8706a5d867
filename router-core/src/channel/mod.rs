//! Channels: what clients subscribe to and anyone publishes on.

mod name;
mod position;

pub use name::{ChannelKey, ChannelName, ChannelNameError};
pub use position::{Level, Position};
