//! A channel on which the node holds somebody: its note, and its end.

use std::collections::BTreeMap;

use super::{Answer, Ask, Call, Effect, Keeper, held::Held, refuse_entrance};
use crate::{
    backend::presence::Holding,
    channel::ChannelKey,
    presence::{ClientId, Millis, Serial},
};

/// How long a channel is kept after its last member: longer than a request without an answer can be
/// under way. Somebody who reloads a page then costs no new note either.
pub(crate) const GRACE: Millis = 30_000;

/// When a note that failed is tried again.
const NOTE_AGAIN: Millis = 5_000;

/// Whether the store knows that this node has members on the channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Note {
    /// It does not.
    #[default]
    No,
    /// It is being told.
    Asked(Serial),
    /// It does.
    Made(Serial),
    /// It is being told that there is nothing more.
    Forgetting(Serial),
    /// It may or may not: to be told anew before anybody enters.
    Doubt,
}

#[derive(Debug, Default)]
pub(super) struct Channel {
    pub(super) note: Note,
    pub(super) members: BTreeMap<ClientId, Held>,
    /// How many are about to bring members in.
    pins: usize,
    /// It is being looked at for the last time.
    closing: bool,
    /// When it is looked at next; the timers have it under this time.
    due: Option<Millis>,
}

impl Channel {
    pub(super) fn is_noted(&self) -> bool {
        matches!(self.note, Note::Made(_))
    }

    /// Not if it is about to be forgotten: a note that is made again and comes late would stay.
    pub(super) fn is_to_audit(&self) -> bool {
        self.is_noted() && !self.is_idle()
    }

    fn is_idle(&self) -> bool {
        self.members.is_empty() && self.pins == 0
    }

    pub(super) fn live_anew(&mut self) {
        (self.note, self.closing, self.due) = (Note::No, false, None);
    }
}

impl Keeper {
    /// Somebody is about to bring members in: the channel is noted and stays so until
    /// [`unpin`](Self::unpin). Told by [`Effect::Noted`].
    pub(crate) fn pin(&mut self, channel: &ChannelKey) {
        self.hurry_note(channel);
        let chan = self.channels.entry(channel.clone()).or_default();
        chan.pins += 1;
        if chan.is_noted() {
            self.effects.push(Effect::Noted(channel.clone(), true));
        } else if self.owner.is_none() {
            self.effects.push(Effect::Noted(channel.clone(), false));
        } else {
            self.request_note(channel);
        }
    }

    /// They are in.
    pub(crate) fn unpin(&mut self, channel: &ChannelKey, now: Millis) {
        if let Some(chan) = self.channels.get_mut(channel) {
            chan.pins = chan.pins.saturating_sub(1);
            self.schedule_channel(channel, now);
        }
    }

    pub(super) fn pinned(&self) -> Vec<ChannelKey> {
        let pinned = self.channels.iter().filter(|(_, chan)| chan.pins > 0);
        pinned.map(|(channel, _)| channel.clone()).collect()
    }

    /// Somebody new waits for the note: it is not waited for until the next attempt is due.
    pub(super) fn hurry_note(&mut self, channel: &ChannelKey) {
        if let Some(chan) = self.channels.get_mut(channel)
            && chan.note == Note::Doubt
        {
            self.timers.set(channel, None, &mut chan.due, None);
        }
    }

    pub(super) fn request_note(&mut self, channel: &ChannelKey) {
        let serial = self.next();
        let (Some(owner), Some(chan)) = (&self.owner, self.channels.get_mut(channel)) else {
            return;
        };
        if matches!(chan.note, Note::No | Note::Doubt) && chan.due.is_none() {
            chan.note = Note::Asked(serial);
            let (owner, channel) = (owner.clone(), channel.clone());
            self.effects.push(Effect::Call(Call { owner, channel, ask: Ask::Note(serial) }));
        }
    }

