//! Sockets as handlers hold them: addresses that can be emitted to.

use std::{fmt::Debug, sync::Arc};

use bytestring::ByteString;
use serde::Serialize;

use crate::{
    address::{Address, TenantId},
    args::Args,
    backend::BoxFuture,
    error::{RouteError, code},
    session::{SessionId, UserId},
};

/// What is known of a socket from its admission on. It never changes; a socket whose session
/// changes hands is closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SocketInfo {
    /// Where it lives; its tenant id is the socket's public id.
    pub address: Address,
    /// The Socket.IO namespace that it is connected to.
    pub nsp: ByteString,
    /// Its session, where it was confirmed.
    pub sid: Option<SessionId>,
    /// Its user, where it was confirmed.
    pub user_id: Option<UserId>,
}

/// Whom a message goes to on this node.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Recipients {
    /// One socket.
    Socket(TenantId),
    /// Every admitted socket of a Socket.IO namespace.
    Nsp(ByteString),
    /// Every socket of a session.
    Session(SessionId),
}

/// Why a socket went, as the disconnect hook and its extractor see it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum DisconnectReason {
    /// The client left the namespace or closed cleanly.
    Client,
    /// A handler or an operator sent it away.
    Server,
    /// The connection broke.
    TransportClosed,
    /// No answer to a ping in time.
    PingTimeout,
    /// The client did not take what waited for it.
    Slow,
    /// The client broke the protocol or a limit; the close code's name.
    Refused(&'static str),
    /// The session ended: logout or revocation.
    SessionEnded,
    /// The node is going away.
    Drain,
}

impl DisconnectReason {
    /// The reason's name, as logs and metrics use it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
            Self::TransportClosed => "transport_closed",
            Self::PingTimeout => "ping_timeout",
            Self::Slow => "slow",
            Self::Refused(name) => name,
            Self::SessionEnded => "session_ended",
            Self::Drain => "drain",
        }
    }
}

/// The sockets of a node, as the service that holds them gives them to handlers.
pub trait SocketHub: Debug + Send + Sync {
    /// Queues an event to sockets of this node. Encodes once. Waits while a shard's queue is full.
    ///
    /// Emitting to nobody is no error, but to a single socket that is gone it is.
    fn emit(
        &self,
        to: Recipients,
        event: ByteString,
        args: Args,
    ) -> BoxFuture<'_, Result<(), EmitError>>;

    /// As [`emit`](Self::emit), for what is worth nothing when it is late: sockets that are behind
    /// (the limit `outbox_soft`) do not get it. A hub whose sockets are never behind need not tell
    /// the two apart.
    fn emit_volatile(
        &self,
        to: Recipients,
        event: ByteString,
        args: Args,
    ) -> BoxFuture<'_, Result<(), EmitError>> {
        self.emit(to, event, args)
    }

    /// The socket of this tenant id, if it lives here and was admitted.
    fn find(&self, tid: &TenantId) -> Option<Arc<SocketInfo>>;

    /// Sends sockets away. They do not come back by themselves.
    fn disconnect(&self, who: Recipients, reason: DisconnectReason) -> BoxFuture<'_, ()>;

    /// How many admitted sockets live here.
    fn count(&self) -> usize;
}

/// The hub of a process that holds no sockets, such as a web-service or a worker.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoSockets;

impl SocketHub for NoSockets {
    fn emit(&self, to: Recipients, _: ByteString, _: Args) -> BoxFuture<'_, Result<(), EmitError>> {
        let outcome = match to {
            Recipients::Socket(_) => Err(EmitError::Gone),
            Recipients::Nsp(_) | Recipients::Session(_) => Ok(()),
        };
        Box::pin(std::future::ready(outcome))
    }

    fn find(&self, _: &TenantId) -> Option<Arc<SocketInfo>> {
        None
    }

    fn disconnect(&self, _: Recipients, _: DisconnectReason) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }

    fn count(&self) -> usize {
        0
    }
}

/// Why an event was not queued to a socket.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmitError {
    /// The payload cannot be written as JSON.
    #[error("the payload cannot be written as JSON")]
    Payload(#[from] serde_json::Error),
    /// The socket is gone.
    #[error("the socket is gone")]
    Gone,
    /// The node is going away.
    #[error("the node is going away")]
    Closing,
}

