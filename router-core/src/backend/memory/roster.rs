//! One channel's roster in memory: the changes that a member can go through, each with its event.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ops::Bound,
};

use bytestring::ByteString;

use crate::{
    address::{Incarnation, NodeAddress},
    backend::{
        presence::{Adopted, Holding, Outcome},
        registry::Lease,
    },
    presence::{
        ClientId, Counts, Entrance, Kind, Member, Millis, PAGE_MAX, Page, PresenceEvent, Serial,
        State,
    },
    session::UserId,
};

#[derive(Debug)]
pub(super) struct Roster {
    epoch: ByteString,
    version: u64,
    members: BTreeMap<ClientId, Member>,
    /// The members of each owner.
    held: BTreeSet<(Lease, ClientId)>,
    users: HashMap<UserId, usize>,
    connected: u64,
    /// The last life of each node from which somebody adopted.
    fences: HashMap<NodeAddress, Incarnation>,
}

/// What was done, and what is to be told of it.
pub(super) type Done = (Outcome, Option<PresenceEvent>);

pub(super) const NOT_HELD: Done = (Outcome::NotHeld, None);
const QUIET: Done = (Outcome::Quiet, None);

impl Roster {
    pub(super) fn new(epoch: ByteString) -> Self {
        Self {
            epoch,
            version: 0,
            members: BTreeMap::new(),
            held: BTreeSet::new(),
            users: HashMap::new(),
            connected: 0,
            fences: HashMap::new(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Whether somebody adopted from this life, or from a later one of its node.
    pub(super) fn fences(&self, owner: &Lease) -> bool {
        self.fences.get(&owner.node).is_some_and(|fenced| *fenced >= owner.incarnation)
    }

    pub(super) fn enter(&mut self, owner: &Lease, entrance: &Entrance) -> Done {
        let mut new = entrance.member(owner);
        let Some(old) = self.members.get(&new.coming.client) else {
            self.add(&new);
            return self.tell(Kind::Connected, new);
        };
        let elsewhere = old.owner != *owner
            && old.coming.address != new.coming.address
            && old.state == State::Connected;
        let later = old.owner == *owner && old.serial > new.serial;
        if later || (entrance.again && elsewhere) {
            return NOT_HELD;
        }
        let said = (&old.coming.user, &old.coming.profile);
        let kind = match old.state {
            State::Disconnected => Some(Kind::Reconnected),
            State::Connected if said == (&new.coming.user, &new.coming.profile) => None,
            State::Connected => Some(Kind::Updated),
        };
        new.first_seen = old.first_seen;
        new.last_seen = new.last_seen.max(old.last_seen);
        new.version = old.version;
        let old = old.clone();
        self.take(&old);
        self.add(&new);
        match kind {
            Some(kind) => self.tell(kind, new),
            None => {
                self.members.insert(new.coming.client.clone(), new);
                QUIET
            }
        }
    }

    pub(super) fn lose(
        &mut self,
        owner: &Lease,
        client: &ClientId,
        serial: Serial,
        last_seen: Millis,
    ) -> Done {
        let Some(member) = self.held_by(owner, client, serial) else { return NOT_HELD };
        if member.state == State::Disconnected {
            self.members.insert(client.clone(), Member { serial, ..member });
            return QUIET;
        }
        let (state, last_seen) = (State::Disconnected, last_seen.max(member.last_seen));
        self.connected -= 1;
        self.tell(Kind::Disconnected, Member { state, last_seen, serial, ..member })
    }

    pub(super) fn remove(&mut self, owner: &Lease, client: &ClientId, serial: Serial) -> Done {
        let Some(member) = self.held_by(owner, client, serial) else { return NOT_HELD };
        self.take(&member);
        let done = self.tell(Kind::Removed, member);
        self.members.remove(client);
        done
    }

    pub(super) fn adopt(
        &mut self,
        dead: &Lease,
        owner: &Lease,
        seen: Millis,
        limit: usize,
    ) -> (Adopted, Vec<PresenceEvent>) {
        let fence = self.fences.entry(dead.node.clone()).or_insert(dead.incarnation);
        *fence = dead.incarnation.max(*fence);
        let mut clients = self.held(dead, None, limit.saturating_add(1));
        let more = clients.len() > limit;
        clients.truncate(limit);
        let (mut members, mut events) = (Vec::new(), Vec::new());
        for client in clients {
            let Some(old) = self.members.get(&client).cloned() else { continue };
            let mut new = Member { owner: owner.clone(), serial: 0, ..old.clone() };
            let was_connected = old.state == State::Connected;
            if was_connected {
                new.state = State::Disconnected;
                new.last_seen = seen.max(old.last_seen);
            }
            self.take(&old);
            self.add(&new);
            if was_connected && let (_, Some(event)) = self.tell(Kind::Disconnected, new.clone()) {
                members.push(event.member.clone());
                events.push(event);
            } else {
                self.members.insert(client, new.clone());
                members.push(new);
            }
        }
        (Adopted { members, more }, events)
    }

    pub(super) fn page(&self, after: Option<&ClientId>, limit: usize) -> Page {
        let limit = limit.min(PAGE_MAX);
        let mut rest =
            self.members.range((from(after), Bound::Unbounded)).map(|(_, member)| member);
        let members: Vec<_> = rest.by_ref().take(limit).cloned().collect();
        let last = members.last().map(|member| member.coming.client.clone());
        let next = rest.next().and(last);
        Page { epoch: self.epoch.clone(), version: self.version, members, next }
    }

    pub(super) fn member(&self, client: &ClientId) -> Option<&Member> {
        self.members.get(client)
    }

    pub(super) fn counts(&self) -> Counts {
        let all = self.members.len() as u64;
        let disconnected = all - self.connected;
        Counts { connected: self.connected, disconnected, users: self.users.len() as u64 }
    }

    pub(super) fn holdings(
        &self,
        owner: &Lease,
        after: Option<&ClientId>,
        limit: usize,
    ) -> Vec<Holding> {
        let held = self.held(owner, after, limit).into_iter();
        let holding = held.filter_map(|client| {
            let Member { state, serial, .. } = *self.members.get(&client)?;
            Some(Holding { client, state, serial })
        });
        holding.collect()
    }

    fn held(&self, owner: &Lease, after: Option<&ClientId>, limit: usize) -> Vec<ClientId> {
        let from = match after {
            Some(after) => Bound::Excluded((owner.clone(), after.clone())),
            None => Bound::Included((owner.clone(), ClientId::least())),
        };
        let held = self.held.range((from, Bound::Unbounded));
        let own = held.take_while(|(by, _)| by == owner).take(limit);
        own.map(|(_, client)| client.clone()).collect()
    }

    fn held_by(&self, owner: &Lease, client: &ClientId, serial: Serial) -> Option<Member> {
        let member = self.members.get(client)?;
        (member.owner == *owner && member.serial <= serial).then(|| member.clone())
    }

    /// Counts a member in; [`tell`](Self::tell) writes it.
    fn add(&mut self, member: &Member) {
        self.connected += u64::from(member.state == State::Connected);
        self.held.insert((member.owner.clone(), member.coming.client.clone()));
        if let Some(user) = &member.coming.user {
            *self.users.entry(user.clone()).or_default() += 1;
        }
    }

    /// Counts a member out.
    fn take(&mut self, member: &Member) {
        self.connected -= u64::from(member.state == State::Connected);
        self.held.remove(&(member.owner.clone(), member.coming.client.clone()));
        if let Some(user) = &member.coming.user
            && let Some(count) = self.users.get_mut(user)
        {
            *count -= 1;
            if *count == 0 {
                self.users.remove(user);
            }
        }
    }

    fn tell(&mut self, kind: Kind, mut member: Member) -> Done {
        self.version += 1;
        member.version = self.version;
        self.members.insert(member.coming.client.clone(), member.clone());
        let event = PresenceEvent { kind, epoch: self.epoch.clone(), member };
        (Outcome::Told(kind, self.version), Some(event))
    }
}

/// Where the clients after one begin.
fn from(after: Option<&ClientId>) -> Bound<&ClientId> {
    after.map_or(Bound::Unbounded, Bound::Excluded)
}
