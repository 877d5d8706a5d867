//! What a node holds on rosters: the plain state machine behind [`Presence`](super::Presence).
//!
//! It knows no clock and no store: times are given with each input, and [`Effect`]s say what to ask.
//! For each client there is a [wish](held::Wish), what the store is [known](held::Known) to have, and
//! at most one request under way; whatever is not yet so is asked for, again and again. Each input
//! costs the logarithm of how much there is.

mod ask;
mod audit;
mod channel;
mod held;
mod timers;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub use ask::EnterError;
pub(crate) use ask::{Answer, Ask, Call, Effect};
pub(crate) use audit::AUDIT_PAGE;

use self::{
    audit::Cursor,
    channel::Channel,
    held::{Held, Need, Timing, Wish},
    timers::Timers,
};
use super::{ClientId, Coming, Entrance, Member, Millis, Profile, Serial, Settings};
use crate::{
    address::Address,
    backend::{presence::Outcome, registry::Lease},
    channel::ChannelKey,
};

/// When a socket that another one replaced elsewhere is tried again: it comes back when that one is
/// lost before it.
const REPLACED: Millis = 30_000;

/// How much is looked at before others may say something.
const LOOKS: usize = 1_000;

/// What happened that is worth counting. Taken by [`Keeper::take_tally`].
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Requests that failed and will be made again.
    pub(crate) retries: u64,
    /// Differences to the store that an audit found.
    pub(crate) repairs: u64,
    /// Members that came from dead nodes.
    pub(crate) adopted: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Keeper {
    /// The life that owns what is held here; `None` while the node has no lease.
    owner: Option<Lease>,
    /// A life that the store said is over, though its node may not know yet.
    fenced: Option<Lease>,
    channels: BTreeMap<ChannelKey, Channel>,
    timers: Timers,
    /// The last serial or turn that was given out.
    last: Serial,
    cursor: Cursor,
    held: usize,
    effects: Vec<Effect>,
    tally: Tally,
}

impl Keeper {
    /// The life that owns what is held here.
    pub(crate) fn owner(&self) -> Option<&Lease> {
        self.owner.as_ref()
    }

    /// How many members are held here.
    pub(crate) fn len(&self) -> usize {
        self.held
    }

    /// What is to be done now.
    pub(crate) fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    /// What happened since this was last asked.
    pub(crate) fn take_tally(&mut self) -> Tally {
        std::mem::take(&mut self.tally)
    }