impl From<EmitError> for RouteError {
    fn from(error: EmitError) -> Self {
        match error {
            EmitError::Payload(_) => Self::internal(),
            EmitError::Gone => Self::new(code::NODE_GONE, "The socket is gone."),
            EmitError::Closing => Self::unavailable(),
        }
    }
}

/// One socket of this node. Cheap to clone; may be sent to any thread.
#[derive(Debug, Clone)]
pub struct Socket {
    info: Arc<SocketInfo>,
    hub: Arc<dyn SocketHub>,
}

impl Socket {
    /// A handle to the socket `info` of `hub`.
    pub fn new(info: Arc<SocketInfo>, hub: Arc<dyn SocketHub>) -> Self {
        Self { info, hub }
    }

    /// Where it lives. Other nodes reach it there by `Bus::transmit`.
    pub fn address(&self) -> &Address {
        &self.info.address
    }

    /// The Socket.IO namespace that it is connected to.
    pub fn nsp(&self) -> &str {
        &self.info.nsp
    }

    /// Its user, where it was confirmed.
    pub fn user_id(&self) -> Option<&UserId> {
        self.info.user_id.as_ref()
    }

    /// Its session, where it was confirmed. A secret.
    pub fn session_id(&self) -> Option<&SessionId> {
        self.info.sid.as_ref()
    }

    /// Queues an event to it.
    ///
    /// # Errors
    /// [`EmitError::Gone`] when it went meanwhile.
    pub async fn emit<T: Serialize + ?Sized>(
        &self,
        event: &str,
        payload: &T,
    ) -> Result<(), EmitError> {
        let tid = self.info.address.tid().ok_or(EmitError::Gone)?;
        let to = Recipients::Socket(tid.clone());
        self.hub.emit(to, event.into(), Args::one(payload)?).await
    }

    /// Sends it away for good: its client does not come back by itself.
    pub async fn disconnect(&self) {
        if let Some(tid) = self.info.address.tid() {
            let who = Recipients::Socket(tid.clone());
            self.hub.disconnect(who, DisconnectReason::Server).await;
        }
    }
}

/// The admitted sockets of this node. Cheap to clone; may be sent to any thread.
#[derive(Debug, Clone)]
pub struct LocalSockets {
    nsp: ByteString,
    hub: Arc<dyn SocketHub>,
}

impl LocalSockets {
    /// The sockets of `hub` in the main namespace `/`.
    pub fn new(hub: Arc<dyn SocketHub>) -> Self {
        Self { nsp: ByteString::from_static("/"), hub }
    }

    /// The same node's sockets in another Socket.IO namespace.
    #[must_use]
    pub fn of(&self, nsp: impl Into<ByteString>) -> Self {
        Self { nsp: nsp.into(), hub: Arc::clone(&self.hub) }
    }

    /// Queues an event to all of them. It is encoded once.
    ///
    /// # Errors
    /// When the payload cannot be written as JSON, or the node is going away.
    pub async fn emit<T: Serialize + ?Sized>(
        &self,
        event: &str,
        payload: &T,
    ) -> Result<(), EmitError> {
        self.emit_args(event, Args::one(payload)?).await
    }

    /// Queues an event with its arguments as they are.
    ///
    /// # Errors
    /// When the node is going away.
    pub async fn emit_args(&self, event: &str, args: Args) -> Result<(), EmitError> {
        self.hub.emit(Recipients::Nsp(self.nsp.clone()), event.into(), args).await
    }

    /// Queues an event to those that are not behind (the limit `outbox_soft`): for what is worth
    /// nothing when it is late.
    ///
    /// # Errors
    /// When the payload cannot be written as JSON, or the node is going away.
    pub async fn emit_volatile<T: Serialize + ?Sized>(
        &self,
        event: &str,
        payload: &T,
    ) -> Result<(), EmitError> {
        let to = Recipients::Nsp(self.nsp.clone());
        self.hub.emit_volatile(to, event.into(), Args::one(payload)?).await
    }

    /// The socket of this tenant id, if it lives here.
    pub fn find(&self, tid: &TenantId) -> Option<Socket> {
        self.hub.find(tid).map(|info| Socket::new(info, Arc::clone(&self.hub)))
    }

    /// How many there are, in all namespaces.
    pub fn count(&self) -> usize {
        self.hub.count()
    }
}
