//! The timers of a shard: one wheel for all its connections, turned a few times a second.
//!
//! A timer of the runtime costs some hundred bytes for each connection; a place in the wheel costs
//! eight. The price is precision: a deadline fires up to one tick late.

use std::time::Duration;

use crate::clock::{Moment, millis};

/// How often a wheel turns at the least and at the most.
const TICKS: [Duration; 2] = [Duration::from_millis(5), Duration::from_millis(100)];

/// One turn lasts 51.2 s by the longest tick, longer than the usual ping interval, so that most
/// deadlines are entered once.
const SLOTS: usize = 512;

/// How often a wheel turns whose shortest usual time is `shortest`: often enough that being late by
/// a tick changes that time by few percent.
pub(crate) fn tick_for(shortest: Duration) -> Duration {
    (shortest / 40).clamp(TICKS[0], TICKS[1])
}

/// Which connection of a shard.
pub(crate) type ConnectionKey = u32;

/// Connections by the tick of their nearest deadline.
#[derive(Debug)]
pub(crate) struct Wheel {
    slots: Vec<Vec<ConnectionKey>>,
    /// Milliseconds of a tick.
    tick: u64,
    /// The last tick that was turned to.
    now: u64,
}

impl Wheel {
    /// An empty wheel that stands at `now` and turns every `tick`.
    pub(crate) fn new(now: Moment, tick: Duration) -> Self {
        let tick = millis(tick).max(1);
        Self { slots: vec![Vec::new(); SLOTS], tick, now: now.0 / tick }
    }

    /// The tick at which a deadline is over.
    pub(crate) fn tick_of(&self, at: Moment) -> u64 {
        at.0.div_ceil(self.tick)
    }

    /// The tick that was turned to last.
    pub(crate) fn now(&self) -> u64 {
        self.now
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
        let now = now.0 / self.tick;
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

    fn wheel(now: u64) -> Wheel {
        Wheel::new(at(now), TICKS[1])
    }

    #[test]
    fn short_times_have_short_ticks() {
        let tick = |shortest| millis(tick_for(Duration::from_millis(shortest)));
        assert_eq!([tick(20_000), tick(200), tick(1_000), tick(0)], [100, 5, 25, 5]);
    }

    fn due(wheel: &mut Wheel, now: u64) -> Vec<ConnectionKey> {
        let mut due = Vec::new();
        wheel.turn(at(now), &mut due);
        due.sort_unstable();
        due
    }

    #[test]
    fn a_deadline_fires_at_the_first_tick_after_it_and_never_before() {
        let mut wheel = wheel(0);
        wheel.insert(1, wheel.tick_of(at(240)));
        wheel.insert(2, wheel.tick_of(at(300)));
        wheel.insert(3, wheel.tick_of(at(301)));
        assert!(due(&mut wheel, 299).is_empty());
        assert_eq!(due(&mut wheel, 300), [1, 2]);
        assert!(due(&mut wheel, 399).is_empty());
        assert_eq!(due(&mut wheel, 420), [3]);
    }

    #[test]
    fn what_is_over_already_fires_at_the_next_turn() {
        let mut wheel = wheel(10_000);
        wheel.insert(1, wheel.tick_of(at(3)));
        assert!(due(&mut wheel, 10_099).is_empty());
        assert_eq!(due(&mut wheel, 10_100), [1]);
    }

    #[test]
    fn a_far_deadline_comes_up_early_to_be_entered_again() {
        let mut wheel = wheel(0);
        assert_eq!(wheel.insert(1, wheel.tick_of(at(90_000))), SLOTS as u64 - 1);
        let mut seen = 0;
        for tick in 1..=600 {
            seen += due(&mut wheel, tick * 100).len();
        }
        assert_eq!(seen, 1);
    }

    #[test]
    fn a_long_stop_loses_nobody() {
        let mut wheel = wheel(0);
        for key in 0..1_000 {
            wheel.insert(key, u64::from(key));
        }
        assert_eq!(due(&mut wheel, 3_600_000).len(), 1_000);
    }
}
