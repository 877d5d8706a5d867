//! How many messages wait for each observer. It is decided here, before their senders get a receipt,
//! so that what was received is never dropped.

use std::{
    collections::HashMap,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use bytestring::ByteString;

use crate::{
    envelope::{Envelope, Kind},
    limits::{Limit, Limits},
};

/// The observers' queues of one node, by message. Empty until the observers are known: until then
/// only the queue between them and the bus is a bound.
#[derive(Debug)]
pub(crate) struct Queues {
    by_message: OnceLock<HashMap<(Kind, ByteString), Arc<AtomicU64>>>,
    max: u64,
}

/// The observer has as many messages as may wait for it.
#[derive(Debug)]
pub(crate) struct Full;

impl Queues {
    pub(crate) fn new(limits: &Limits) -> Self {
        // A message is in its queue for a moment even when its observer is idle.
        let max = limits.observer_queue.get().unwrap_or(u64::MAX).max(1);
        Self { by_message: OnceLock::new(), max }
    }

    /// Tells which observer, by its number, is for which message.
    pub(crate) fn set(&self, observers: impl Iterator<Item = ((Kind, ByteString), u16)>) {
        let mut counts = HashMap::<u16, Arc<AtomicU64>>::new();
        let by_message = observers
            .map(|(message, number)| (message, Arc::clone(counts.entry(number).or_default())))
            .collect();
        // A node's observers are set once, since its inbox is taken once.
        let _second = self.by_message.set(by_message);
    }

    /// A place in the queue of this message's observer; `None` where no observer is known for it.
    pub(crate) fn enter(&self, envelope: &Envelope) -> Result<Option<Place>, Full> {
        let Some(by_message) = self.by_message.get() else { return Ok(None) };
        let Some(count) = by_message.get(&(envelope.kind, envelope.event.clone())) else {
            return Ok(None);
        };
        // Counted before the check, so that two arriving at once cannot both take the last place.
        let before = count.fetch_add(1, Ordering::Relaxed);
        let place = Place(Arc::clone(count));
        if Limit::At(self.max).exceeded_by(before.saturating_add(1)) {
            return Err(Full);
        }
        Ok(Some(place))
    }
}

/// A place in an observer's queue; free again when it is dropped, which is when the message begins
/// to run.
#[derive(Debug)]
pub(crate) struct Place(Arc<AtomicU64>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
