//! One socket of this node, and all of them.

use std::{sync::Arc, time::Duration};

use bytestring::ByteString;
use serde::{Serialize, de::DeserializeOwned};

use super::{
    AckError, DisconnectReason, EmitError, Emitter, Handshake, IntoRooms, JoinError, Recipients,
    Room, SocketData, SocketHub, SocketInfo,
};
use crate::{
    address::{Address, TenantId},
    args::Args,
    presence::ClientId,
    session::{SessionId, UserId},
};

/// One socket of this node. Cheap to clone; may be sent to any thread.
#[derive(Debug, Clone)]
pub struct Socket {
    pub(super) info: Arc<SocketInfo>,
    pub(super) hub: Arc<dyn SocketHub>,
}

impl Socket {
    /// A handle to the socket `info` of `hub`.
    pub fn new(info: Arc<SocketInfo>, hub: Arc<dyn SocketHub>) -> Self {
        Self { info, hub }
    }

    /// Its public id: the tenant id of its address.
    pub fn id(&self) -> &str {
        self.info.address.tid().map_or("", TenantId::as_str)
    }

    /// Where it lives. Other nodes reach it there by `Bus::transmit`, or by `Io::to`.
    pub fn address(&self) -> &Address {
        &self.info.address
    }

    /// Who its client is to others. Where the client shows a secret of its own (`whisk_client` in its
    /// CONNECT), it is the same when it comes back; else it is the socket's id.
    pub fn client_id(&self) -> ClientId {
        self.info.client_id()
    }

    pub(crate) fn own_client_id(&self) -> Option<&ClientId> {
        self.info.client.as_ref()
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

    /// With what its client came.
    pub fn handshake(&self) -> &Handshake {
        &self.info.handshake
    }

    /// What is known of it.
    pub fn info(&self) -> &Arc<SocketInfo> {
        &self.info
    }

    /// What the program keeps with it: values by their type, for as long as it lives.
    pub fn data(&self) -> &SocketData {
        &self.info.data
    }

    /// The value of this type with which the session gate let its connection in.
    pub fn granted<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        self.info.locals.as_ref()?.get()
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
        self.emit_args(event, Args::one(payload)?).await
    }

    /// Queues an event with its arguments as they are.
    ///
    /// # Errors
    /// As [`emit`](Self::emit).
    pub async fn emit_args(&self, event: &str, args: Args) -> Result<(), EmitError> {
        let tid = self.info.address.tid().ok_or(EmitError::Gone)?;
        self.hub.emit(Recipients::Socket(tid.clone()), event.into(), args).await
    }

    /// Queues an event to it and waits for the acknowledgement's first argument.
    ///
    /// # Errors
    /// [`AckError`] says whether the client may have got the event.
    ///
    /// # Cancel safety
    /// Dropped, it waits no more; the event may have been queued.
    pub async fn emit_with_ack<T: Serialize + ?Sized, R: DeserializeOwned>(
        &self,
        event: &str,
        payload: &T,
        timeout: Duration,
    ) -> Result<R, AckError> {
        let answer = self.emit_args_with_ack(event, Args::one(payload)?, timeout).await?;
        answer.first().map_err(AckError::Answer)
    }

    /// [`emit_with_ack`](Self::emit_with_ack) with all arguments as they are, both ways.
    ///
    /// # Errors
    /// As [`emit_with_ack`](Self::emit_with_ack).
    pub async fn emit_args_with_ack(
        &self,
        event: &str,
        args: Args,
        timeout: Duration,
    ) -> Result<Args, AckError> {
        let tid = self.info.address.tid().ok_or(AckError::Gone)?;
        let answer = tokio::time::timeout(timeout, self.hub.ask(tid, event.into(), args)).await;
        answer.unwrap_or(Err(AckError::Timeout))
    }

    /// Puts it on rooms of its nsp. When this returns, the bus has confirmed that its node listens to
    /// them: what anyone says there from then on, on whatever node, arrives.
    ///
    /// # Errors
    /// [`JoinError`] says why it is on none of them.
    pub async fn join(&self, rooms: impl IntoRooms) -> Result<(), JoinError> {
        let tid = self.info.address.tid().ok_or(JoinError::Gone)?;
        self.hub.join(Recipients::Socket(tid.clone()), rooms.into_rooms()).await
    }

    /// Takes it off rooms. Not to be on one is no error.
    pub async fn leave(&self, rooms: impl IntoRooms) {
        if let Some(tid) = self.info.address.tid() {
            self.hub.leave(Recipients::Socket(tid.clone()), rooms.into_rooms()).await;
        }
    }

    /// The rooms that it is on, by name. Its own is not among them.
    pub async fn rooms(&self) -> Vec<ByteString> {
        match self.info.address.tid() {
            Some(tid) => self.hub.rooms(tid).await,
            None => Vec::new(),
        }
    }

    /// All other sockets of its nsp, on every node.
    pub fn broadcast(&self) -> Emitter {
        let all = Emitter::new(&self.hub, self.hub.bus().cloned(), self.info.nsp.clone());
        all.except(&self.info.address)
    }

    /// The other sockets of its nsp that are on `room`, on every node.
    pub fn to(&self, room: impl Into<Room>) -> Emitter {
        self.broadcast().to(room)
    }

    /// The other sockets of its nsp that are not on `room`, on every node.
    pub fn except(&self, room: impl Into<Room>) -> Emitter {
        self.broadcast().except(room)
    }

    /// The other sockets of its nsp on this node.
    pub fn local(&self) -> Emitter {
        self.broadcast().local()
    }

    /// The other sockets of its nsp on every node, for what is worth nothing when it is late.
    pub fn volatile(&self) -> Emitter {
        self.broadcast().volatile()
    }

    /// Closes its connection, with all sockets on that. Its client comes back by itself.
    pub async fn close_connection(&self) {
        if let Some(tid) = self.info.address.tid() {
            let who = Recipients::Socket(tid.clone());
            self.hub.disconnect(who, DisconnectReason::TransportClosed).await;
        }
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
