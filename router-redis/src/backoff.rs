//! When a lost connection is dialled again: a pure state machine without clock, chance or socket.
//!
//! The wait is drawn evenly from zero to a bound that doubles with every failure ("full jitter"), so
//! that the nodes that lost one server together do not come back together.

use std::time::Duration;

/// The bounds of the waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The longest wait before the first attempt. 50 ms by default.
    pub first: Duration,
    /// The longest wait before any attempt. 2 s by default.
    pub most: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { first: Duration::from_millis(50), most: Duration::from_secs(2) }
    }
}

/// A connection that lived this long was a good one: its loss begins a new row of attempts.
const PROVEN: Duration = Duration::from_secs(1);

/// Follows one connection through its lives.
#[derive(Debug)]
pub(crate) struct Attempts {
    bounds: Backoff,
    /// Failures in a row.
    failures: u32,
    /// Whether anything has failed so far, or was connected before.
    used: bool,
}

impl Attempts {
    pub(crate) fn new(bounds: Backoff) -> Self {
        Self { bounds, failures: 0, used: false }
    }

    /// A connection stands. Whether it is another one than the very first, which nobody can have
    /// missed anything before.
    pub(crate) fn connected(&mut self) -> bool {
        std::mem::replace(&mut self.used, true)
    }

    /// A dial failed: how long to wait. `chance` is evenly distributed.
    pub(crate) fn failed(&mut self, chance: u64) -> Duration {
        self.used = true;
        let wait = self.wait(chance);
        self.failures = self.failures.saturating_add(1);
        wait
    }

    /// A connection that lived for `lived` was lost: how long to wait before the next dial.
    pub(crate) fn lost(&mut self, lived: Duration, chance: u64) -> Duration {
        if lived >= PROVEN {
            self.failures = 0;
        }
        self.failed(chance)
    }

    fn wait(&self, chance: u64) -> Duration {
        let doubled = 1_u32.checked_shl(self.failures).unwrap_or(u32::MAX);
        let bound = self.bounds.first.saturating_mul(doubled).min(self.bounds.most);
        let nanos = u64::try_from(bound.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(chance % nanos.saturating_add(1).max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A chance that gives the longest wait for these bounds.
    fn longest(attempts: &mut Attempts) -> Duration {
        (0..64)
            .map(|_| getrandom::u64().unwrap())
            .map(|chance| attempts.wait(chance))
            .max()
            .unwrap_or_default()
    }

    #[test]
    fn waits_are_within_a_bound_that_doubles_up_to_the_most() {
        let bounds = Backoff { first: Duration::from_millis(50), most: Duration::from_secs(2) };
        let mut attempts = Attempts::new(bounds);
        for failures in 0..100_u32 {
            let bound = Duration::from_millis(50)
                .saturating_mul(2_u32.saturating_pow(failures))
                .min(bounds.most);
            let longest = longest(&mut attempts);
            assert!(longest <= bound, "{longest:?} after {failures} failures");
            assert!(longest >= bound / 4, "the waits are spread: {longest:?} of {bound:?}");
            attempts.failed(7);
        }
    }

    #[test]
    fn a_good_connections_loss_begins_anew_and_a_flapping_ones_does_not() {
        let mut attempts = Attempts::new(Backoff::default());
        for _ in 0..20 {
            attempts.failed(0);
        }
        attempts.connected();
        attempts.lost(Duration::from_millis(1), 0);
        assert!(longest(&mut attempts) > Duration::from_millis(100));
        attempts.connected();
        attempts.lost(PROVEN, 0);
        assert!(longest(&mut attempts) <= Duration::from_millis(100));
    }

    #[test]
    fn only_the_very_first_connection_is_the_first() {
        let mut attempts = Attempts::new(Backoff::default());
        assert!(!attempts.connected());
        attempts.lost(PROVEN, 0);
        assert!(attempts.connected());
        let mut late = Attempts::new(Backoff::default());
        late.failed(0);
        assert!(late.connected(), "subscriptions may have been refused before");
    }

    #[test]
    fn bounds_of_zero_wait_not_at_all() {
        let bounds = Backoff { first: Duration::ZERO, most: Duration::ZERO };
        assert_eq!(Attempts::new(bounds).failed(u64::MAX), Duration::ZERO);
    }
}
