//! How fast one socket may emit: a token bucket, kept as the one time at which it is full again
//! (the "virtual scheduling" form of the generic cell rate algorithm, ITU-T I.371).

use crate::clock::Moment;

/// How fast something may come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pace {
    /// In the long run.
    pub(crate) per_second: u64,
    /// At once.
    pub(crate) burst: u64,
}

impl Pace {
    /// With a burst of four seconds' worth.
    pub(crate) fn per_second(per_second: u64) -> Self {
        Self { per_second, burst: per_second.saturating_mul(4) }
    }
}

/// The bucket of one socket.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Bucket {
    /// When the bucket is full again, in microseconds.
    full_at: u64,
    /// Events refused since the last one that was admitted.
    refused: u32,
}

/// What becomes of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rate {
    /// It may pass.
    Pass,
    /// Too fast; one may come again after this time.
    Wait {
        /// In milliseconds.
        retry_after_ms: u64,
    },
    /// Too fast for too long: as many were refused as two bursts hold.
    Abuse,
}

impl Bucket {
    /// An event came at `now`; `None` lets any number pass.
    pub(crate) fn take(&mut self, pace: Option<Pace>, now: Moment) -> Rate {
        let Some(Pace { per_second, burst }) = pace else { return Rate::Pass };
        let (per_second, burst) = (per_second.max(1), burst.max(1));
        let now = now.0.saturating_mul(1_000);
        let cost = (1_000_000 / per_second).max(1);
        let full_at = self.full_at.max(now).saturating_add(cost);
        let ahead = full_at - now;
        let most = cost.saturating_mul(burst);
        if ahead <= most {
            *self = Self { full_at, refused: 0 };
            return Rate::Pass;
        }
        self.refused = self.refused.saturating_add(1);
        if u64::from(self.refused) > burst.saturating_mul(2) {
            return Rate::Abuse;
        }
        Rate::Wait { retry_after_ms: (ahead - most).div_ceil(1_000) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_the_rate() {
        let mut bucket = Bucket::default();
        for _ in 0..200 {
            assert_eq!(bucket.take(Some(Pace::per_second(50)), Moment(1)), Rate::Pass);
        }
        assert_eq!(
            bucket.take(Some(Pace::per_second(50)), Moment(1)),
            Rate::Wait { retry_after_ms: 20 }
        );
        assert_eq!(
            bucket.take(Some(Pace::per_second(50)), Moment(20)),
            Rate::Wait { retry_after_ms: 1 }
        );
        assert_eq!(bucket.take(Some(Pace::per_second(50)), Moment(21)), Rate::Pass);
        // After four seconds of silence the whole burst is there again.
        for _ in 0..200 {
            assert_eq!(bucket.take(Some(Pace::per_second(50)), Moment(5_000)), Rate::Pass);
        }
        assert_ne!(bucket.take(Some(Pace::per_second(50)), Moment(5_000)), Rate::Pass);
    }

    #[test]
    fn going_on_against_refusals_is_abuse() {
        let mut bucket = Bucket::default();
        let mut take = || bucket.take(Some(Pace::per_second(1)), Moment(1));
        for _ in 0..4 {
            assert_eq!(take(), Rate::Pass);
        }
        for _ in 0..8 {
            assert_eq!(take(), Rate::Wait { retry_after_ms: 1_000 });
        }
        assert_eq!(take(), Rate::Abuse);
    }

    #[test]
    fn without_a_rate_everything_passes() {
        let mut bucket = Bucket::default();
        assert!((0..10_000).all(|_| bucket.take(None, Moment(1)) == Rate::Pass));
    }
}
