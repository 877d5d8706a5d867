//! The one place where this crate reads the time of day.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Time since 1970. Used for what other processes read (expiry, rotation), never to measure.
pub fn since_epoch() -> Duration {
    // A clock before 1970 reads as 1970: tokens then count as long expired, which fails closed.
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Milliseconds since 1970: what members of a roster were last seen at.
pub fn millis() -> u64 {
    u64::try_from(since_epoch().as_millis()).unwrap_or(u64::MAX)
}
