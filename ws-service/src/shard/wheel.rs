//! The timers of a shard: one wheel for all its connections, turned a few times a second.
//!
//! A timer of the runtime costs some hundred bytes for each connection; a place in the wheel costs
//! eight. The price is precision: a deadline fires up to one [`TICK`] late.

use std::time::Duration;

use crate::clock::{Moment, millis};

/// How often the wheel turns.
pub(crate) const TICK: Duration = Duration::from_millis(100);

/// One turn lasts 51.2 s, longer than a ping interval, so that most deadlines are entered once.
const SLOTS: usize = 512;

/// Which connection of a shard.
pub(crate) type ConnectionKey = u32;

/// Connections by the tick of their nearest deadline.
#[derive(Debug)]
pub(crate) struct Wheel {
    slots: Vec<Vec<ConnectionKey>>,
    /// The last tick that was turned to.
    now: u64,
}

/// The tick at which a deadline is over.
pub(crate) fn tick_of(at: Moment) -> u64 {
    at.0.div_ceil(millis(TICK))
}

impl Wheel {
    /// An empty wheel that stands at `now`.
    pub(crate) fn new(now: Moment) -> Self {
        Self { slots: vec![Vec::new(); SLOTS], now: now.0 / millis(TICK) }
    }

    /// Enters a connection for `tick`, and returns the tick at which it really comes up: the next
    /// one for what is due already, the end of the turn for what is further away. A connection may
    /// stand in several slots; whoever is called for it looks whether it is due.
    pub(crate) fn insert(&mut self, key: ConnectionKey, tick: u64) -> u64 {
        let tick = tick.clamp(self.now + 1, self.now + SLOTS as u64 - 1);
        self.slots[(tick % SLOTS as u64) as usize].push(key);
        tick
    }

    /// Turns the wheel to `now` and moves every connection that it passes into `due`.
    pub(crate) fn turn(&mut self, now: Moment, due: &mut Vec<ConnectionKey>) {
        let now = now.0 / millis(TICK);
        // After a long stop one whole turn passes every slot.
        let steps = now.saturating_sub(self.now).min(SLOTS as u64);
        for step in 0..steps {
            let slot = &mut self.slots[((now - step) % SLOTS as u64) as usize];
            due.append(slot);
            if slot.capacity() > 64 {
                // The storm of connections that filled it is over.
                *slot = Vec::new();
            }
        }
        self.now = self.now.max(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Moment {
        Moment(millis)
    }

    fn due(wheel: &mut Wheel, now: u64) -> Vec<ConnectionKey> {
        let mut due = Vec::new();
        wheel.turn(at(now), &mut due);
        due.sort_unstable();
        due
    }

    #[test]
    fn a_deadline_fires_at_the_first_tick_after_it_and_never_before() {
        let mut wheel = Wheel::new(at(0));
        wheel.insert(1, tick_of(at(240)));
        wheel.insert(2, tick_of(at(300)));
        wheel.insert(3, tick_of(at(301)));
        assert!(due(&mut wheel, 299).is_empty());
        assert_eq!(due(&mut wheel, 300), [1, 2]);
        assert!(due(&mut wheel, 399).is_empty());
        assert_eq!(due(&mut wheel, 420), [3]);
    }

    #[test]
    fn what_is_over_already_fires_at_the_next_turn() {
        let mut wheel = Wheel::new(at(10_000));
        wheel.insert(1, tick_of(at(3)));
        assert!(due(&mut wheel, 10_099).is_empty());
        assert_eq!(due(&mut wheel, 10_100), [1]);
    }

    #[test]
    fn a_far_deadline_comes_up_early_to_be_entered_again() {
        let mut wheel = Wheel::new(at(0));
        assert_eq!(wheel.insert(1, tick_of(at(90_000))), SLOTS as u64 - 1);
        let mut seen = 0;
        for tick in 1..=600 {
            seen += due(&mut wheel, tick * 100).len();
        }
        assert_eq!(seen, 1);
    }

    #[test]
    fn a_long_stop_loses_nobody() {
        let mut wheel = Wheel::new(at(0));
        for key in 0..1_000 {
            wheel.insert(key, u64::from(key));
        }
        assert_eq!(due(&mut wheel, 3_600_000).len(), 1_000);
    }
}
