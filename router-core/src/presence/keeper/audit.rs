//! Compares what the node holds with what the store says that it holds, page by page.
//!
//! So whatever a lost answer, a late one or a failover of the store left different is found in the
//! end, at a cost that does not depend on how much there is.

use std::{collections::BTreeMap, ops::Bound};

use super::{
    Ask, Call, Effect, Keeper,
    channel::Note,
    held::{Held, Known, Wish},
};
use crate::{
    backend::presence::Holding,
    channel::ChannelKey,
    presence::{ClientId, Member, Millis, PAGE_MAX, Serial, State},
};

/// How many clients are compared at a time.
pub(crate) const AUDIT_PAGE: usize = PAGE_MAX;

/// What is compared next.
#[derive(Debug, Default)]
pub(super) struct Cursor {
    /// After this channel; from the beginning if there is none.
    channel: Option<ChannelKey>,
    /// First in this channel, after this client.
    within: Option<(ChannelKey, Option<ClientId>)>,
    /// An answer is awaited.
    busy: bool,
}

impl Keeper {
    /// Asks for the next page, unless one is under way.
    pub(crate) fn audit(&mut self) {
        let Some(owner) = &self.owner else { return };
        if self.cursor.busy {
            return;
        }
        let (channel, after) = match self.cursor.within.take() {
            Some(within) => within,
            None => {
                let from = self.cursor.channel.take();
                let from = from.map_or(Bound::Unbounded, Bound::Excluded);
                let mut later = self.channels.range((from, Bound::Unbounded));
                let Some((channel, _)) = later.find(|(_, chan)| chan.is_to_audit()) else {
                    return;
                };
                (channel.clone(), None)
            }
        };
        self.cursor.channel = Some(channel.clone());
        let chan = self.channels.get(&channel).filter(|chan| chan.is_to_audit());
        if let Some(Note::Made(note)) = chan.map(|chan| chan.note) {
            self.cursor.busy = true;
            let ask = Ask::Audit { note, after, since: self.last, closing: false };
            self.effects.push(Effect::Call(Call { owner: owner.clone(), channel, ask }));
        }
    }

    /// The next audit begins with this channel: it is not known what was done there.
    pub(crate) fn doubt(&mut self, channel: &ChannelKey) {
        self.cursor.within = Some((channel.clone(), None));
    }

    pub(super) fn audited(
        &mut self,
        channel: &ChannelKey,
        (after, since): (Option<ClientId>, Serial),
        held: Option<Vec<Holding>>,
        now: Millis,
    ) {
        self.cursor.busy = false;
        let doubted = self.cursor.within.is_some();
        let Some(held) = held else {
            if !doubted {
                self.cursor.within = Some((channel.clone(), after));
            }
            return;
        };
        if held.len() >= AUDIT_PAGE && !doubted {
            self.cursor.within =
                Some((channel.clone(), held.last().map(|held| held.client.clone())));
        }
        self.compare(channel, (after, since), held, now);
    }

    /// `listed` is what the store has in this node's hands after a client: a page, or all the rest. It
    /// says nothing of what was asked after `since`.
    pub(super) fn compare(
        &mut self,
        channel: &ChannelKey,
        (after, since): (Option<ClientId>, Serial),
        listed: Vec<Holding>,
        now: Millis,
    ) {
        let Some(chan) = self.channels.get_mut(channel) else { return };
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let to = match listed.last() {
            Some(last) if listed.len() >= AUDIT_PAGE => Bound::Included(last.client.clone()),
            _ => Bound::Unbounded,
        };
        let listed = listed.into_iter().map(|held| (held.client.clone(), held));
        let listed: BTreeMap<_, _> = listed.collect();
        let mut doubtful = Vec::new();
        for (client, held) in chan.members.range_mut((from, to)) {
            let found = listed.get(client);
            let found =
                found.map_or((Known::Absent, 0), |found| (found.state.into(), found.serial));
            let comparable = held.is_settled() && held.at <= since;
            if comparable && held.stored().is_some_and(|stored| stored != found) {
                held.known = None;
                // What is listed may be this node's after all.
                held.maybe |= found.0 != Known::Absent;
                doubtful.push(client.clone());
            }
        }
        let strange = listed.into_keys().filter(|client| !chan.members.contains_key(client));
        let looks: Vec<_> = strange.map(Ask::Look).collect();
        self.tally.repairs += (doubtful.len() + looks.len()) as u64;
        if let Some(owner) = &self.owner {
            let (owner, channel) = (owner.clone(), channel.clone());
            let call =
                |ask| Effect::Call(Call { owner: owner.clone(), channel: channel.clone(), ask });
            self.effects.extend(looks.into_iter().map(call));
        }
        for client in doubtful {
            self.settle(channel, &client, now);
        }
    }

    /// Somebody whom the store has in this node's hands, and who is not known here: one that a lost
    /// answer brought, or a failover of the store.
    pub(super) fn looked(
        &mut self,
        channel: &ChannelKey,
        client: &ClientId,
        member: Option<Box<Member>>,
        now: Millis,
    ) {
        let Some(member) = member else { return };
        if self.owner.as_ref() != Some(&member.owner) || self.member(channel, client).is_some() {
            return;
        }
        let connected = member.state == State::Connected;
        let mut held = Held::adopted(*member, self.last, now);
        if connected {
            (held.wish, held.known) = (Wish::Gone, None);
        }
        self.take_in(channel, held);
        self.settle(channel, client, now);
    }
}
