//! What a link listens to, and on which of its connections: a plain state machine without clock,
//! socket or task. [`Lines`](crate::lines::Lines) does what it says.
//!
//! Every channel that is wanted has one [`Place`], its connection. What a place is to hold and what
//! its server has confirmed differ for a while after every change: a channel came or went, the
//! connection was lost, the server ended a subscription because the slot moved. Each such channel is
//! put on the place's list to be looked at, and [`steps`](Listening::steps) says what is to be asked
//! of the server, from the two states as they are then. So it does not matter in which order changes
//! come, and what fails is only looked at once more.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use router_core::backend::bus::Subject;
use tokio::sync::oneshot;

use crate::{error::Fault, url::Host};

/// One of a link's connections.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Place {
    /// To the one server; in a cluster to any node, for what is said to all of it.
    Home,
    /// To a master of a cluster, for the channels in its slots.
    Master(Host),
}

/// Says that a subscription was confirmed, or why it was not.
pub(crate) type Confirmed = oneshot::Receiver<Result<(), Fault>>;

/// Ends when a subscription has ended; nothing is ever sent.
pub(crate) type Ended = oneshot::Receiver<()>;

/// What is to be asked of a server.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Step {
    pub(crate) name: String,
    /// To subscribe; else to unsubscribe.
    pub(crate) subscribe: bool,
    /// By sharded pub/sub.
    pub(crate) sharded: bool,
}

#[derive(Debug)]
struct Wanted {
    subject: Arc<Subject>,
    /// `None` while nobody is known to serve its slot.
    at: Option<Place>,
    /// It was heard and is not, or somebody was told that it is not: frames may be missed.
    late: bool,
}

impl Wanted {
    fn is_sharded(&self, seat: &Seat) -> bool {
        seat.sharded && matches!(*self.subject, Subject::Channel(_))
    }
}

/// What the server has confirmed.
#[derive(Debug)]
struct Held {
    sharded: bool,
    /// Closed, and so told, when this is dropped.
    ended: Vec<oneshot::Sender<()>>,
}

/// The state of one connection.
#[derive(Debug, Default)]
struct Seat {
    /// Tells the connection from those that were here before it.
    generation: u64,
    /// Its server has sharded pub/sub.
    sharded: bool,
    /// How many channels have their place here.
    wanted: usize,
    held: HashMap<String, Held>,
    /// Channels whose two states may differ. Each that is wanted here is here, below, or held.
    check: BTreeSet<String>,
    /// Those that were tried in vain.
    put_off: BTreeSet<String>,
}

/// What a link listens to.
#[derive(Debug, Default)]
pub(crate) struct Listening {
    wanted: HashMap<String, Wanted>,
    waiting: HashMap<String, Vec<oneshot::Sender<Result<(), Fault>>>>,
    seats: HashMap<Place, Seat>,
    /// Something is heard again that was late.
    news: bool,
}

impl Listening {
    /// Somebody wants a channel, which has its place at `place` unless it has one. Gives its place,
    /// where the server is asked, also when it has confirmed the channel before.
    pub(crate) fn want(
        &mut self,
        name: String,
        subject: Subject,
        place: Option<Place>,
    ) -> (Option<Place>, Confirmed) {
        let (answer, confirmed) = oneshot::channel();
        let fresh = || Wanted { subject: Arc::new(subject), at: None, late: false };
        let wanted = self.wanted.entry(name.clone()).or_insert_with(fresh);
        if wanted.at.is_none() {
            wanted.at = place;
            if let Some(place) = &wanted.at {
                self.seats.entry(place.clone()).or_default().wanted += 1;
            }
        }
        let at = wanted.at.clone();
        let waiting = self.waiting.entry(name.clone()).or_default();
        // Those who gave up are told by the notice that comes for them, not one by one.
        if waiting.iter().any(oneshot::Sender::is_closed) {
            wanted.late = true;
            waiting.retain(|answer| !answer.is_closed());
        }
        waiting.push(answer);
        if let Some(seat) = at.as_ref().and_then(|place| self.seats.get_mut(place)) {
            seat.check.insert(name);
        }
        (at, confirmed)
    }

