//! What a process with sockets gives to handlers and to the bus.

use std::{
    fmt::{self, Debug},
    sync::Arc,
};

use bytestring::ByteString;
use futures_util::future::LocalBoxFuture;

use super::{
    AckError, DisconnectReason, EmitError, JoinError, QueueFull, Recipients, RemoteSocket,
    SocketInfo,
};
use crate::{
    address::TenantId,
    args::Args,
    backend::BoxFuture,
    bus::Bus,
    channel::{ChannelKey, ChannelName},
    presence::{ClientId, Millis, Settings},
};

type Job = dyn Fn(Arc<SocketInfo>) -> LocalBoxFuture<'static, ()> + Send + Sync;

/// Something to be done for sockets where their handlers run.
#[derive(Clone)]
pub struct SocketJob(Arc<Job>);

impl SocketJob {
    /// What `begin` makes need not be `Send`.
    pub fn new<F>(begin: impl Fn(Arc<SocketInfo>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + 'static,
    {
        Self(Arc::new(move |info| Box::pin(begin(info))))
    }

    /// Begins it for a socket, on the socket's own thread.
    pub fn begin(&self, info: Arc<SocketInfo>) -> LocalBoxFuture<'static, ()> {
        (self.0)(info)
    }
}

impl Debug for SocketJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SocketJob")
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

    /// Queues an event to one socket, behind what was emitted to it before, and waits for its
    /// acknowledgement, for as long as it takes: the caller has a deadline. Dropped, it waits no more.
    ///
    /// # Errors
    /// [`AckError::Gone`], [`AckError::Disconnected`] or [`AckError::TooMany`].
    fn ask(
        &self,
        tid: &TenantId,
        event: ByteString,
        args: Args,
    ) -> BoxFuture<'_, Result<Args, AckError>>;

    /// As [`emit`](Self::emit), for what came from another node: returns at once, and drops what
    /// finds a shard's queue full. Called on the bus link's own task.
    ///
    /// # Errors
    /// [`QueueFull`] when some sockets did not get it.
    fn relay(
        &self,
        to: Recipients,
        event: &str,
        args: &Args,
        volatile: bool,
    ) -> Result<(), QueueFull>;

    /// Puts sockets on rooms of their nsp. When this returns, the bus has confirmed that the node
    /// listens to the rooms, and the sockets are on them.
    ///
    /// A single socket must exist and have room for all of them; of several sockets those that have
    /// no room for all are left out.
    fn join(&self, who: Recipients, rooms: Vec<ByteString>)
    -> BoxFuture<'_, Result<(), JoinError>>;

    /// Puts a socket on a channel. When this returns, the bus has confirmed that the node listens to
    /// `key`, and the socket is on it; being on it already is no error.
    fn subscribe<'a>(
        &'a self,
        tid: &'a TenantId,
        channel: &'a ChannelName,
        key: ChannelKey,
    ) -> BoxFuture<'a, Result<(), JoinError>>;

    /// Takes a socket off a channel. Not to be on it is no error.
    fn unsubscribe<'a>(&'a self, tid: &'a TenantId, channel: &'a ChannelName) -> BoxFuture<'a, ()>;

    /// Watches over a socket on a channel's roster by the channel's times, or does so no more: its
    /// connection is pinged as often as they say, and [`Upkeep::sighted`] is told when it is silent
    /// for too long, and when it is heard again.
    ///
    /// [`Upkeep::sighted`]: crate::channel::Upkeep::sighted
    fn watch<'a>(
        &'a self,
        tid: &'a TenantId,
        channel: &'a ChannelName,
        settings: Option<&'a Settings>,
    ) -> BoxFuture<'a, ()>;

    /// When the clients of this node that are watched over on a channel were heard last; their
    /// connections are pinged now if `ping`.
    fn sightings<'a>(
        &'a self,
        channel: &'a ChannelName,
        ping: bool,
    ) -> BoxFuture<'a, Vec<(ClientId, Millis)>>;

    /// Begins `job` for each of these sockets where its handlers run. Does not wait for its end.
    fn run(&self, who: Recipients, job: SocketJob) -> BoxFuture<'_, ()>;

    /// Takes sockets off rooms. Not to be on one is no error.
    fn leave(&self, who: Recipients, rooms: Vec<ByteString>) -> BoxFuture<'_, ()>;

    /// The rooms of a socket, by name; none when it is gone.
    fn rooms(&self, tid: &TenantId) -> BoxFuture<'_, Vec<ByteString>>;

    /// The sockets that are meant, with their rooms.
    fn describe(&self, who: Recipients) -> BoxFuture<'_, Vec<RemoteSocket>>;

    /// The bus, as the node whose sockets these are; `None` without sockets.
    fn bus(&self) -> Option<&Bus>;

    /// The socket of this tenant id, if it lives here and was admitted.
    fn find(&self, tid: &TenantId) -> Option<Arc<SocketInfo>>;

    /// Sends sockets away. They do not come back by themselves.
    fn disconnect(&self, who: Recipients, reason: DisconnectReason) -> BoxFuture<'_, ()>;

    /// Somebody began or ceased to look at what is emitted to a socket
    /// ([`SocketInfo::has_outgoing_taps`]). A hub that looks for that at every socket anyway need not
    /// hear it.
    fn taps_changed(&self, _tid: &TenantId) {}

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
            _ => Ok(()),
        };
        Box::pin(std::future::ready(outcome))
    }

    fn ask(&self, _: &TenantId, _: ByteString, _: Args) -> BoxFuture<'_, Result<Args, AckError>> {
        Box::pin(std::future::ready(Err(AckError::Gone)))
    }

    fn relay(&self, _: Recipients, _: &str, _: &Args, _: bool) -> Result<(), QueueFull> {
        Ok(())
    }

    fn join(&self, who: Recipients, _: Vec<ByteString>) -> BoxFuture<'_, Result<(), JoinError>> {
        let outcome = match who {
            Recipients::Socket(_) => Err(JoinError::Gone),
            _ => Ok(()),
        };
        Box::pin(std::future::ready(outcome))
    }

    fn subscribe<'a>(
        &'a self,
        _: &'a TenantId,
        _: &'a ChannelName,
        _: ChannelKey,
    ) -> BoxFuture<'a, Result<(), JoinError>> {
        Box::pin(std::future::ready(Err(JoinError::Gone)))
    }

    fn unsubscribe<'a>(&'a self, _: &'a TenantId, _: &'a ChannelName) -> BoxFuture<'a, ()> {
        Box::pin(std::future::ready(()))
    }

    fn watch<'a>(
        &'a self,
        _: &'a TenantId,
        _: &'a ChannelName,
        _: Option<&'a Settings>,
    ) -> BoxFuture<'a, ()> {
        Box::pin(std::future::ready(()))
    }

    fn sightings<'a>(
        &'a self,
        _: &'a ChannelName,
        _: bool,
    ) -> BoxFuture<'a, Vec<(ClientId, Millis)>> {
        Box::pin(std::future::ready(Vec::new()))
    }

    fn run(&self, _: Recipients, _: SocketJob) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }

    fn leave(&self, _: Recipients, _: Vec<ByteString>) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }

    fn rooms(&self, _: &TenantId) -> BoxFuture<'_, Vec<ByteString>> {
        Box::pin(std::future::ready(Vec::new()))
    }

    fn describe(&self, _: Recipients) -> BoxFuture<'_, Vec<RemoteSocket>> {
        Box::pin(std::future::ready(Vec::new()))
    }

    fn bus(&self) -> Option<&Bus> {
        None
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