    /// Nothing is held and nothing is due.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.channels.is_empty() && self.timers.len() == 0
    }

    /// The node has this lease now, or none. A new life enters what the former one had.
    pub(crate) fn lives(&mut self, lease: Option<&Lease>, now: Millis) {
        if lease == self.owner.as_ref() || (lease.is_some() && lease == self.fenced.as_ref()) {
            return;
        }
        self.owner = lease.cloned();
        if lease.is_some() {
            self.fenced = None;
            self.live_anew(now);
        } else {
            self.refuse_all(now);
        }
    }

    /// A socket comes on the roster, or says again that it does. Whoever waits is told by its serial;
    /// `None` while the node has no lease: nothing happens then.
    pub(crate) fn came(
        &mut self,
        channel: &ChannelKey,
        settings: &Settings,
        coming: Coming,
        now: Millis,
    ) -> Option<Serial> {
        self.owner.as_ref()?;
        let next = self.next();
        let client = coming.client.clone();
        self.hurry_note(channel);
        let members = &mut self.channels.entry(channel.clone()).or_default().members;
        match members.get_mut(&client) {
            Some(held) if held.socket && held.coming.address == coming.address => {
                if held.coming != coming {
                    (held.coming, held.turn) = (coming, next);
                }
                held.timing = Timing::from(settings);
                held.asked.push((next, held.turn));
                (held.wish, held.retry) = (Wish::Here, None);
            }
            before => {
                let new = Held::new(coming, Timing::from(settings), next, before.as_deref());
                match before {
                    Some(before) => {
                        refuse(before, EnterError::Replaced, &mut self.effects);
                        *before = new;
                    }
                    None => {
                        members.insert(client.clone(), new);
                        self.held += 1;
                    }
                }
            }
        }
        self.settle(channel, &client, now);
        Some(next)
    }

    /// A socket was not heard for the disconnect threshold. It may be heard again.
    pub(crate) fn silent(
        &mut self,
        channel: &ChannelKey,
        client: &ClientId,
        address: &Address,
        last_seen: Millis,
        now: Millis,
    ) {
        self.of_socket(channel, client, address, now, |held, _| {
            held.wait(last_seen);
            held.look(now);
        });
    }

    /// A silent socket is heard again.
    pub(crate) fn heard(
        &mut self,
        channel: &ChannelKey,
        client: &ClientId,
        address: &Address,
        now: Millis,
    ) {
        self.of_socket(channel, client, address, now, |held, _| {
            if held.wish != Wish::Here {
                (held.wish, held.retry) = (Wish::Here, None);
            }
        });
    }

    /// A socket ended without goodbye. Its client may come back by another.
    pub(crate) fn lost(
        &mut self,
        channel: &ChannelKey,
        client: &ClientId,
        address: &Address,
        last_seen: Millis,
        now: Millis,
    ) {
        self.of_socket(channel, client, address, now, |held, effects| {
            held.socket = false;
            held.wait(last_seen);
            held.look(now);
            refuse(held, EnterError::NotThere, effects);
        });
    }

    /// A client left by this socket, and is gone at once.
    pub(crate) fn left(
        &mut self,
        channel: &ChannelKey,
        client: &ClientId,
        address: &Address,
        now: Millis,
    ) {
        self.of_socket(channel, client, address, now, |held, effects| {
            (held.socket, held.wish, held.retry) = (false, Wish::Gone, None);
            refuse(held, EnterError::NotThere, effects);
        });
    }

    /// A client says something else of itself. `None` if it is not here by this socket, else the
    /// serial by which it is told when the roster has it.
    pub(crate) fn updated(
        &mut self,
        channel: &ChannelKey,
        client: &ClientId,
        address: &Address,
        change: impl FnOnce(&mut Profile),
        now: Millis,
    ) -> Option<Serial> {
        self.owner.as_ref()?;
        let next = self.next();
        let mut serial = None;
        self.of_socket(channel, client, address, now, |held, _| {
            let before = held.coming.profile.clone();
            change(&mut held.coming.profile);
            if held.coming.profile != before {
                (held.turn, held.retry) = (next, None);
            }
            // Whoever says something is there.
            held.wish = Wish::Here;
            held.asked.push((next, held.turn));
            serial = Some(next);
        });
        serial
    }

    /// Members of a dead node came into the hands of `owner`, a life of this node.
    pub(crate) fn adopted(
        &mut self,
        owner: &Lease,
        channel: &ChannelKey,
        members: Vec<Member>,
        now: Millis,
    ) {
        if self.owner.as_ref() != Some(owner) {
            return;
        }
        for member in members {
            let client = member.coming.client.clone();
            match self.member(channel, &client) {
                // What this node asked meanwhile comes after the adoption and says what is so.
                Some(held) if !held.is_settled() => continue,
                // A socket of the client that is there counts for more than the one that is lost.
                Some(held) if held.socket => held.adopt(&member, now),
                _ => self.take_in(channel, Held::adopted(member, self.last, now)),
            }
            self.tally.adopted += 1;
            self.settle(channel, &client, now);
        }
    }

    /// Looks at what is due, at most [`LOOKS`] of it. `true` if there is more.
    pub(crate) fn tick(&mut self, now: Millis) -> bool {
        for _ in 0..LOOKS {
            let Some((channel, client)) = self.timers.pop(now) else { return false };
            match client {
                Some(client) => {
                    if let Some(held) = self.member(&channel, &client) {
                        held.due = None;
                        held.look(now);
                        self.settle(&channel, &client, now);
                    }
                }
                None => self.look_at_channel(&channel, now),
            }
        }
        true
    }

    /// The store answered.
    pub(crate) fn answered(&mut self, call: Call, answer: Answer, now: Millis) {
        let Call { owner, channel, ask } = call;
        if self.owner.as_ref() != Some(&owner) {
            return;
        }
        if matches!(answer, Answer::Fenced) {
            self.fence(now);
            return;
        }
        match (ask, answer) {
            (Ask::Note(serial), answer) => self.note_answered(&channel, serial, &answer, now),
            (Ask::Forget(serial), answer) => self.forget_answered(&channel, serial, &answer, now),
            (Ask::Audit { note, after, since, closing }, answer) => {
                let held = if let Answer::Held(clients) = answer { Some(clients) } else { None };
                if closing {
                    self.closing_answered(&channel, note, held, now);
                } else {
                    self.audited(&channel, (after, since), held, now);
                }
            }
            (Ask::Look(client), Answer::Looked(member)) => {
                self.looked(&channel, &client, member, now);
            }
            (Ask::Look(_), _) => {}
            (ask, answer) => self.member_answered(&channel, ask, &answer, now),
        }
    }

    fn member_answered(&mut self, channel: &ChannelKey, ask: Ask, answer: &Answer, now: Millis) {
        let (client, enters) = match &ask {
            Ask::Enter { entrance, maybe, .. } => (&entrance.coming.client, Some(*maybe)),
            Ask::Lose { client, .. } | Ask::Remove { client, .. } => (client, None),
            Ask::Note(_) | Ask::Forget(_) | Ask::Audit { .. } | Ask::Look(_) => return,
        };
        let client = client.clone();
        let Some(chan) = self.channels.get_mut(channel) else { return };
        let Some(held) = chan.members.get_mut(&client) else { return };
        held.in_flight = false;
        match (ask, answer) {
            (Ask::Enter { entrance, came, turn, .. }, Answer::Member(outcome)) => {
                held.at = entrance.serial;
                held.entered(came, turn, *outcome);
                if *outcome == Outcome::NotHeld && came == held.serial {
                    refuse(held, EnterError::Replaced, &mut self.effects);
                    held.retry = Some(now.saturating_add(REPLACED));
                }
            }
            (Ask::Lose { serial, .. }, Answer::Member(outcome)) => {
                held.at = serial;
                held.lost(*outcome);
            }
            (Ask::Remove { .. }, Answer::Member(_)) => held.removed(),
            (_, answer) => {
                if matches!(answer, Answer::Failed { maybe: true }) {
                    held.known = None;
                } else if let Some(before) = enters {
                    held.maybe = before;
                }
                if !refuse_entrance(held, now, &mut self.effects) {
                    self.tally.retries += 1;
                    held.retry = Some(now.saturating_add(held.timing.sync));
                }
            }
        }
        self.settle(channel, &client, now);
    }

    /// Asks for what a member needs, forgets it when it is over, and sets its time.
    fn settle(&mut self, channel: &ChannelKey, client: &ClientId, now: Millis) {
        let Some(chan) = self.channels.get_mut(channel) else { return };
        let is_noted = chan.is_noted();
        let Some(held) = chan.members.get_mut(client) else { return };
        for serial in held.answered() {
            self.effects.push(Effect::Tell(serial, Ok(())));
        }
        if !held.asked.is_empty() && matches!(held.wish, Wish::Away { .. } | Wish::Gone) {
            refuse(held, EnterError::NotThere, &mut self.effects);
            held.socket &= held.entered;
        }
        if held.is_over() {
            self.timers.set(channel, Some(client), &mut held.due, None);
            chan.members.remove(client);
            self.held -= 1;
            self.schedule_channel(channel, now);
            return;
        }
        let need = held.need();
        if need.is_none() {
            held.retry = None;
        }
        let next_look = held.next_look();
        self.timers.set(channel, Some(client), &mut held.due, next_look);
        let (Some(owner), Some(need)) = (&self.owner, need) else { return };
        if held.in_flight || held.retry.is_some() {
            return;
        }
        if need == Need::Enter && !is_noted {
            self.request_note(channel);
            return;
        }
        self.last += 1;
        let serial = self.last;
        let ask = match need {
            Need::Enter => {
                let (coming, kept, again) = (held.coming.clone(), held.timing.kept, held.entered);
                let entrance = Box::new(Entrance { coming, at: now, kept, serial, again });
                let maybe = std::mem::replace(&mut held.maybe, true);
                Ask::Enter { entrance, came: held.serial, turn: held.turn, maybe }
            }
            Need::Lose { last_seen } => Ask::Lose { client: client.clone(), serial, last_seen },
            Need::Remove => Ask::Remove { client: client.clone(), serial },
        };
        held.in_flight = true;
        let call = Call { owner: owner.clone(), channel: channel.clone(), ask };
        self.effects.push(Effect::Call(call));
    }

    /// The store says that this life is over: nothing more is asked until there is another.
    fn fence(&mut self, now: Millis) {
        self.fenced = self.owner.take();
        self.refuse_all(now);
    }

    /// Nobody who waits will hear of success.
    fn refuse_all(&mut self, now: Millis) {
        for chan in self.channels.values_mut() {
            for held in chan.members.values_mut() {
                refuse_entrance(held, now, &mut self.effects);
            }
        }
        for channel in self.pinned() {
            self.effects.push(Effect::Noted(channel, false));
        }
    }

    /// All that the former life noted and held is no more; what has a socket comes anew.
    fn live_anew(&mut self, now: Millis) {
        self.timers = Timers::default();
        self.cursor = Cursor::default();
        for channel in self.pinned() {
            self.effects.push(Effect::Noted(channel, false));
        }
        let mut all = Vec::with_capacity(self.held);
        self.held = 0;
        for (channel, chan) in &mut self.channels {
            chan.live_anew();
            chan.members.retain(|_, held| {
                held.due = None;
                let kept = held.live_anew();
                if !kept {
                    refuse(held, EnterError::Unavailable, &mut self.effects);
                }
                kept
            });
            self.held += chan.members.len();
            all.extend(chan.members.keys().map(|client| (channel.clone(), client.clone())));
        }
        let channels: Vec<_> = self.channels.keys().cloned().collect();
        for (channel, client) in all {
            self.settle(&channel, &client, now);
        }
        for channel in channels {
            self.schedule_channel(&channel, now);
        }
    }

    /// Puts a member in, in the place of what is held of its client.
    fn take_in(&mut self, channel: &ChannelKey, mut held: Held) {
        let client = held.coming.client.clone();
        let members = &mut self.channels.entry(channel.clone()).or_default().members;
        match members.get_mut(&client) {
            Some(before) => {
                held.due = before.due;
                *before = held;
            }
            None => {
                members.insert(client, held);
                self.held += 1;
            }
        }
    }

    /// Changes what is held by a socket. The older socket of a client that came by a newer one
    /// changes nothing.
    fn of_socket(
        &mut self,
        channel: &ChannelKey,
        client: &ClientId,
        address: &Address,
        now: Millis,
        change: impl FnOnce(&mut Held, &mut Vec<Effect>),
    ) {
        let Some(chan) = self.channels.get_mut(channel) else { return };
        let Some(held) = chan.members.get_mut(client) else { return };
        if held.socket && held.coming.address == *address {
            change(held, &mut self.effects);
            self.settle(channel, client, now);
        }
    }

    fn member(&mut self, channel: &ChannelKey, client: &ClientId) -> Option<&mut Held> {
        self.channels.get_mut(channel)?.members.get_mut(client)
    }

    fn next(&mut self) -> Serial {
        self.last += 1;
        self.last
    }
}

/// Tells whoever waits that it is in vain.
fn refuse(held: &mut Held, why: EnterError, effects: &mut Vec<Effect>) {
    for (serial, _) in held.asked.drain(..) {
        effects.push(Effect::Tell(serial, Err(why)));
    }
}

/// An entrance that somebody waits for failed. A socket that was not on the roster before is then as
/// one that was lost; another one stays, and is tried again. `true` if it is not to be tried again.
fn refuse_entrance(held: &mut Held, now: Millis, effects: &mut Vec<Effect>) -> bool {
    let asked = !held.asked.is_empty();
    refuse(held, EnterError::Unavailable, effects);
    if asked && !held.entered {
        held.socket = false;
        held.wait(now);
        return true;
    }
    false
}
