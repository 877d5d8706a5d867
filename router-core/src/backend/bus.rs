//! The bus as a backend gives it: subjects to publish on, and one stream for each node.

use std::{fmt::Debug, sync::Arc};

use bytes::Bytes;
use bytestring::ByteString;

use super::{BackendError, BoxFuture, registry::Lease};
use crate::{
    address::{Incarnation, Namespace, NodeAddress},
    envelope::{Entry, EntryId},
};

/// What a node can listen to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Subject {
    /// Broadcasts to a namespace.
    Namespace(Namespace),
    /// Replies to one node, its probes, and the wake-ups of its stream.
    Node(NodeAddress),
    /// What is said on a channel, to the nodes that have somebody on it. Any text names one.
    Channel(ByteString),
}

/// Opens links to the bus.
pub trait BusBackend: Debug + Send + Sync {
    /// Opens a node's link, which supervises itself until it is dropped: it connects in the
    /// background, reconnects with jittered backoff, and then subscribes anew to all its subjects.
    ///
    /// Never fails: a link that is not connected answers its calls with `NotApplied`.
    fn open(&self, sink: Arc<dyn BusSink>) -> Arc<dyn BusLink>;
}

/// One node's connection to the bus.
pub trait BusLink: Debug + Send + Sync {
    /// Publishes to every current subscriber of `subject`, at most once each, this link included.
    ///
    /// `Ok` means that the backend took the frame, not that anybody received it: the number says how
    /// many links heard it, as far as the backend knows. On a cluster it is whole for channels only.
    /// Frames that one caller publishes one after the other on one subject arrive in that order.
    fn publish(&self, subject: Subject, frame: Bytes) -> BoxFuture<'_, Result<u64, BackendError>>;

    /// Listens to `subject`. When this returns `Ok`, the backend has confirmed the subscription:
    /// what anyone publishes from then on arrives.
    ///
    /// An error means "not yet": the link keeps the subject and subscribes when it can.
    fn subscribe(&self, subject: Subject) -> BoxFuture<'_, Result<(), BackendError>>;

    /// Listens to `subject` no longer, also when the link is not connected. A frame that is being
    /// handed over meanwhile may still reach the sink.
    fn unsubscribe(&self, subject: Subject) -> BoxFuture<'_, Result<(), BackendError>>;

    /// Appends to the stream of the node `to`, if a lease of it is live. The check and the append
    /// are one atomic step. Afterwards an empty frame is published on the node's subject, as a
    /// wake-up; it may be lost.
    ///
    /// The stream is bounded to `max` entries that were not yet forgotten.
    fn append<'a>(
        &'a self,
        to: &'a NodeAddress,
        frame: Bytes,
        max: usize,
    ) -> BoxFuture<'a, Result<Incarnation, AppendError>>;

    /// The next entries of the lease holder's own stream, at most `max`, in order, those for former
    /// lives included. Entries up to `after` are forgotten: the caller is done with them. What is
    /// not forgotten comes again with the next call, whoever took it before.
    ///
    /// The stream is the live lease's: a life that lost it gets `NotApplied`, and forgets nothing.
    fn take<'a>(
        &'a self,
        lease: &'a Lease,
        after: Option<EntryId>,
        max: usize,
    ) -> BoxFuture<'a, Result<Vec<Entry>, BackendError>>;

    /// Drops the connections and makes new ones. Called when the link is deaf: it seems well but
    /// does not hear its own probes.
    fn reconnect(&self);
}

/// Where a link puts what it hears. Its methods are called on the link's own task, so they return
/// at once.
pub trait BusSink: Debug + Send + Sync {
    /// A frame was published on a subject that the link subscribed to.
    fn published(&self, subject: &Subject, frame: Bytes);

    /// The link was away, or a part of it, and has subscribed anew to all its subjects: frames may
    /// have been missed. For subjects that cannot be heard for longer, it is told again.
    fn resubscribed(&self);
}

/// Why an append did not succeed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// No lease of the node is live; nothing was stored.
    #[error("the node does not live")]
    NodeGone,
    /// The node's stream is at its bound; nothing was stored.
    #[error("the node's stream is full")]
    Full,
    /// The backend failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
}
