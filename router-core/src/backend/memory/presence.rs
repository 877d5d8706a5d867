//! Rosters in memory, and the notes of who has members where.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::PoisonError,
    time::Duration,
};

use super::{
    MemoryHub, State,
    bus::hand_over,
    expiring::Expiring,
    roster::{Done, NOT_HELD, Roster},
};
use crate::{
    address::{Incarnation, NodeAddress},
    backend::{
        BackendError, BoxFuture,
        presence::{Adopted, Holding, Noted, Outcome, PresenceError, PresenceStore},
        registry::Lease,
    },
    channel::ChannelKey,
    presence::{ClientId, Counts, Entrance, Member, Millis, Page, PresenceEvent, Serial},
};

/// How long an empty roster's epoch, version and fences are remembered.
const EMPTY_TTL: Duration = Duration::from_secs(3600);

#[derive(Debug, Default)]
pub(super) struct Presences {
    rosters: Expiring<ChannelKey, Roster>,
    owners: BTreeSet<Lease>,
    notes: HashMap<Lease, Notes>,
    /// The last life of each node that was sealed. A number for each node: it may stay.
    sealed: HashMap<NodeAddress, Incarnation>,
}

/// The channels that a life has noted.
#[derive(Debug, Default)]
struct Notes {
    channels: BTreeMap<Serial, ChannelKey>,
    serials: HashMap<ChannelKey, Serial>,
}

impl Notes {
    fn forget(&mut self, channel: &ChannelKey) {
        if let Some(serial) = self.serials.remove(channel) {
            self.channels.remove(&serial);
        }
    }
}

impl State {
    /// A channel's roster, which begins where there is none.
    fn roster(&mut self, channel: &ChannelKey) -> &mut Roster {
        let epoch = self.next_number();
        self.presences
            .rosters
            .get_or_insert_with(channel, Duration::MAX, || Roster::new(format!("p{epoch}").into()))
    }

    /// Lets an empty roster be forgotten in a while.
    fn settle(&mut self, channel: &ChannelKey) {
        if self.presences.rosters.get(channel).is_some_and(|roster| roster.is_empty()) {
            self.presences.rosters.touch(channel, EMPTY_TTL);
        }
    }
}

impl MemoryHub {
    /// Changes a roster and tells it, in the order of versions.
    fn change<T, E: From<BackendError>>(
        &self,
        channel: &ChannelKey,
        act: impl FnOnce(&mut State) -> Result<(T, Vec<PresenceEvent>), E>,
    ) -> Result<T, E> {
        let subject = channel.subject();
        // Held until all have heard it.
        let _order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        let (answer, events, listeners) = {
            let mut state = self.reach()?;
            let acted = act(&mut state);
            state.settle(channel);
            let (answer, events) = acted?;
            (answer, events, state.bus.listeners(&subject))
        };
        for event in events {
            hand_over(listeners.as_ref(), &subject, &event.encode());
        }
        Ok(answer)
    }

    /// Changes a member, if there is a roster.
    fn change_held(
        &self,
        channel: &ChannelKey,
        act: impl FnOnce(&mut Roster) -> Done,
    ) -> Result<Outcome, BackendError> {
        self.change(channel, |state| {
            Ok(listed(state.presences.rosters.get(channel).map_or(NOT_HELD, act)))
        })
    }
}

/// A roster that begins where there is none, if the owner may write there.
fn unfenced<'a>(
    state: &'a mut State,
    channel: &ChannelKey,
    owner: &Lease,
) -> Result<&'a mut Roster, PresenceError> {
    let roster = state.roster(channel);
    if roster.fences(owner) { Err(PresenceError::Fenced) } else { Ok(roster) }
}

fn listed((outcome, event): Done) -> (Outcome, Vec<PresenceEvent>) {
    (outcome, event.into_iter().collect())
}

