//! Going away without a storm: the state of the drain, which every thread sees.
//!
//! At the word to stop the node is unready and refuses new sockets. Each connection gets a random
//! moment in the first part of the window; at it the client is told to come back after a short
//! random delay (to another node, by its proxy), handlers finish, and the connection is closed with
//! 1012. What is left at the end of the window is cut.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    time::Duration,
};

use router_core::id::random_u64;
use tokio::sync::Notify;

use crate::clock::{Moment, millis};

/// The longest delay after which a client is told to come back, in milliseconds.
const AFTER_MAX_MS: u64 = 1_000;

/// Whether the node goes away, and who is still there.
#[derive(Debug)]
pub(crate) struct Drain {
    window: Duration,
    draining: AtomicBool,
    /// When the window is over; written once, before `draining`.
    ends: AtomicU64,
    /// Connections, and work that outlives them.
    work: AtomicUsize,
    /// Told when the last of it is done.
    emptied: Notify,
    /// Told when the drain begins.
    begun: Notify,
}

/// Something that the drain waits for.
#[derive(Debug)]
pub(crate) struct Passing<'a>(&'a Drain);

impl Drop for Passing<'_> {
    fn drop(&mut self) {
        self.0.leave();
    }
}

impl Drain {
    /// Nobody goes yet.
    pub(crate) fn new(window: Duration) -> Self {
        Self {
            window,
            draining: AtomicBool::new(false),
            ends: AtomicU64::new(0),
            work: AtomicUsize::new(0),
            emptied: Notify::new(),
            begun: Notify::new(),
        }
    }

    /// How long the drain takes at most.
    pub(crate) fn window(&self) -> Duration {
        self.window
    }

    /// The node goes away from `now` on.
    pub(crate) fn begin(&self, now: Moment) {
        self.ends.store(now.after(self.window).0, Ordering::Relaxed);
        self.draining.store(true, Ordering::Release);
        self.begun.notify_waiters();
    }

    /// Whether the node goes away.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Waits until the node goes away.
    pub(crate) async fn begun(&self) {
        let mut begun = std::pin::pin!(self.begun.notified());
        // Listens before it looks, so that nothing is missed in between.
        begun.as_mut().enable();
        if !self.is_draining() {
            begun.await;
        }
    }

    /// How long handlers may still run at `now`: until a little before the end of the window, so
    /// that their connections can say goodbye in it.
    pub(crate) fn within(&self, now: Moment) -> Duration {
        let ends = Moment(self.ends.load(Ordering::Relaxed));
        ends.since(now).saturating_sub(self.window / 20)
    }

    /// After how many milliseconds a client is told to come back.
    pub(crate) fn after_ms(&self) -> u64 {
        let most = AFTER_MAX_MS.min(millis(self.window) / 4);
        random_u64() % (most + 1)
    }

    /// A connection came, or work began that may outlive it.
    pub(crate) fn enter(&self) {
        self.work.fetch_add(1, Ordering::AcqRel);
    }

    /// A connection went, or such work is done.
    pub(crate) fn leave(&self) {
        if self.work.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.emptied.notify_waiters();
        }
    }

    /// A connection that goes when the guard does.
    pub(crate) fn guard(&self) -> Passing<'_> {
        self.enter();
        Passing(self)
    }

    /// How much is to be waited for.
    pub(crate) fn left(&self) -> usize {
        self.work.load(Ordering::Acquire)
    }

    /// Waits until no connection is open and all work is done.
    pub(crate) async fn emptied(&self) {
        loop {
            let emptied = self.emptied.notified();
            tokio::pin!(emptied);
            // Listens before it looks, so that nothing is missed in between.
            emptied.as_mut().enable();
            if self.left() == 0 {
                return;
            }
            emptied.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handlers_have_until_shortly_before_the_end() {
        let drain = Drain::new(Duration::from_secs(20));
        assert!(!drain.is_draining());
        drain.begin(Moment(1_000));
        assert!(drain.is_draining());
        assert_eq!(drain.within(Moment(6_000)), Duration::from_secs(14));
        assert_eq!(drain.within(Moment(60_000)), Duration::ZERO);
        assert!((0..100).all(|_| drain.after_ms() <= AFTER_MAX_MS));
    }

    #[tokio::test]
    async fn the_begin_is_waited_for_and_not_missed_later() {
        let drain = Drain::new(Duration::from_secs(1));
        let wait = drain.begun();
        tokio::pin!(wait);
        assert!(futures_util::poll!(wait.as_mut()).is_pending());
        drain.begin(Moment(1));
        wait.await;
        drain.begun().await;
    }

    #[tokio::test]
    async fn the_last_connection_is_waited_for() {
        let drain = Drain::new(Duration::from_secs(1));
        drain.emptied().await;
        drain.enter();
        let wait = drain.emptied();
        tokio::pin!(wait);
        assert!(futures_util::poll!(wait.as_mut()).is_pending());
        drain.leave();
        wait.await;
    }
}
