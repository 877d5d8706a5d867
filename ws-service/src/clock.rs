//! Time as the state machines see it: a number that is handed to them.

use std::time::Duration;

use tokio::time::Instant;

/// A point in time: milliseconds since the service began.
///
/// 0 never comes up as a deadline (deadlines lie ahead of a start that is at least 1), so timers
/// use it for "not set".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Moment(pub(crate) u64);

impl Moment {
    /// This much later.
    pub(crate) fn after(self, time: Duration) -> Self {
        Self(self.0.saturating_add(millis(time)))
    }

    /// How long ago `earlier` was; zero if it is ahead.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// Whole milliseconds of a duration.
pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// The one place of this crate that reads a clock: tokio's, which a test may pause.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock that begins now.
    pub(crate) fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// The time.
    pub(crate) fn now(&self) -> Moment {
        Moment(millis(self.start.elapsed()).saturating_add(1))
    }
}
