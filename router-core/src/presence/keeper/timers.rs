//! What is due when: sorted, so that a look costs what is due and not what is there.

use std::collections::BTreeSet;

use crate::{
    channel::ChannelKey,
    presence::{ClientId, Millis},
};

/// What is due: something of a channel itself, or of a member.
pub(super) type Item = (ChannelKey, Option<ClientId>);

/// At most one time for each item.
#[derive(Debug, Default)]
pub(super) struct Timers(BTreeSet<(Millis, Item)>);

impl Timers {
    /// Moves an item from the time that it had, in `now_at`, to another.
    pub(super) fn set(
        &mut self,
        channel: &ChannelKey,
        client: Option<&ClientId>,
        now_at: &mut Option<Millis>,
        at: Option<Millis>,
    ) {
        if *now_at == at {
            return;
        }
        let item = (channel.clone(), client.cloned());
        if let Some(before) = now_at.take() {
            let mut entry = (before, item);
            self.0.remove(&entry);
            if let Some(at) = at {
                entry.0 = at;
                self.0.insert(entry);
            }
        } else if let Some(at) = at {
            self.0.insert((at, item));
        }
        *now_at = at;
    }

    /// Takes what is due next. The item has no time then.
    pub(super) fn pop(&mut self, now: Millis) -> Option<Item> {
        if self.0.first()?.0 > now {
            return None;
        }
        self.0.pop_first().map(|(_, item)| item)
    }

    /// How many items have a time.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}
