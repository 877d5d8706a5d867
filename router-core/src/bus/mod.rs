//! The bus as users hold it: broadcast, transmit, ask.

pub(crate) mod channels;
mod error;
mod interest;
mod pending;
pub(crate) mod queues;
pub(crate) mod reader;
pub(crate) mod seen;
pub(crate) mod shared;
mod survey;
mod tell;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use bytestring::ByteString;
use serde::{Serialize, de::DeserializeOwned};

pub use channels::Wanted;
pub use error::{AskError, BroadcastError, TransmitError};
pub(crate) use shared::{Delivery, Shared};
pub use survey::Partial;

use crate::{
    address::{Address, Namespace, NodeAddress},
    args::Args,
    backend::{
        BackendError, BackendErrorKind,
        bus::{AppendError, Subject},
        registry::Lease,
    },
    envelope::{Emission, Envelope, Frame, Kind},
    error::RouteError,
    id::MessageId,
    socket::{Selection, SocketHub},
};
use pending::Waiting;

/// Sends messages to other nodes, as the node that it was taken from. Cheap to clone; may be sent
/// to any thread.
#[derive(Debug, Clone)]
pub struct Bus {
    pub(crate) shared: Arc<Shared>,
}

/// The word that a transmit has arrived: the target node has it, and its observers are next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The message's id, which an observer sees too.
    pub id: MessageId,
}

impl Bus {
    /// The node that sends.
    pub fn node(&self) -> &NodeAddress {
        &self.shared.node
    }

    /// To every live node of `ns`, at most once each.
    ///
    /// If `ns` is this node's own, its observers get the message first, whether or not the bus
    /// takes it.
    ///
    /// # Errors
    /// [`BroadcastError`] when the bus did not take the message: other nodes did not get it.
    pub async fn broadcast<T: Serialize + ?Sized>(
        &self,
        ns: Namespace,
        event: &str,
        payload: &T,
    ) -> Result<(), BroadcastError> {
        self.broadcast_args(ns, event, Args::one(payload)?).await
    }

    /// [`broadcast`](Self::broadcast) with arguments as they are.
    ///
    /// # Errors
    /// As [`broadcast`](Self::broadcast).
    pub async fn broadcast_args(
        &self,
        ns: Namespace,
        event: &str,
        args: Args,
    ) -> Result<(), BroadcastError> {
        let envelope = self.envelope(Kind::Broadcast, event, ns.clone().into(), args);
        let frame = Frame::Envelope(envelope.clone()).encode()?;
        if ns == self.shared.node.ns {
            self.shared.observe_broadcast(envelope);
        }
        self.publish_broadcast(ns, frame).await
    }

    /// [`broadcast_args`](Self::broadcast_args) to every node but this one.
    pub(crate) async fn broadcast_others(
        &self,
        ns: Namespace,
        event: &str,
        args: Args,
    ) -> Result<(), BroadcastError> {
        let envelope = self.envelope(Kind::Broadcast, event, ns.clone().into(), args);
        let frame = Frame::Envelope(envelope).encode()?;
        self.publish_broadcast(ns, frame).await
    }

    async fn publish_broadcast(&self, ns: Namespace, frame: Bytes) -> Result<(), BroadcastError> {
        let shared = &self.shared;
        shared.metrics.broadcasts_out.inc();
        let published = shared.link().publish(Subject::Namespace(ns), frame).await;
        published.map(drop).map_err(|error| {
            shared.metrics.broadcasts_failed.inc();
            BroadcastError::Unavailable(error)
        })
    }

    /// Lets other nodes' emits reach this node's sockets. Called once, by the service that holds them;
    /// the bus does not keep them alive.
    pub fn attach_sockets(&self, hub: &Arc<dyn SocketHub>) {
        self.shared.set_hub(Arc::downgrade(hub));
    }

    /// Listens to a channel for as long as the returned value lives. When this returns, the bus has
    /// confirmed it: what anyone says there from then on arrives.
    ///
    /// # Errors
    /// When the bus did not confirm.
    pub async fn listen(&self, channel: ByteString) -> Result<Wanted, BackendError> {
        Wanted::new(&self.shared, channel).await
    }

    /// [`listen`](Self::listen) to a subject; only channels may be listened to.
    pub(crate) async fn listen_to(&self, subject: Subject) -> Result<Wanted, BackendError> {
        match subject {
            Subject::Channel(channel) => self.listen(channel).await,
            Subject::Namespace(_) | Subject::Node(_) => {
                Err(BackendError::new(BackendErrorKind::NotApplied))
            }
        }
    }

    /// The nodes of a namespace whose leases are live, by rising node id.
    ///
    /// # Errors
    /// When the registry did not answer.
    pub async fn nodes(&self, ns: &Namespace) -> Result<Vec<Lease>, BackendError> {
        let nodes = self.shared.registry.nodes(ns).await?;
        Ok(nodes.into_iter().map(|entry| entry.lease).collect())
    }

