//! A bus that notes what is sent on it.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;

use crate::{
    address::{Incarnation, NodeAddress},
    backend::{
        BackendError, BoxFuture,
        bus::{AppendError, BusBackend, BusLink, BusSink, Subject},
        registry::Lease,
    },
    envelope::{Entry, EntryId, Envelope, Frame, Kind},
};

/// A message that was given to the bus.
pub type Sent = Envelope;

/// What was sent and not yet asserted.
#[derive(Debug, Default)]
pub(super) struct Notes {
    sent: Mutex<Vec<Sent>>,
    pub(super) changed: Notify,
}

impl Notes {
    fn note(&self, frame: &Bytes) {
        if let Ok(Frame::Envelope(envelope)) = Frame::decode(frame) {
            self.sent.lock().unwrap_or_else(PoisonError::into_inner).push(envelope);
            self.changed.notify_waiters();
        }
    }

    /// Takes the oldest message of this kind and event.
    pub(super) fn take(&self, kind: Kind, event: &str) -> Option<Sent> {
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        let at = sent.iter().position(|sent| sent.kind == kind && sent.event == event)?;
        Some(sent.remove(at))
    }

    pub(super) fn names(&self) -> Vec<String> {
        let sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        sent.iter().map(|sent| format!("{:?} {}", sent.kind, sent.event)).collect()
    }
}

/// Passes everything on to another bus and notes it.
#[derive(Debug)]
pub(super) struct SpyBus {
    pub(super) bus: Arc<dyn BusBackend>,
    pub(super) notes: Arc<Notes>,
}

#[derive(Debug)]
struct SpyLink {
    link: Arc<dyn BusLink>,
    notes: Arc<Notes>,
}

impl BusBackend for SpyBus {
    fn open(&self, sink: Arc<dyn BusSink>) -> Arc<dyn BusLink> {
        Arc::new(SpyLink { link: self.bus.open(sink), notes: Arc::clone(&self.notes) })
    }
}

impl BusLink for SpyLink {
    fn publish(&self, subject: Subject, frame: Bytes) -> BoxFuture<'_, Result<u64, BackendError>> {
        self.notes.note(&frame);
        self.link.publish(subject, frame)
    }

    fn subscribe(&self, subject: Subject) -> BoxFuture<'_, Result<(), BackendError>> {
        self.link.subscribe(subject)
    }

    fn unsubscribe(&self, subject: Subject) -> BoxFuture<'_, Result<(), BackendError>> {
        self.link.unsubscribe(subject)
    }

    fn append<'a>(
        &'a self,
        to: &'a NodeAddress,
        frame: Bytes,
        max: usize,
    ) -> BoxFuture<'a, Result<Incarnation, AppendError>> {
        self.notes.note(&frame);
        self.link.append(to, frame, max)
    }

    fn take<'a>(
        &'a self,
        lease: &'a Lease,
        after: Option<EntryId>,
        max: usize,
    ) -> BoxFuture<'a, Result<Vec<Entry>, BackendError>> {
        self.link.take(lease, after, max)
    }

    fn reconnect(&self) {
        self.link.reconnect();
    }
}