impl PresenceStore for MemoryHub {
    fn enter<'a>(
        &'a self,
        channel: &'a ChannelKey,
        owner: &'a Lease,
        entrance: &'a Entrance,
    ) -> BoxFuture<'a, Result<Outcome, PresenceError>> {
        Box::pin(async move {
            self.change(channel, |state| {
                Ok(listed(unfenced(state, channel, owner)?.enter(owner, entrance)))
            })
        })
    }

    fn lose<'a>(
        &'a self,
        channel: &'a ChannelKey,
        owner: &'a Lease,
        client: &'a ClientId,
        serial: Serial,
        last_seen: Millis,
    ) -> BoxFuture<'a, Result<Outcome, BackendError>> {
        Box::pin(async move {
            self.change_held(channel, |roster| roster.lose(owner, client, serial, last_seen))
        })
    }

    fn remove<'a>(
        &'a self,
        channel: &'a ChannelKey,
        owner: &'a Lease,
        client: &'a ClientId,
        serial: Serial,
    ) -> BoxFuture<'a, Result<Outcome, BackendError>> {
        Box::pin(
            async move { self.change_held(channel, |roster| roster.remove(owner, client, serial)) },
        )
    }

    fn adopt<'a>(
        &'a self,
        channel: &'a ChannelKey,
        dead: &'a Lease,
        owner: &'a Lease,
        seen: Millis,
        limit: usize,
    ) -> BoxFuture<'a, Result<Adopted, PresenceError>> {
        Box::pin(async move {
            self.change(channel, |state| {
                Ok(unfenced(state, channel, owner)?.adopt(dead, owner, seen, limit))
            })
        })
    }

    fn page<'a>(
        &'a self,
        channel: &'a ChannelKey,
        after: Option<&'a ClientId>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Page, BackendError>> {
        Box::pin(async move {
            let mut state = self.reach()?;
            let page = state.roster(channel).page(after, limit);
            state.settle(channel);
            Ok(page)
        })
    }

    fn member<'a>(
        &'a self,
        channel: &'a ChannelKey,
        client: &'a ClientId,
    ) -> BoxFuture<'a, Result<Option<Member>, BackendError>> {
        Box::pin(async move {
            let mut state = self.reach()?;
            let roster = state.presences.rosters.get(channel);
            Ok(roster.and_then(|roster| roster.member(client).cloned()))
        })
    }

    fn counts<'a>(
        &'a self,
        channel: &'a ChannelKey,
    ) -> BoxFuture<'a, Result<Counts, BackendError>> {
        Box::pin(async move {
            let mut state = self.reach()?;
            let roster = state.presences.rosters.get(channel);
            Ok(roster.map(|roster| roster.counts()).unwrap_or_default())
        })
    }

    fn held<'a>(
        &'a self,
        channel: &'a ChannelKey,
        owner: &'a Lease,
        after: Option<&'a ClientId>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Holding>, BackendError>> {
        Box::pin(async move {
            let mut state = self.reach()?;
            let roster = state.presences.rosters.get(channel);
            let held = roster.map(|roster| roster.holdings(owner, after, limit));
            Ok(held.unwrap_or_default())
        })
    }

    fn note<'a>(
        &'a self,
        owner: &'a Lease,
        channel: &'a ChannelKey,
        serial: Serial,
    ) -> BoxFuture<'a, Result<(), PresenceError>> {
        Box::pin(async move {
            let mut state = self.reach().map_err(PresenceError::Backend)?;
            let Presences { owners, notes, sealed, .. } = &mut state.presences;
            if sealed.get(&owner.node).is_some_and(|sealed| *sealed >= owner.incarnation) {
                return Err(PresenceError::Fenced);
            }
            owners.insert(owner.clone());
            let notes = notes.entry(owner.clone()).or_default();
            notes.forget(channel);
            notes.channels.insert(serial, channel.clone());
            notes.serials.insert(channel.clone(), serial);
            Ok(())
        })
    }

    fn forget<'a>(
        &'a self,
        owner: &'a Lease,
        channel: &'a ChannelKey,
        serial: Serial,
    ) -> BoxFuture<'a, Result<(), BackendError>> {
        Box::pin(async move {
            let mut state = self.reach()?;
            let notes = &mut state.presences.notes;
            if let Some(noted) = notes.get_mut(owner) {
                if noted.serials.get(channel) == Some(&serial) {
                    noted.forget(channel);
                }
                if noted.channels.is_empty() {
                    notes.remove(owner);
                }
            }
            Ok(())
        })
    }

    fn noted<'a>(
        &'a self,
        owner: &'a Lease,
        after: Serial,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Noted>, BackendError>> {
        Box::pin(async move {
            let state = self.reach()?;
            let notes = state.presences.notes.get(owner).into_iter();
            let later = notes.flat_map(|notes| notes.channels.range(after.saturating_add(1)..));
            let noted = |(serial, channel): (&Serial, &ChannelKey)| Noted {
                serial: *serial,
                channel: channel.clone(),
            };
            Ok(later.take(limit).map(noted).collect())
        })
    }

    fn owners(&self) -> BoxFuture<'_, Result<Vec<Lease>, BackendError>> {
        Box::pin(async move { Ok(self.reach()?.presences.owners.iter().cloned().collect()) })
    }

    fn seal<'a>(&'a self, owner: &'a Lease) -> BoxFuture<'a, Result<bool, BackendError>> {
        Box::pin(async move {
            let mut state = self.reach()?;
            if state.holds(owner) {
                return Ok(false);
            }
            let sealed = state.presences.sealed.entry(owner.node.clone());
            let sealed = sealed.or_insert(owner.incarnation);
            *sealed = owner.incarnation.max(*sealed);
            Ok(true)
        })
    }

    fn forget_owner<'a>(&'a self, owner: &'a Lease) -> BoxFuture<'a, Result<(), BackendError>> {
        Box::pin(async move {
            self.reach()?.presences.owners.remove(owner);
            Ok(())
        })
    }
}
