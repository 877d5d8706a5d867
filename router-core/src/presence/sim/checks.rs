//! What is checked while the simulation runs: that each client's changes make sense one after the
//! other and are told once, and that whoever follows a roster ends with it.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, PoisonError},
};

use bytes::Bytes;

use crate::{
    backend::bus::{BusSink, Subject},
    presence::{ClientId, Kind, Member, Page, PresenceEvent, State},
};

/// Hears all changes of all rosters.
#[derive(Debug, Default)]
pub(super) struct Watch(Mutex<HashMap<Subject, Heard>>);

/// What was heard of one roster.
#[derive(Debug, Default)]
pub(super) struct Heard {
    version: u64,
    states: HashMap<ClientId, State>,
    followers: Vec<Follower>,
    pub(super) events: u64,
}

impl BusSink for Watch {
    fn published(&self, subject: &Subject, frame: Bytes) {
        let event = PresenceEvent::decode(&frame).expect("a change of a roster");
        self.with(subject, |heard| heard.hears(&event));
    }

    fn resubscribed(&self) {}
}

impl Watch {
    pub(super) fn with<T>(&self, subject: &Subject, look: impl FnOnce(&mut Heard) -> T) -> T {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        look(all.entry(subject.clone()).or_default())
    }
}

impl Heard {
    fn hears(&mut self, event: &PresenceEvent) {
        let Member { coming, version, state, .. } = &event.member;
        assert!(*version > self.version, "{event:?} after version {}", self.version);
        self.version = *version;
        self.events += 1;
        let client = coming.client.clone();
        let before = self.states.get(&client).copied();
        let after = match (before, event.kind) {
            (None, Kind::Connected)
            | (Some(State::Disconnected), Kind::Reconnected)
            | (Some(State::Connected), Kind::Updated) => Some(State::Connected),
            (Some(State::Connected), Kind::Disconnected) => Some(State::Disconnected),
            (Some(_), Kind::Removed) => None,
            (before, kind) => panic!("{client} was {before:?} and is told to be {kind:?}"),
        };
        assert!(after.is_none_or(|after| after == *state), "{event:?}");
        match after {
            Some(state) => drop(self.states.insert(client, state)),
            None => drop(self.states.remove(&client)),
        }
        for follower in &mut self.followers {
            follower.hears(event);
        }
    }

    /// Somebody begins to follow, as number `which`.
    pub(super) fn follow(&mut self, which: usize) {
        let new = Follower::default();
        match self.followers.get_mut(which) {
            Some(follower) => *follower = new,
            None => self.followers.push(new),
        }
    }

    pub(super) fn follower(&mut self, which: usize) -> &mut Follower {
        &mut self.followers[which]
    }

    /// All who follow the roster have it, and so has whoever only counted the changes.
    pub(super) fn check(&self, roster: &[Member]) {
        let told: HashMap<_, _> =
            roster.iter().map(|member| (member.coming.client.clone(), member.state)).collect();
        assert_eq!(told, self.states, "the changes that were told lead to the roster");
        let rows: BTreeMap<_, _> = roster.iter().map(row).collect();
        for follower in &self.followers {
            if follower.complete {
                assert_eq!(follower.rows, rows, "a follower has the roster");
            }
        }
    }

    pub(super) fn complete(&self) -> usize {
        self.followers.iter().filter(|follower| follower.complete).count()
    }
}

/// Keeps a roster as a client does: by pages and changes.
#[derive(Debug, Default)]
pub(super) struct Follower {
    rows: BTreeMap<ClientId, (u64, String)>,
    /// Until the last page is read: at which version a client was removed.
    gone: HashMap<ClientId, u64>,
    pub(super) complete: bool,
}

/// What a follower sees of a member; when it was last seen is not told with quiet moves.
fn row(member: &Member) -> (ClientId, (u64, String)) {
    let shown = Member { last_seen: 0, ..member.clone() };
    let text = serde_json::to_string(&shown).expect("a member is JSON");
    (member.coming.client.clone(), (member.version, text))
}

impl Follower {
    fn hears(&mut self, event: &PresenceEvent) {
        let client = event.member.coming.client.clone();
        if event.kind == Kind::Removed {
            self.rows.remove(&client);
            if !self.complete {
                self.gone.insert(client, event.member.version);
            }
        } else {
            self.merge(&event.member);
        }
    }

    fn merge(&mut self, member: &Member) {
        let (client, row) = row(member);
        let known = self.rows.get(&client).map_or(0, |(version, _)| *version);
        let gone = self.gone.get(&client).copied().unwrap_or(0);
        if row.0 > known.max(gone) {
            self.rows.insert(client, row);
        }
    }

    pub(super) fn reads(&mut self, page: &Page) {
        for member in &page.members {
            self.merge(member);
        }
        if page.next.is_none() {
            self.complete = true;
            self.gone.clear();
        }
    }
}
