//! The bus in memory: sinks are called on the publisher's own call, streams are plain queues.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;

use super::{CutOff, MemoryHub, State, expiring::Expiring};
use crate::{
    address::{Incarnation, NodeAddress},
    backend::{
        BackendError, BackendErrorKind, BoxFuture,
        bus::{AppendError, BusBackend, BusLink, BusSink, Subject},
        registry::Lease,
    },
    envelope::{Entry, EntryId},
};

/// How long a stream lives that nobody appends to and nobody takes from.
const STREAM_TTL: Duration = Duration::from_secs(3600);

pub(super) type Streams = Expiring<NodeAddress, VecDeque<Entry>>;

/// Tells one link from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct LinkId(u64);

/// The links that listen to one subject. A publisher takes the list as it stands and calls the
/// sinks outside the lock; a change makes a new list.
pub(super) type Listeners = Arc<[(LinkId, Arc<dyn BusSink>)]>;

#[derive(Debug, Default)]
pub(super) struct Subscribers {
    links: HashMap<LinkId, Arc<dyn BusSink>>,
    subjects: HashMap<Subject, Listeners>,
}

impl Subscribers {
    /// The sinks of all open links.
    pub(super) fn sinks(&self) -> Vec<Arc<dyn BusSink>> {
        self.links.values().cloned().collect()
    }

    /// Who listens to a subject now.
    pub(super) fn listeners(&self, subject: &Subject) -> Option<Listeners> {
        self.subjects.get(subject).cloned()
    }

    fn add(&mut self, subject: Subject, link: LinkId) {
        let Some(sink) = self.links.get(&link) else {
            return;
        };
        let listeners = self.subjects.entry(subject).or_insert_with(|| Arc::new([]));
        if !listeners.iter().any(|(id, _)| *id == link) {
            let new = (link, sink.clone());
            *listeners = listeners.iter().cloned().chain([new]).collect();
        }
    }

    fn remove(&mut self, subject: &Subject, link: LinkId) {
        let Some(listeners) = self.subjects.get_mut(subject) else {
            return;
        };
        *listeners = listeners.iter().filter(|(id, _)| *id != link).cloned().collect();
        if listeners.is_empty() {
            self.subjects.remove(subject);
        }
    }

    /// Whether nobody listens to anything.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.links.is_empty() && self.subjects.is_empty()
    }

    fn forget(&mut self, link: LinkId) {
        self.links.remove(&link);
        let subjects: Vec<_> = self.subjects.keys().cloned().collect();
        for subject in subjects {
            self.remove(&subject, link);
        }
    }
}

impl BusBackend for MemoryHub {
    fn open(&self, sink: Arc<dyn BusSink>) -> Arc<dyn BusLink> {
        let mut state = self.lock();
        let id = LinkId(state.next_number());
        state.bus.links.insert(id, sink.clone());
        Arc::new(MemoryLink { hub: self.clone(), id, sink })
    }
}

/// One node's link to the hub; its subscriptions end when it is dropped.
struct MemoryLink {
    hub: MemoryHub,
    id: LinkId,
    sink: Arc<dyn BusSink>,
}

impl fmt::Debug for MemoryLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryLink").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Drop for MemoryLink {
    fn drop(&mut self) {
        let gone = {
            let mut state = self.hub.lock();
            let sink = state.bus.links.get(&self.id).cloned();
            state.bus.forget(self.id);
            sink
        };
        // A sink's own drop may call the hub: not under its lock.
        drop(gone);
    }
}

/// Calls the sinks, outside of the hub's lock.
pub(super) fn hand_over(listeners: Option<&Listeners>, subject: &Subject, frame: &Bytes) {
    for (_, sink) in listeners.into_iter().flat_map(|listeners| listeners.iter()) {
        sink.published(subject, frame.clone());
    }
}

impl MemoryLink {
    fn store(
        state: &mut State,
        to: &NodeAddress,
        frame: Bytes,
        max: usize,
    ) -> Result<Incarnation, AppendError> {
        let incarnation = state.leases.get(to).ok_or(AppendError::NodeGone)?.incarnation;
        let id = EntryId(state.next_number(), 0);
        let entry = Entry { id, incarnation, frame };
        match state.streams.get(to) {
            Some(stream) if stream.len() >= max => return Err(AppendError::Full),
            Some(stream) => stream.push_back(entry),
            None if max == 0 => return Err(AppendError::Full),
            None => state.streams.insert(to.clone(), VecDeque::from([entry]), STREAM_TTL),
        }
        state.streams.touch(to, STREAM_TTL);
        Ok(incarnation)
    }
}

impl BusLink for MemoryLink {
    fn publish(&self, subject: Subject, frame: Bytes) -> BoxFuture<'_, Result<u64, BackendError>> {
        Box::pin(async move {
            let listeners = self.hub.reach()?.bus.listeners(&subject);
            hand_over(listeners.as_ref(), &subject, &frame);
            Ok(listeners.map_or(0, |listeners| listeners.len() as u64))
        })
    }

    fn subscribe(&self, subject: Subject) -> BoxFuture<'_, Result<(), BackendError>> {
        Box::pin(async move {
            // Also while the hub is cut off: the link keeps the subject for later.
            let mut state = self.hub.lock();
            state.bus.add(subject, self.id);
            if state.cut {
                return Err(BackendError::because(BackendErrorKind::NotApplied, CutOff));
            }
            Ok(())
        })
    }

    fn unsubscribe(&self, subject: Subject) -> BoxFuture<'_, Result<(), BackendError>> {
        Box::pin(async move {
            // Forgetting needs nobody: it succeeds while the hub is cut off, too.
            self.hub.lock().bus.remove(&subject, self.id);
            Ok(())
        })
    }

    fn append<'a>(
        &'a self,
        to: &'a NodeAddress,
        frame: Bytes,
        max: usize,
    ) -> BoxFuture<'a, Result<Incarnation, AppendError>> {
        Box::pin(async move {
            let subject = Subject::Node(to.clone());
            let (incarnation, listeners) = {
                let mut state = self.hub.reach()?;
                let incarnation = Self::store(&mut state, to, frame, max)?;
                (incarnation, state.bus.listeners(&subject))
            };
            hand_over(listeners.as_ref(), &subject, &Bytes::new());
            Ok(incarnation)
        })
    }

    fn take<'a>(
        &'a self,
        lease: &'a Lease,
        after: Option<EntryId>,
        max: usize,
    ) -> BoxFuture<'a, Result<Vec<Entry>, BackendError>> {
        Box::pin(async move {
            let mut state = self.hub.reach()?;
            if !state.holds(lease) {
                return Err(BackendError::because(
                    BackendErrorKind::NotApplied,
                    "the lease is lost, and with it the right to the stream",
                ));
            }
            state.streams.touch(&lease.node, STREAM_TTL);
            let Some(stream) = state.streams.get(&lease.node) else {
                return Ok(Vec::new());
            };
            if let Some(after) = after {
                while stream.front().is_some_and(|entry| entry.id <= after) {
                    stream.pop_front();
                }
            }
            let taken = stream.iter().take(max).cloned().collect();
            if stream.is_empty() {
                state.streams.remove(&lease.node);
            }
            Ok(taken)
        })
    }

    fn reconnect(&self) {
        if !self.hub.lock().cut {
            self.sink.resubscribed();
        }
    }
}
