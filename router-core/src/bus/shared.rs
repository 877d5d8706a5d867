//! What a node's bus handles, its reader and its link share.

use std::sync::{Arc, OnceLock, PoisonError, RwLock, Weak};

use bytes::Bytes;
use tokio::sync::{
    Notify,
    mpsc::{self, error::TrySendError},
    watch,
};

use super::{
    AskError, TransmitError,
    channels::Channels,
    pending::Pending,
    queues::{Place, Queues},
    seen::Seen,
};
use crate::{
    address::NodeAddress,
    args::Args,
    backend::{
        BackendError, BackendErrorKind, BoxFuture,
        bus::{AppendError, BusLink, BusSink, Subject},
        registry::{Lease, Registry},
    },
    channel::{Position, node::ChannelNode},
    envelope::{Emission, Entry, EntryId, Envelope, Frame, FrameError, Reply},
    id::MessageIds,
    limits::Limits,
    metrics::Metrics,
    presence::PresenceEvent,
    socket::SocketHub,
};

/// A message on its way to the observers.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(crate) envelope: Envelope,
    /// Held until the message runs.
    pub(crate) place: Option<Place>,
}

/// The state of one node on the bus.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) node: NodeAddress,
    pub(crate) ids: MessageIds,
    pub(crate) limits: Arc<Limits>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) pending: Pending,
    /// Set once, when the node starts; the link's own tasks hold this struct weakly.
    link: OnceLock<Arc<dyn BusLink>>,
    /// The lease that is held now; `None` while the node is fenced. Written by the lease task.
    lease: RwLock<Option<Lease>>,
    /// To the observers' pump. Ends when the pump is dropped.
    inbound: mpsc::Sender<Delivery>,
    /// How much waits for each observer.
    pub(crate) queues: Queues,
    /// Who lives; for questions to all nodes.
    pub(crate) registry: Arc<dyn Registry>,
    /// The channels that this node listens to.
    pub(crate) channels: Channels,
    /// The emits that may be heard once more.
    seen: Seen,
    /// This node's sockets, where it has any. Weak: they hold the bus.
    hub: OnceLock<Weak<dyn SocketHub>>,
    /// What it does with channels. Weak: that holds the bus.
    channels_of_node: OnceLock<Weak<ChannelNode>>,
    /// Set when the node's stream may hold something new.
    pub(crate) wake: Notify,
    /// The newest probe round that was heard. Written by the sink, read by the probe task.
    pub(crate) heard: watch::Sender<u64>,
}

impl Shared {
    pub(crate) fn new(
        node: NodeAddress,
        limits: Arc<Limits>,
        metrics: Arc<Metrics>,
        registry: Arc<dyn Registry>,
        inbound: mpsc::Sender<Delivery>,
    ) -> Self {
        let max = limits.pending_replies.get().unwrap_or(u64::MAX);
        Self {
            node,
            ids: MessageIds::new(),
            pending: Pending::new(usize::try_from(max).unwrap_or(usize::MAX)),
            queues: Queues::new(&limits),
            limits,
            metrics,
            link: OnceLock::new(),
            lease: RwLock::new(None),
            inbound,
            registry,
            channels: Channels::default(),
            seen: Seen::default(),
            hub: OnceLock::new(),
            channels_of_node: OnceLock::new(),
            wake: Notify::new(),
            heard: watch::Sender::new(0),
        }
    }

    pub(crate) fn set_link(&self, link: Arc<dyn BusLink>) {
        // A node starts once; a second link would only be dropped.
        let _second = self.link.set(link);
    }

    pub(crate) fn set_hub(&self, hub: Weak<dyn SocketHub>) {
        // A node has one hub.
        let _second = self.hub.set(hub);
    }

    pub(crate) fn set_channels(&self, channels: Weak<ChannelNode>) {
        // A node has one set of channels.
        let _second = self.channels_of_node.set(channels);
    }

    pub(crate) fn link(&self) -> &dyn BusLink {
        self.link.get().map_or(&NoLink, |link| &**link)
    }

