//! One client on one channel, as the node that has its socket keeps it.

use super::super::settings::millis;
use crate::{
    backend::presence::Outcome,
    presence::{Coming, Member, Millis, Serial, Settings, State},
};

/// What the member is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    /// Connected.
    Here,
    /// As it is: its socket is silent or lost, but not for long.
    Waiting { last_seen: Millis },
    /// Disconnected.
    Away { last_seen: Millis },
    /// Not on the roster.
    Gone,
}

/// What the store is known to have, in this node's hands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    Connected,
    Disconnected,
    Absent,
}

impl From<State> for Known {
    fn from(state: State) -> Self {
        match state {
            State::Connected => Self::Connected,
            State::Disconnected => Self::Disconnected,
        }
    }
}

/// What is to be asked of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    Enter,
    Lose { last_seen: Millis },
    Remove,
}

/// The times of a member's channel.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timing {
    disconnect: Millis,
    pub(super) kept: Millis,
    pub(super) sync: Millis,
}

impl From<&Settings> for Timing {
    fn from(settings: &Settings) -> Self {
        Self {
            disconnect: millis(settings.disconnect_threshold()),
            kept: millis(settings.removal_threshold()),
            sync: millis(settings.sync_interval()),
        }
    }
}

#[derive(Debug)]
pub(super) struct Held {
    pub(super) coming: Coming,
    pub(super) timing: Timing,
    /// Tells this socket's coming from others.
    pub(super) serial: Serial,
    /// Tells what is said of it now from what was said before.
    pub(super) turn: Serial,
    pub(super) wish: Wish,
    /// `None`: not known.
    pub(super) known: Option<Known>,
    /// The last request that the store confirmed.
    pub(super) at: Serial,
    /// The turn that the store has.
    pub(super) said: Serial,
    /// This serial was on the roster once.
    pub(super) entered: bool,
    /// Who waits to hear that it is on the roster, and from which turn on.
    pub(super) asked: Vec<(Serial, Serial)>,
    /// The store may have it in this node's hands.
    pub(super) maybe: bool,
    /// A request of it waits for its answer; the next one waits for that.
    pub(super) in_flight: bool,
    /// Its socket is there.
    pub(super) socket: bool,
    /// When what failed is tried again.
    pub(super) retry: Option<Millis>,
    /// When it is looked at next; the timers have it under this time.
    pub(super) due: Option<Millis>,
}

impl Held {
    /// A socket that has just come. `before` is what the node held of the client until now.
    pub(super) fn new(
        coming: Coming,
        timing: Timing,
        serial: Serial,
        before: Option<&Self>,
    ) -> Self {
        Self {
            coming,
            timing,
            serial,
            turn: serial,
            wish: Wish::Here,
            known: before.and_then(|held| held.known),
            at: before.map_or(0, |held| held.at),
            said: 0,
            entered: false,
            asked: vec![(serial, serial)],
            maybe: before.is_some_and(|held| held.maybe),
            in_flight: before.is_some_and(|held| held.in_flight),
            socket: true,
            retry: None,
            due: before.and_then(|held| held.due),
        }
    }

    /// A member that came into this node's hands without a socket.
    pub(super) fn adopted(member: Member, serial: Serial, now: Millis) -> Self {
        let defaults = Timing::from(&Settings::default());
        Self {
            timing: Timing { kept: member.kept, ..defaults },
            serial,
            turn: serial,
            // Another clock may be ahead of this one.
            wish: Wish::Away { last_seen: member.last_seen.min(now) },
            known: Some(Known::Disconnected),
            at: member.serial,
            said: serial,
            entered: true,
            asked: Vec::new(),
            maybe: true,
            in_flight: false,
            socket: false,
            retry: None,
            due: None,
            coming: member.coming,
        }
    }

    /// The client came into this node's hands by another socket, which is lost.
    pub(super) fn adopt(&mut self, member: &Member, now: Millis) {
        (self.known, self.maybe, self.said) = (Some(Known::Disconnected), true, 0);
        self.at = member.serial;
        if self.wish != Wish::Here {
            self.wish = Wish::Away { last_seen: member.last_seen.min(now) };
        }
    }

