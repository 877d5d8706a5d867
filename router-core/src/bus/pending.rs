//! Messages that wait for their receipt or answer.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::oneshot;

use super::{AskError, Shared, TransmitError};
use crate::{
    args::Args,
    envelope::{Envelope, Kind},
    id::MessageId,
};

type Outcome = Result<Args, AskError>;

/// What each waiting message waits for, and whom to tell.
#[derive(Debug)]
pub(crate) struct Pending {
    waiting: Mutex<HashMap<MessageId, (Kind, oneshot::Sender<Outcome>)>>,
    max: usize,
}

impl Pending {
    pub(crate) fn new(max: usize) -> Self {
        Self { waiting: Mutex::default(), max }
    }

    fn map(
        &self,
    ) -> std::sync::MutexGuard<'_, HashMap<MessageId, (Kind, oneshot::Sender<Outcome>)>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the wait of a message; nothing if nobody waits any more.
    pub(crate) fn resolve(&self, id: &MessageId, outcome: Outcome) {
        if let Some((_, tell)) = self.map().remove(id) {
            // The waiter may have reached its deadline in this moment.
            let _gone = tell.send(outcome);
        }
    }

    /// The message has arrived: the end for a transmit; an ask goes on waiting for its answer.
    pub(crate) fn received(&self, id: &MessageId) {
        let is_transmit = self.map().get(id).is_some_and(|(kind, _)| *kind == Kind::Transmit);
        if is_transmit {
            self.resolve(id, Ok(Args::EMPTY));
        }
    }
}

/// One message's wait. Dropping it ends the wait.
#[derive(Debug)]
pub(super) struct Waiting {
    id: MessageId,
    shared: Arc<Shared>,
    told: oneshot::Receiver<Outcome>,
}

impl Waiting {
    /// Begins to wait for `envelope`'s reply; `None` when too many wait already.
    pub(super) fn new(shared: &Arc<Shared>, envelope: &Envelope) -> Option<Self> {
        let (tell, told) = oneshot::channel();
        let mut map = shared.pending.map();
        if map.len() >= shared.pending.max {
            return None;
        }
        map.insert(envelope.id.clone(), (envelope.kind, tell));
        drop(map);
        Some(Self { id: envelope.id.clone(), shared: Arc::clone(shared), told })
    }

    /// The receipt or answer, whenever it comes.
    pub(super) async fn reply(mut self) -> Outcome {
        // The sender is dropped unsent only with the whole table, at the node's end.
        (&mut self.told).await.unwrap_or_else(|_| Err(TransmitError::Timeout.into()))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.shared.pending.map().remove(&self.id);
    }
}