    pub(crate) fn lease(&self) -> Option<Lease> {
        self.lease.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_lease(&self, lease: Option<Lease>) {
        *self.lease.write().unwrap_or_else(PoisonError::into_inner) = lease;
        self.wake.notify_one();
    }

    /// Gives a broadcast to the observers, or drops it at their bound.
    pub(crate) fn observe_broadcast(&self, envelope: Envelope) {
        self.metrics.broadcasts_in.inc();
        if self.queue(envelope).is_err() {
            self.metrics.broadcasts_dropped.inc();
        }
    }

    /// Gives a transmit or ask to the observers, unless they are at their bound.
    pub(crate) fn observe_entry(&self, envelope: Envelope) -> Result<(), Overloaded> {
        self.metrics.transmits_in.inc();
        self.queue(envelope)
    }

    /// Queues a message for its observer. What is queued runs, unless its node ends first.
    fn queue(&self, envelope: Envelope) -> Result<(), Overloaded> {
        let place = self.queues.enter(&envelope).map_err(|_full| {
            self.metrics.limit("observer_queue");
            Overloaded
        })?;
        self.inbound.try_send(Delivery { envelope, place }).map_err(|error| {
            if matches!(error, TrySendError::Full(_)) {
                self.metrics.limit("bus_queue");
            }
            Overloaded
        })
    }

    /// Sends a node's word to another. It may be lost: the other side has a deadline.
    pub(crate) async fn reply(&self, to: NodeAddress, reply: Reply, args: Args) {
        let Ok(frame) = Frame::Reply(self.node.clone(), reply, args).encode() else {
            return;
        };
        if let Err(error) = self.link().publish(Subject::Node(to), frame).await {
            tracing::debug!(%error, "a reply did not leave");
        }
    }

    fn replied(&self, reply: Reply, args: Args) {
        let fail = |ids: Vec<_>, error: fn() -> TransmitError| {
            for id in &ids {
                self.pending.resolve(id, Err(error().into()));
            }
        };
        match reply {
            Reply::Received { ids } => ids.iter().for_each(|id| self.pending.received(id)),
            Reply::Gone { ids } => fail(ids, || TransmitError::NodeGone),
            Reply::Overloaded { ids } => fail(ids, || TransmitError::Overloaded),
            Reply::Answer { id, error: None } => self.pending.resolve(&id, Ok(args)),
            Reply::Answer { id, error: Some(error) } => {
                self.pending.resolve(&id, Err(AskError::Answered(error.into())));
            }
            Reply::Probe { round } => {
                self.heard.send_if_modified(|heard| {
                    let newer = round > *heard;
                    *heard = round.max(*heard);
                    newer
                });
            }
        }
    }

    /// Gives another node's event to this node's sockets. No handler sees it.
    fn relay(&self, emission: Emission) {
        // This node's own sockets got its emits before they left.
        if emission.origin == self.node {
            return;
        }
        let comes_once = emission.to.rooms.len() + emission.to.sockets.len() <= 1;
        let Some(hub) = self.hub.get().and_then(Weak::upgrade) else { return };
        if !comes_once && !self.seen.is_new(&emission.id) {
            return;
        }
        self.metrics.emits_in.inc();
        let Emission { to, event, args, volatile, .. } = emission;
        if hub.relay(to.recipients(), &event, &args, volatile).is_err() {
            self.metrics.emits_dropped.inc();
            self.metrics.limit("shard_queue");
        }
    }

    fn heard_frame(&self, subject: &Subject, frame: &Bytes) {
        if frame.is_empty() {
            self.wake.notify_one();
            return;
        }
        if let (Subject::Channel(channel), true) = (subject, PresenceEvent::is_one(frame)) {
            let channels = self.channels_of_node.get().and_then(Weak::upgrade);
            if channels.is_some_and(|channels| !channels.heard_change(channel, frame)) {
                self.refused(subject, None);
            }
            return;
        }
        let Some((position, frame)) = Position::take_off(frame.clone()) else {
            return self.refused(subject, None);
        };
        match (subject, Frame::decode(&frame)) {
            (_, Ok(Frame::Word(word, args))) => {
                if let Some(channels) = self.channels_of_node.get().and_then(Weak::upgrade) {
                    channels.heard(word, position.as_ref(), args);
                }
            }
            (Subject::Namespace(_), Ok(Frame::Envelope(envelope))) => {
                // This node's own broadcasts were observed before they left.
                if envelope.origin.node().as_ref() != Some(&self.node) {
                    self.observe_broadcast(envelope);
                }
            }
            (_, Ok(Frame::Emit(emission))) => self.relay(emission),
            (Subject::Node(_), Ok(Frame::Reply(_, reply, args))) => self.replied(reply, args),
            (_, outcome) => self.refused(subject, outcome.err().as_ref()),
        }
    }

    fn refused(&self, subject: &Subject, error: Option<&FrameError>) {
        let count = self.metrics.frames_refused.inc() + 1;
        // More and more seldom: whoever sends one may send thousands.
        if count.is_power_of_two() {
            tracing::warn!(?subject, ?error, count, "a frame from the bus was refused");
        }
    }
}

/// A queue on the way to the observers is full, or nobody observes any more.
#[derive(Debug)]
pub(crate) struct Overloaded;

/// The link's way to a node, weak so that a dropped node ends its link.
#[derive(Debug)]
pub(crate) struct Sink(pub(crate) Weak<Shared>);

impl BusSink for Sink {
    fn published(&self, subject: &Subject, frame: Bytes) {
        if let Some(shared) = self.0.upgrade() {
            shared.heard_frame(subject, &frame);
        }
    }

    fn resubscribed(&self) {
        if let Some(shared) = self.0.upgrade() {
            // Wake-ups may have been missed.
            shared.wake.notify_one();
        }
    }
}

/// Stands in before the link is set: every call fails as on a link that is away.
#[derive(Debug)]
struct NoLink;

fn away() -> BackendError {
    BackendError::new(BackendErrorKind::NotApplied)
}

impl BusLink for NoLink {
    fn publish(&self, _: Subject, _: Bytes) -> BoxFuture<'_, Result<u64, BackendError>> {
        Box::pin(async { Err(away()) })
    }

    fn subscribe(&self, _: Subject) -> BoxFuture<'_, Result<(), BackendError>> {
        Box::pin(async { Err(away()) })
    }

    fn unsubscribe(&self, _: Subject) -> BoxFuture<'_, Result<(), BackendError>> {
        Box::pin(async { Err(away()) })
    }

    fn append<'a>(
        &'a self,
        _: &'a NodeAddress,
        _: Bytes,
        _: usize,
    ) -> BoxFuture<'a, Result<crate::Incarnation, AppendError>> {
        Box::pin(async { Err(away().into()) })
    }

    fn take<'a>(
        &'a self,
        _: &'a Lease,
        _: Option<EntryId>,
        _: usize,
    ) -> BoxFuture<'a, Result<Vec<Entry>, BackendError>> {
        Box::pin(async { Err(away()) })
    }

    fn reconnect(&self) {}
}