    pub(super) fn note_answered(
        &mut self,
        channel: &ChannelKey,
        serial: Serial,
        answer: &Answer,
        now: Millis,
    ) {
        let Some(chan) = self.channels.get_mut(channel) else { return };
        if chan.note != Note::Asked(serial) {
            return;
        }
        let made = matches!(answer, Answer::Done);
        chan.note = if made { Note::Made(serial) } else { Note::Doubt };
        let waiting = chan.members.iter_mut().filter(|(_, held)| held.need().is_some());
        let mut clients = Vec::new();
        for (client, held) in waiting {
            if !made {
                refuse_entrance(held, now, &mut self.effects);
            }
            clients.push(client.clone());
        }
        if chan.pins > 0 {
            self.effects.push(Effect::Noted(channel.clone(), made));
        }
        if !made {
            self.tally.retries += 1;
            self.schedule_channel(channel, now);
        }
        for client in clients {
            self.settle(channel, &client, now);
        }
        self.schedule_channel(channel, now);
    }

    /// Sets when a channel is to be looked at, from now.
    pub(super) fn schedule_channel(&mut self, channel: &ChannelKey, now: Millis) {
        let Some(chan) = self.channels.get_mut(channel) else { return };
        let after = match chan.note {
            Note::No if chan.is_idle() => {
                self.timers.set(channel, None, &mut chan.due, None);
                self.channels.remove(channel);
                return;
            }
            Note::Made(_) | Note::Doubt if chan.is_idle() => Some(GRACE),
            Note::Doubt => Some(NOTE_AGAIN),
            Note::No | Note::Made(_) | Note::Asked(_) | Note::Forgetting(_) => None,
        };
        let due = after.map(|after| now.saturating_add(after));
        self.timers.set(channel, None, &mut chan.due, due);
    }

    pub(super) fn look_at_channel(&mut self, channel: &ChannelKey, now: Millis) {
        let Some(chan) = self.channels.get_mut(channel) else { return };
        chan.due = None;
        match (chan.note, &self.owner) {
            (Note::Doubt, Some(_)) => self.request_note(channel),
            (Note::Made(note), Some(owner)) if chan.is_idle() && !chan.closing => {
                chan.closing = true;
                let (owner, channel) = (owner.clone(), channel.clone());
                let ask = Ask::Audit { note, after: None, since: self.last, closing: true };
                self.effects.push(Effect::Call(Call { owner, channel, ask }));
            }
            _ => self.schedule_channel(channel, now),
        }
    }

    /// The last look at a channel without members: it is forgotten if the store has none either.
    pub(super) fn closing_answered(
        &mut self,
        channel: &ChannelKey,
        note: Serial,
        held: Option<Vec<Holding>>,
        now: Millis,
    ) {
        let Some(chan) = self.channels.get_mut(channel) else { return };
        chan.closing = false;
        let nobody = held.as_ref().is_some_and(Vec::is_empty);
        if nobody
            && chan.is_idle()
            && chan.note == Note::Made(note)
            && let Some(owner) = &self.owner
        {
            chan.note = Note::Forgetting(note);
            let (owner, channel) = (owner.clone(), channel.clone());
            self.effects.push(Effect::Call(Call { owner, channel, ask: Ask::Forget(note) }));
            return;
        }
        let since = self.last;
        self.compare(channel, (None, since), held.unwrap_or_default(), now);
        self.schedule_channel(channel, now);
    }

    pub(super) fn forget_answered(
        &mut self,
        channel: &ChannelKey,
        serial: Serial,
        answer: &Answer,
        now: Millis,
    ) {
        let Some(chan) = self.channels.get_mut(channel) else { return };
        if chan.note != Note::Forgetting(serial) {
            return;
        }
        chan.note = if matches!(answer, Answer::Done) { Note::No } else { Note::Doubt };
        if chan.is_idle() {
            self.schedule_channel(channel, now);
        } else {
            // Somebody came meanwhile, and waits for a new note.
            self.request_note(channel);
        }
    }
}