    /// Says an event for sockets where their nodes listen.
    pub(crate) async fn emit(
        &self,
        subjects: Vec<Subject>,
        to: Arc<Selection>,
        volatile: bool,
        event: ByteString,
        args: Args,
    ) -> Result<(), BroadcastError> {
        let shared = &self.shared;
        let (origin, id) = (shared.node.clone(), shared.ids.next());
        let frame = Frame::Emit(Emission { origin, id, to, volatile, event, args }).encode()?;
        shared.metrics.emits_out.inc();
        let this_node = Subject::Node(shared.node.clone());
        let mut outcome = Ok(());
        for subject in subjects.into_iter().filter(|subject| *subject != this_node) {
            // One room that fails does not keep the others from it.
            if let Err(error) = shared.link().publish(subject, frame.clone()).await {
                shared.metrics.broadcasts_failed.inc();
                outcome = Err(BroadcastError::Unavailable(error));
            }
        }
        outcome
    }

    /// To one node, or to one tenant on it. FIFO for one sender and target: the messages that one
    /// task sends one after the other are observed in that order.
    ///
    /// # Errors
    /// [`TransmitError`] says what is known; [`TransmitError::Timeout`] that nothing is.
    pub async fn transmit<T: Serialize + ?Sized>(
        &self,
        to: &Address,
        event: &str,
        payload: &T,
    ) -> Result<Receipt, TransmitError> {
        self.transmit_args(to, event, Args::one(payload)?).await
    }

    /// [`transmit`](Self::transmit) with arguments as they are.
    ///
    /// # Errors
    /// As [`transmit`](Self::transmit).
    pub async fn transmit_args(
        &self,
        to: &Address,
        event: &str,
        args: Args,
    ) -> Result<Receipt, TransmitError> {
        let envelope = self.envelope(Kind::Transmit, event, to.clone(), args);
        let id = envelope.id.clone();
        let deadline = self.shared.limits.receipt_timeout.get().unwrap_or(Duration::MAX);
        match self.send(envelope, deadline).await {
            Ok(_) => Ok(Receipt { id }),
            Err(AskError::Transmit(error)) => {
                if matches!(error, TransmitError::Timeout) {
                    self.shared.metrics.limit("receipt_timeout");
                }
                Err(error)
            }
            // A transmit is never answered, so its observer's error cannot come back.
            Err(AskError::Answered(_) | AskError::Answer(_)) => Err(TransmitError::Timeout),
        }
    }

    /// To one node, or to one tenant on it, for an answer within `deadline`.
    ///
    /// # Errors
    /// [`AskError::Answered`] with the handler's own error, or what became of the message.
    pub async fn ask<T: Serialize + ?Sized, R: DeserializeOwned>(
        &self,
        to: &Address,
        event: &str,
        payload: &T,
        deadline: Duration,
    ) -> Result<R, AskError> {
        let args = Args::one(payload).map_err(TransmitError::from)?;
        let answer = self.send(self.envelope(Kind::Ask, event, to.clone(), args), deadline).await?;
        answer.first().map_err(AskError::Answer)
    }

    fn envelope(&self, kind: Kind, event: &str, recipient: Address, args: Args) -> Envelope {
        let id = self.shared.ids.next();
        Envelope {
            kind,
            event: event.into(),
            origin: self.shared.node.clone().into(),
            recipient,
            trace: id.clone(),
            id,
            args,
        }
    }

    async fn send(&self, envelope: Envelope, deadline: Duration) -> Result<Args, AskError> {
        let shared = &self.shared;
        shared.metrics.transmits_out.inc();
        let outcome = match tokio::time::timeout(deadline, self.send_unbounded(envelope)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(TransmitError::Timeout.into()),
        };
        if outcome.is_err() {
            shared.metrics.transmits_failed.inc();
        }
        outcome
    }

    async fn send_unbounded(&self, envelope: Envelope) -> Result<Args, AskError> {
        let shared = &self.shared;
        let to = envelope.recipient.node().ok_or(TransmitError::NoNode)?;
        // Forgotten when this future is dropped, so a deadline leaves nothing behind.
        let Some(waiting) = Waiting::new(shared, &envelope) else {
            shared.metrics.limit("pending_replies");
            return Err(TransmitError::Overloaded.into());
        };
        if to == shared.node {
            if shared.lease().is_none() {
                return Err(TransmitError::NodeGone.into());
            }
            let (id, kind) = (envelope.id.clone(), envelope.kind);
            shared.observe_entry(envelope).map_err(|_| TransmitError::Overloaded)?;
            if kind == Kind::Transmit {
                shared.pending.resolve(&id, Ok(Args::EMPTY));
            }
        } else {
            let frame = Frame::Envelope(envelope).encode().map_err(TransmitError::from)?;
            let max = shared.limits.stream_length.get().unwrap_or(u64::MAX);
            let max = usize::try_from(max).unwrap_or(usize::MAX);
            let appended = shared.link().append(&to, frame, max).await;
            if matches!(appended, Err(AppendError::Full)) {
                shared.metrics.limit("stream_length");
            }
            appended.map_err(TransmitError::from)?;
        }
        waiting.reply().await
    }

    /// Answers an ask.
    pub(crate) async fn answer(&self, asked: &Envelope, answer: Result<Args, RouteError>) {
        let shared = &self.shared;
        let Some(asker) = asked.origin.node() else {
            return;
        };
        if asker == shared.node {
            shared.pending.resolve(&asked.id, answer.map_err(AskError::Answered));
            return;
        }
        let (args, error) = match answer {
            Ok(args) => (args, None),
            Err(error) => (Args::EMPTY, Some(error.into())),
        };
        let reply = crate::envelope::Reply::Answer { id: asked.id.clone(), error };
        shared.reply(asker, reply, args).await;
    }
}
