//! Which sockets of this node are on which channels, and what belongs to it. A plain table.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use bytestring::ByteString;

use super::{ChannelName, rules::Rules};
use crate::{
    address::{NodeAddress, TenantId},
    socket::SocketData,
};

/// A channel that a socket of this node is on.
#[derive(Debug, Clone)]
pub(super) struct Here {
    pub(super) rules: Arc<Rules>,
    /// What the program keeps with the channel, on this node.
    pub(super) locals: Arc<SocketData>,
    /// Who knocked, while that is being answered.
    knockers: Vec<Knocker>,
    sockets: usize,
}

/// A socket that wants to know who on its channel is there.
pub(super) type Knocker = (NodeAddress, TenantId);

/// A socket's place on a channel.
#[derive(Debug, Clone)]
pub(super) struct Seat {
    /// With what it was asked for, as the text of arguments.
    pub(super) query: ByteString,
    /// Whether the server put it there, which no gate has to do with.
    pub(super) by_server: bool,
    /// Whether the socket is on the channel's roster.
    pub(super) present: bool,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Local {
    channels: HashMap<ChannelName, Here>,
    sockets: HashMap<TenantId, HashMap<ChannelName, Seat>>,
}

/// What a change came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// The first came, or the last went.
    Edge,
    /// One more, or one fewer, of several.
    Inner,
    /// Nothing: it was there already, or was not there.
    Nothing,
}

impl Local {
    /// A socket takes its place, or takes it anew.
    pub(super) fn enter(
        &mut self,
        tid: &TenantId,
        name: &ChannelName,
        seat: Seat,
        rules: &Arc<Rules>,
    ) -> Change {
        let seats = self.sockets.entry(tid.clone()).or_default();
        if seats.insert(name.clone(), seat).is_some() {
            return Change::Nothing;
        }
        match self.channels.entry(name.clone()) {
            Entry::Occupied(mut here) => {
                here.get_mut().sockets += 1;
                Change::Inner
            }
            Entry::Vacant(place) => {
                let (rules, locals) = (Arc::clone(rules), Arc::default());
                place.insert(Here { rules, locals, knockers: Vec::new(), sockets: 1 });
                Change::Edge
            }
        }
    }

    /// A socket gives its place up.
    pub(super) fn leave(&mut self, tid: &TenantId, name: &ChannelName) -> (Change, Option<Seat>) {
        let Some(seats) = self.sockets.get_mut(tid) else { return (Change::Nothing, None) };
        let Some(seat) = seats.remove(name) else { return (Change::Nothing, None) };
        if seats.is_empty() {
            self.sockets.remove(tid);
        }
        let Some(here) = self.channels.get_mut(name) else { return (Change::Inner, Some(seat)) };
        here.sockets -= 1;
        if here.sockets > 0 {
            return (Change::Inner, Some(seat));
        }
        self.channels.remove(name);
        (Change::Edge, Some(seat))
    }

    /// A socket's place on a channel.
    pub(super) fn seat(&self, tid: &TenantId, name: &ChannelName) -> Option<&Seat> {
        self.sockets.get(tid)?.get(name)
    }

    /// The channels that a socket is on.
    pub(super) fn seats(&self, tid: &TenantId) -> Vec<ChannelName> {
        let seats = self.sockets.get(tid);
        seats.map(|seats| seats.keys().cloned().collect()).unwrap_or_default()
    }

    /// A channel of this node.
    pub(super) fn here(&self, name: &ChannelName) -> Option<&Here> {
        self.channels.get(name)
    }

    /// How many sockets of this node are on a channel.
    pub(super) fn count(&self, name: &ChannelName) -> usize {
        self.channels.get(name).map_or(0, |here| here.sockets)
    }

    /// Somebody knocked. Whether that is to be answered: no answer is under way yet.
    pub(super) fn begin_knock(&mut self, name: &ChannelName, knocker: Knocker) -> bool {
        let Some(here) = self.channels.get_mut(name) else { return false };
        if !here.knockers.contains(&knocker) {
            here.knockers.push(knocker);
        }
        here.knockers.len() == 1
    }

    /// The answer is there; for whom?
    pub(super) fn end_knock(&mut self, name: &ChannelName) -> Vec<Knocker> {
        let here = self.channels.get_mut(name);
        here.map(|here| std::mem::take(&mut here.knockers)).unwrap_or_default()
    }

    /// Whether nobody is on anything.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.channels.is_empty() && self.sockets.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seat() -> Seat {
        Seat { query: "1".into(), by_server: false, present: false }
    }

    #[test]
    fn knocks_during_one_are_answered_with_it() {
        let (mut local, name) = (Local::default(), "a".parse().unwrap());
        let [one, two]: [Knocker; 2] =
            ["one", "two"].map(|tid| (crate::ns("ws").node(0), tid.parse().unwrap()));
        assert!(!local.begin_knock(&name, one.clone()), "nobody is on it");
        local.enter(&one.1, &name, seat(), &Arc::default());
        assert!(local.begin_knock(&name, one.clone()));
        assert!(!local.begin_knock(&name, two.clone()) && !local.begin_knock(&name, two.clone()));
        assert_eq!(local.end_knock(&name), [one.clone(), two]);
        assert!(local.begin_knock(&name, one));
    }

    #[test]
    fn the_first_opens_a_channel_and_the_last_closes_it() {
        let (mut local, rules) = (Local::default(), Arc::default());
        let [a, b]: [TenantId; 2] = ["a", "b"].map(|tid| tid.parse().unwrap());
        let [one, two]: [ChannelName; 2] = ["one", "two"].map(|name| name.parse().unwrap());
        assert_eq!(local.enter(&a, &one, seat(), &rules), Change::Edge);
        assert_eq!(local.enter(&a, &one, seat(), &rules), Change::Nothing);
        assert_eq!(local.enter(&b, &one, seat(), &rules), Change::Inner);
        assert_eq!(local.enter(&a, &two, seat(), &rules), Change::Edge);
        assert_eq!((local.count(&one), local.count(&two)), (2, 1));
        // Who is not on a channel changes nothing by leaving it.
        assert_eq!(local.leave(&b, &two).0, Change::Nothing);
        assert_eq!(local.leave(&a, &one).0, Change::Inner);
        assert_eq!(local.leave(&a, &one).0, Change::Nothing);
        assert_eq!(local.leave(&b, &one).0, Change::Edge);
        assert_eq!(local.seats(&a), std::slice::from_ref(&two));
        assert_eq!(local.leave(&a, &two).0, Change::Edge);
        assert!(local.is_empty());
    }
}
