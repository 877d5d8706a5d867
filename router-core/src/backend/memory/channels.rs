//! Positions of channels in memory.

use std::{sync::PoisonError, time::Duration};

use bytes::Bytes;

use super::{MemoryHub, State, bus::hand_over, expiring::Expiring};
use crate::{
    backend::{
        BackendError, BoxFuture,
        channels::{ChannelStore, Stored},
    },
    channel::{ChannelKey, Position},
};

/// How long a channel is remembered that nobody publishes on.
const CHANNEL_TTL: Duration = Duration::from_secs(7 * 24 * 3600);

pub(super) type Positions = Expiring<ChannelKey, Position>;

impl State {
    /// The position of a channel's next message.
    fn advance(&mut self, channel: &ChannelKey) -> Position {
        let epoch = self.next_number();
        let position = self.positions.get_or_insert_with(channel, CHANNEL_TTL, || Position {
            epoch: format!("m{epoch}").into(),
            offset: 0,
        });
        position.offset += 1;
        position.clone()
    }
}

impl ChannelStore for MemoryHub {
    fn publish<'a>(
        &'a self,
        channel: &'a ChannelKey,
        frame: Bytes,
    ) -> BoxFuture<'a, Result<Stored, BackendError>> {
        Box::pin(async move {
            let subject = channel.subject();
            // Held until all have heard it: frames are heard in the order of their offsets.
            let _order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
            let (stored, listeners) = {
                let mut state = self.reach()?;
                let position = state.advance(channel);
                let listeners = state.bus.listeners(&subject);
                let count = listeners.as_ref().map_or(0, |listeners| listeners.len() as u64);
                (Stored { position, listeners: count }, listeners)
            };
            hand_over(listeners.as_ref(), &subject, &stored.position.stamp(&frame));
            Ok(stored)
        })
    }

    fn position<'a>(
        &'a self,
        channel: &'a ChannelKey,
    ) -> BoxFuture<'a, Result<Position, BackendError>> {
        Box::pin(
            async move { Ok(self.reach()?.positions.get(channel).cloned().unwrap_or_default()) },
        )
    }
}
