//! The sockets of all nodes.

use std::{sync::Arc, time::Duration};

use bytestring::ByteString;
use serde::{Serialize, de::DeserializeOwned};

use super::{Emitter, IntoRooms, QueryError, RemoteSocket, Room, SocketHub};
use crate::{
    address::{Namespace, NodeAddress},
    args::Args,
    bus::{BroadcastError, Bus, Partial},
};

/// The sockets of all nodes, in one nsp. Cheap to clone; may be sent to any thread; works in every
/// process, also in one without sockets, such as a worker.
///
/// As a handler's argument it is of the nsp of the socket that the event came from, else of `/`.
///
/// ```
/// use router_core::{Payload, RouteError, Routes, socket::{Io, Socket}};
///
/// pub fn routes(cfg: &mut Routes) {
///     cfg.route("room").on("say", say);
/// }
///
/// async fn say(io: Io, socket: Socket, Payload(text): Payload<String>) -> Result<(), RouteError> {
///     socket.join("lobby").await?;
///     io.to("lobby").except(&socket).emit("room.said", &text).await?;
///     Ok(())
/// }
/// # Routes::build([routes as fn(&mut Routes)]).unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct Io {
    hub: Arc<dyn SocketHub>,
    bus: Bus,
    nsp: ByteString,
    ns: Option<Namespace>,
}

impl Io {
    /// The sockets of `nsp`, as the node of `bus` reaches them; `hub` are its own.
    pub fn new(hub: Arc<dyn SocketHub>, bus: Bus, nsp: impl Into<ByteString>) -> Self {
        Self { hub, bus, nsp: nsp.into(), ns: None }
    }

    /// The sockets of another nsp.
    #[must_use]
    pub fn of(&self, nsp: impl Into<ByteString>) -> Self {
        Self { nsp: nsp.into(), ..self.clone() }
    }

    /// The sockets of the nodes of another service. By default those of this node's own kind if it
    /// holds sockets, else those of `ws`.
    #[must_use]
    pub fn at(&self, ns: Namespace) -> Self {
        Self { ns: Some(ns), ..self.clone() }
    }

    /// All of them.
    pub fn all(&self) -> Emitter {
        let mut all = Emitter::new(&self.hub, Some(self.bus.clone()), self.nsp.clone());
        if let Some(ns) = &self.ns {
            all.ns = ns.clone();
        }
        all
    }

    /// Those on `room`.
    pub fn to(&self, room: impl Into<Room>) -> Emitter {
        self.all().to(room)
    }

    /// Those that are not on `room`.
    pub fn except(&self, room: impl Into<Room>) -> Emitter {
        self.all().except(room)
    }

    /// Those on this node.
    pub fn local(&self) -> Emitter {
        self.all().local()
    }

    /// All, for what is worth nothing when it is late.
    pub fn volatile(&self) -> Emitter {
        self.all().volatile()
    }

    /// Queues an event to all of them.
    ///
    /// # Errors
    /// As [`Emitter::emit`].
    pub async fn emit<T: Serialize + ?Sized>(
        &self,
        event: &str,
        payload: &T,
    ) -> Result<(), BroadcastError> {
        self.all().emit(event, payload).await
    }

    /// [`emit`](Self::emit) with arguments as they are.
    ///
    /// # Errors
    /// As [`Emitter::emit`].
    pub async fn emit_args(&self, event: &str, args: Args) -> Result<(), BroadcastError> {
        self.all().emit_args(event, args).await
    }

    /// The sockets of all nodes, with their rooms. See [`Emitter::fetch_sockets`].
    ///
    /// # Errors
    /// As [`Emitter::fetch_sockets`].
    pub async fn fetch_sockets(&self) -> Result<Partial<Vec<RemoteSocket>>, QueryError> {
        self.all().fetch_sockets().await
    }

    /// Puts all of them on rooms. See [`Emitter::sockets_join`].
    ///
    /// # Errors
    /// As [`Emitter::sockets_join`].
    pub async fn sockets_join(&self, rooms: impl IntoRooms) -> Result<Partial<()>, QueryError> {
        self.all().sockets_join(rooms).await
    }

    /// Takes all of them off rooms.
    ///
    /// # Errors
    /// As [`Emitter::sockets_leave`].
    pub async fn sockets_leave(&self, rooms: impl IntoRooms) -> Result<Partial<()>, QueryError> {
        self.all().sockets_leave(rooms).await
    }

    /// Sends all of them away for good.
    ///
    /// # Errors
    /// As [`Emitter::disconnect_sockets`].
    pub async fn disconnect_sockets(&self) -> Result<Partial<()>, QueryError> {
        self.all().disconnect_sockets().await
    }

    /// Broadcasts to the other nodes of the service, where observers of the broadcast run. No socket
    /// gets anything by it.
    ///
    /// # Errors
    /// When the bus did not take it.
    pub async fn server_side_emit<T: Serialize + ?Sized>(
        &self,
        event: &str,
        payload: &T,
    ) -> Result<(), BroadcastError> {
        self.bus.broadcast_others(self.all().ns, event, Args::one(payload)?).await
    }

    /// Asks the other nodes of the service, where `on_ask` answers, and waits for them until
    /// `timeout`. A node that answers with an error, or with what is no `R`, counts as missing.
    ///
    /// # Errors
    /// When nobody says which nodes live.
    pub async fn server_side_emit_with_ack<T: Serialize + ?Sized, R: DeserializeOwned>(
        &self,
        event: &str,
        payload: &T,
        timeout: Duration,
    ) -> Result<Partial<Vec<(NodeAddress, R)>>, QueryError> {
        let args = Args::one(payload)?;
        let answers = self.bus.survey(&self.all().ns, event, &args, timeout).await;
        let answers = answers.map_err(QueryError::Unavailable)?;
        let mut read = Partial { results: Vec::new(), missing: answers.missing };
        for (node, answer) in answers.results {
            match answer.first() {
                Ok(answer) => read.results.push((node, answer)),
                Err(_) => read.missing.push(node),
            }
        }
        Ok(read)
    }
}
