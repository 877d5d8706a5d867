//! The bound on handlers of one route that run at once on a node, and on events that wait for it.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::limits::Limits;

/// One route's gate. Events go through it in the order in which they came.
#[derive(Debug)]
pub(crate) struct Gate {
    running: Option<Arc<Semaphore>>,
    waiting: AtomicU64,
    waiting_max: u64,
}

/// Too many events wait already.
#[derive(Debug)]
pub(crate) struct Full;

/// A handler's place among those that run; free again when it is dropped.
#[derive(Debug)]
pub(crate) struct Place(#[allow(dead_code, reason = "held")] Option<OwnedSemaphorePermit>);

impl Gate {
    pub(crate) fn new(limits: &Limits) -> Arc<Self> {
        let permits = limits
            .route_in_flight
            .get()
            .map(|max| usize::try_from(max).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS));
        Arc::new(Self {
            running: permits.map(|permits| Arc::new(Semaphore::new(permits))),
            waiting: AtomicU64::new(0),
            waiting_max: limits.route_queue.get().unwrap_or(u64::MAX),
        })
    }

    /// A gate that lets everything through.
    pub(crate) fn open() -> Arc<Self> {
        Arc::new(Self { running: None, waiting: AtomicU64::new(0), waiting_max: u64::MAX })
    }

    /// Takes a place if there is one now, and nobody waits for it.
    pub(crate) fn try_enter(&self) -> Option<Place> {
        match &self.running {
            None => Some(Place(None)),
            Some(running) => Arc::clone(running).try_acquire_owned().ok().map(Some).map(Place),
        }
    }

    /// Waits for a place.
    pub(crate) async fn enter(&self) -> Result<Place, Full> {
        if let Some(place) = self.try_enter() {
            return Ok(place);
        }
        let Some(running) = &self.running else { return Ok(Place(None)) };
        // Counted before the check, so that two arriving at once cannot both take the last place.
        let _waiting = Waiting::new(&self.waiting);
        if self.waiting.load(Ordering::Relaxed) > self.waiting_max {
            return Err(Full);
        }
        // The semaphore is never closed.
        Ok(Place(Arc::clone(running).acquire_owned().await.ok()))
    }
}

/// One event that waits; counted while it lives, also when its socket goes meanwhile.
struct Waiting<'a>(&'a AtomicU64);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicU64) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::limits::Limit;

    #[tokio::test]
    async fn one_runs_one_waits_and_the_next_is_refused() {
        let limits = Limits {
            route_in_flight: Limit::At(1),
            route_queue: Limit::At(1),
            ..Limits::default()
        };
        let gate = Gate::new(&limits);
        let running = gate.enter().now_or_never().unwrap().unwrap();
        let mut waits = Box::pin(gate.enter());
        assert!((&mut waits).now_or_never().is_none());
        assert!(matches!(gate.enter().now_or_never(), Some(Err(Full))));
        drop(running);
        assert!(waits.await.is_ok());
        assert!(gate.enter().now_or_never().unwrap().is_ok());
    }

    #[tokio::test]
    async fn an_event_that_gave_up_waiting_leaves_its_place() {
        let limits = Limits {
            route_in_flight: Limit::At(1),
            route_queue: Limit::At(1),
            ..Limits::default()
        };
        let gate = Gate::new(&limits);
        let _running = gate.enter().await.unwrap();
        for _ in 0..10 {
            assert!(gate.enter().now_or_never().is_none());
        }
    }
}