    /// Those who waited for what the store has now.
    pub(super) fn answered(&mut self) -> Vec<Serial> {
        if self.asked.is_empty() || self.known != Some(Known::Connected) {
            return Vec::new();
        }
        let said = self.said;
        self.asked.extract_if(.., |(_, turn)| *turn <= said).map(|(serial, _)| serial).collect()
    }

    /// What the store has of it, if it has it, as it would say itself.
    pub(super) fn stored(&self) -> Option<(Known, Serial)> {
        let known = self.known?;
        Some((known, if known == Known::Absent { 0 } else { self.at }))
    }

    /// What is to be asked of the store.
    pub(super) fn need(&self) -> Option<Need> {
        match self.wish {
            Wish::Here => {
                let is_so = self.known == Some(Known::Connected) && self.said == self.turn;
                (!is_so).then_some(Need::Enter)
            }
            Wish::Waiting { .. } => None,
            Wish::Away { last_seen } => {
                let is_to_do = self.known != Some(Known::Disconnected) && !self.is_nowhere();
                is_to_do.then_some(Need::Lose { last_seen })
            }
            Wish::Gone => (!self.is_nowhere()).then_some(Need::Remove),
        }
    }

    /// Whether the store is known not to have it in this node's hands.
    fn is_nowhere(&self) -> bool {
        !self.maybe || self.known == Some(Known::Absent)
    }

    /// Whether there is nothing more to do for it.
    pub(super) fn is_over(&self) -> bool {
        !self.socket && !self.in_flight && self.wish != Wish::Here && self.is_nowhere()
    }

    /// Whether the store is as it should be, as far as is known.
    pub(super) fn is_settled(&self) -> bool {
        !self.in_flight && self.need().is_none()
    }

    /// When it is to be looked at.
    pub(super) fn next_look(&self) -> Option<Millis> {
        let turn = match self.wish {
            Wish::Here | Wish::Gone => None,
            Wish::Waiting { last_seen } => Some(last_seen.saturating_add(self.timing.disconnect)),
            Wish::Away { last_seen } => Some(last_seen.saturating_add(self.timing.kept)),
        };
        [turn, self.retry].into_iter().flatten().min()
    }

    /// What time has made of it.
    pub(super) fn look(&mut self, now: Millis) {
        if self.retry.is_some_and(|at| at <= now) {
            self.retry = None;
        }
        let Timing { disconnect, kept, .. } = self.timing;
        if let Wish::Waiting { last_seen } = self.wish
            && last_seen.saturating_add(disconnect) <= now
        {
            self.wish = Wish::Away { last_seen };
        }
        if let Wish::Away { last_seen } = self.wish
            && last_seen.saturating_add(kept) <= now
        {
            self.wish = Wish::Gone;
        }
    }

    /// Its socket is silent or lost.
    pub(super) fn wait(&mut self, last_seen: Millis) {
        if self.wish == Wish::Here {
            self.wish = Wish::Waiting { last_seen };
            self.retry = None;
        }
    }

    /// The store answered an entrance.
    pub(super) fn entered(&mut self, serial: Serial, turn: Serial, outcome: Outcome) {
        match outcome {
            Outcome::Told(..) | Outcome::Quiet => {
                self.known = Some(Known::Connected);
                self.maybe = true;
                self.entered |= serial == self.serial;
                self.said = turn;
            }
            // Another socket of the client is there, elsewhere.
            Outcome::NotHeld => (self.known, self.maybe) = (Some(Known::Absent), false),
        }
    }

    /// The store answered a loss.
    pub(super) fn lost(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Told(..) | Outcome::Quiet => self.known = Some(Known::Disconnected),
            Outcome::NotHeld => {
                (self.known, self.maybe) = (Some(Known::Absent), false);
                if matches!(self.wish, Wish::Away { .. }) {
                    self.wish = Wish::Gone;
                }
            }
        }
    }

    /// The store answered a removal.
    pub(super) fn removed(&mut self) {
        (self.known, self.maybe) = (Some(Known::Absent), false);
    }

    /// The life under which it was held is over, and a new one begins. `false` if there is nothing
    /// left to keep of it: whoever adopts from the former life goes on with it.
    pub(super) fn live_anew(&mut self) -> bool {
        (self.known, self.maybe) = (None, false);
        (self.in_flight, self.retry) = (false, None);
        if self.wish != Wish::Here {
            self.wish = Wish::Gone;
            return self.socket;
        }
        true
    }
}