    /// Nobody wants a channel any more. Gives its place, and a notice of the end if the server has
    /// confirmed it; who waits for the confirmation gets none.
    pub(crate) fn leave(&mut self, name: &str) -> Option<(Place, Option<Ended>)> {
        self.waiting.remove(name);
        let place = self.wanted.remove(name)?.at?;
        let seat = self.seats.get_mut(&place)?;
        seat.wanted -= 1;
        seat.check.insert(name.to_owned());
        let ended = seat.held.get_mut(name).map(|held| {
            let (ends, ended) = oneshot::channel();
            held.ended.push(ends);
            ended
        });
        Some((place, ended))
    }

    /// Puts every channel to the place that `find` says, and leaves it where it is if that knows
    /// none. Gives the places where there is something to do.
    pub(crate) fn replace(
        &mut self,
        find: impl Fn(&str, &Subject) -> Option<Place>,
    ) -> HashSet<Place> {
        let mut touched = HashSet::new();
        for (name, wanted) in &mut self.wanted {
            let Some(to) = find(name, &wanted.subject) else { continue };
            if wanted.at.as_ref() == Some(&to) {
                continue;
            }
            if let Some(from) = wanted.at.take()
                && let Some(seat) = self.seats.get_mut(&from)
            {
                seat.wanted -= 1;
                seat.check.insert(name.clone());
                wanted.late |= seat.held.contains_key(name);
                touched.insert(from);
            }
            let seat = self.seats.entry(to.clone()).or_default();
            seat.wanted += 1;
            seat.check.insert(name.clone());
            touched.insert(to.clone());
            wanted.at = Some(to);
        }
        touched
    }

    /// Tells those who wait for a channel that has no place.
    pub(crate) fn unplaced(&mut self, fault: &Fault) {
        self.tell_at(None, fault);
    }

    /// Whether the server of the connection that is being made has sharded pub/sub.
    pub(crate) fn sharded(&mut self, place: &Place, sharded: bool) {
        self.seats.entry(place.clone()).or_default().sharded = sharded;
    }

    /// A connection stands, and its server has confirmed nothing yet.
    pub(crate) fn up(&mut self, place: &Place, generation: u64) {
        let seat = self.seats.entry(place.clone()).or_default();
        seat.generation = generation;
        self.begin_anew(place, false);
    }

    /// The connection is lost, and with it all that its server has confirmed.
    pub(crate) fn down(&mut self, place: &Place) {
        self.begin_anew(place, true);
    }

    fn begin_anew(&mut self, place: &Place, late: bool) {
        let Some(seat) = self.seats.get_mut(place) else { return };
        seat.held.clear();
        seat.check.clear();
        seat.put_off.clear();
        for (name, wanted) in &mut self.wanted {
            if wanted.at.as_ref() == Some(place) {
                wanted.late |= late;
                seat.check.insert(name.clone());
            }
        }
    }

    /// Whether something may be to be asked of a place's server.
    pub(crate) fn is_to_check(&self, place: &Place) -> bool {
        self.seats.get(place).is_some_and(|seat| !seat.check.is_empty())
    }

    /// What is to be asked of a place's server next, at most so much at once.
    pub(crate) fn steps(&mut self, place: &Place, max: usize) -> Vec<Step> {
        let mut steps = Vec::new();
        while steps.len() < max {
            let first = self.seats.get_mut(place).and_then(|seat| seat.check.pop_first());
            let Some(name) = first else { break };
            steps.extend(self.step(place, name));
        }
        steps
    }

    fn step(&self, place: &Place, name: String) -> Option<Step> {
        let seat = self.seats.get(place)?;
        let held = seat.held.get(&name);
        match self.wanted_at(place, &name) {
            Some(wanted) => {
                let sharded = wanted.is_sharded(seat);
                let ask = held.is_none() || wanted.late || self.waiting.contains_key(&name);
                ask.then_some(Step { name, subscribe: true, sharded })
            }
            None => held.map(|held| Step { name, subscribe: false, sharded: held.sharded }),
        }
    }

    fn wanted_at(&self, place: &Place, name: &str) -> Option<&Wanted> {
        self.wanted.get(name).filter(|wanted| wanted.at.as_ref() == Some(place))
    }

    /// The steps have been answered, whatever the answers were: what is still to do, is put off.
    pub(crate) fn answered(&mut self, place: &Place, steps: &[Step]) {
        for Step { name, .. } in steps {
            let wanted = self.wanted_at(place, name).map(|wanted| wanted.late);
            let Some(seat) = self.seats.get_mut(place) else { return };
            let held = seat.held.contains_key(name);
            if wanted.map_or(held, |late| late || !held) {
                seat.put_off.insert(name.clone());
            }
        }
    }

    /// A server refused a subscription: those who wait for it are told.
    pub(crate) fn refused(&mut self, name: &str, fault: &Fault) {
        let Some(waiting) = self.waiting.remove(name) else { return };
        if let Some(wanted) = self.wanted.get_mut(name) {
            wanted.late = true;
        }
        for answer in waiting {
            // Who does not wait any more was told by a deadline.
            drop(answer.send(Err(fault.clone())));
        }
    }

    /// A place's connection does not carry steps now: all who wait for it are told, and all that is
    /// to do is put off.
    pub(crate) fn failed(&mut self, place: &Place, fault: &Fault) {
        self.tell_at(Some(place), fault);
        if let Some(seat) = self.seats.get_mut(place) {
            seat.put_off.append(&mut seat.check);
        }
    }

    fn tell_at(&mut self, place: Option<&Place>, fault: &Fault) {
        let at = |name: &String| self.wanted.get(name).is_some_and(|it| it.at.as_ref() == place);
        let names: Vec<_> = self.waiting.keys().filter(|name| at(name)).cloned().collect();
        for name in names {
            self.refused(&name, fault);
        }
    }

    /// What was put off is to be tried again.
    pub(crate) fn retry(&mut self, place: &Place) {
        if let Some(seat) = self.seats.get_mut(place) {
            seat.check.append(&mut seat.put_off);
        }
    }

    /// Whether something is put off.
    pub(crate) fn is_put_off(&self, place: &Place) -> bool {
        self.seats.get(place).is_some_and(|seat| !seat.put_off.is_empty())
    }

    /// A connection's server says that a channel is subscribed.
    pub(crate) fn confirmed(&mut self, place: &Place, generation: u64, name: &str, sharded: bool) {
        let Some(seat) = self.seats.get_mut(place) else { return };
        if seat.generation != generation {
            return;
        }
        let wanted = self.wanted.get_mut(name).filter(|wanted| wanted.at.as_ref() == Some(place));
        if wanted.as_ref().is_some_and(|wanted| wanted.is_sharded(seat) != sharded) {
            // It was meant for the server that was here before.
            seat.check.insert(name.to_owned());
            return;
        }
        let held = || Held { sharded, ended: Vec::new() };
        seat.held.entry(name.to_owned()).or_insert_with(held);
        let Some(wanted) = wanted else {
            seat.check.insert(name.to_owned());
            return;
        };
        let waiting = self.waiting.remove(name).unwrap_or_default();
        // Who gave up has been told that nothing is heard yet.
        let told = waiting.into_iter().map(|answer| answer.send(Ok(())).is_ok());
        let late = std::mem::take(&mut wanted.late);
        self.news |= told.fold(late, |late, told| late | !told);
    }

    /// A connection's server says that a channel is not subscribed. Whether it is to be: then the
    /// server ended the subscription by itself.
    pub(crate) fn ended(&mut self, place: &Place, generation: u64, name: &str) -> bool {
        let Some(seat) = self.seats.get_mut(place) else { return false };
        if seat.generation != generation {
            return false;
        }
        seat.held.remove(name);
        let wanted = self.wanted.get_mut(name).filter(|wanted| wanted.at.as_ref() == Some(place));
        wanted.is_some_and(|wanted| {
            wanted.late = true;
            seat.check.insert(name.to_owned());
            true
        })
    }

    /// Who hears what came on a connection: nobody, if the channel has its place on another one.
    pub(crate) fn heard(&self, place: &Place, name: &str) -> Option<Arc<Subject>> {
        self.wanted_at(place, name).map(|wanted| wanted.subject.clone())
    }

    /// Whether something that was late is heard again since the last time that this was asked.
    pub(crate) fn take_news(&mut self) -> bool {
        std::mem::take(&mut self.news)
    }

    /// Whether anything is late.
    pub(crate) fn is_late(&self) -> bool {
        self.wanted.values().any(|wanted| wanted.late)
    }

    /// Forgets a connection on which nothing is wanted. Whether it did.
    pub(crate) fn close(&mut self, place: &Place) -> bool {
        let unused = self.seats.get(place).is_none_or(|seat| seat.wanted == 0);
        if unused {
            self.seats.remove(place);
        }
        unused
    }
}

#[cfg(test)]
#[path = "listening_tests.rs"]
mod tests;
