//! Emitting to some sockets of all nodes.
//!
//! This node's sockets get an event first. Then it goes to the bus: for a whole nsp once, to all
//! nodes of the service; for rooms once on each room's channel, so that only nodes hear it that have
//! somebody there; for a single socket to its node. The frame carries the whole selection and an id:
//! a node that hears it on several channels takes it once.

use std::{sync::Arc, time::Duration};

use bytestring::ByteString;
use serde::Serialize;

use super::{
    IntoRooms, QueryError, RemoteSocket, Room, Selection, SocketHub,
    cluster::{EVENT, Order, Ordered, perform},
    room_channel,
};
use crate::{
    address::{Namespace, NodeAddress, ns},
    args::Args,
    backend::bus::Subject,
    bus::{BroadcastError, Bus, Partial},
};

/// The service that holds sockets, unless another is named.
const WS: Namespace = ns("ws");

/// Some sockets of one nsp, on all nodes, and how they are emitted to.
///
/// Made by [`Io`](super::Io) and [`Socket`](super::Socket). Nothing happens before
/// [`emit`](Self::emit).
#[derive(Debug, Clone)]
#[must_use = "an emitter does nothing until it emits"]
pub struct Emitter {
    hub: Arc<dyn SocketHub>,
    bus: Option<Bus>,
    /// The service whose nodes hold the sockets.
    pub(super) ns: Namespace,
    to: Selection,
    /// The nodes of the single sockets in `to`.
    nodes: Vec<NodeAddress>,
    volatile: bool,
    local: bool,
    timeout: Option<Duration>,
}

impl Emitter {
    /// All sockets of `nsp`, on all nodes.
    pub(crate) fn new(hub: &Arc<dyn SocketHub>, bus: Option<Bus>, nsp: ByteString) -> Self {
        // A process with sockets means its own kind of nodes.
        let ns = hub.bus().map_or(WS, |bus| bus.node().ns.clone());
        Self {
            hub: Arc::clone(hub),
            bus,
            ns,
            to: Selection::nsp(nsp),
            nodes: Vec::new(),
            volatile: false,
            local: false,
            timeout: None,
        }
    }

    /// Those on `room`; also those on the rooms that were named before.
    pub fn to(mut self, room: impl Into<Room>) -> Self {
        match room.into() {
            Room::Named(name) if !self.to.rooms.contains(&name) => self.to.rooms.push(name),
            Room::Named(_) => {}
            Room::Of(address) => {
                if let (Some(node), Some(tid)) = (address.node(), address.tid()) {
                    self.to.sockets.push(tid.clone());
                    if !self.nodes.contains(&node) {
                        self.nodes.push(node);
                    }
                }
            }
        }
        self
    }

    /// But not those on `room`.
    pub fn except(mut self, room: impl Into<Room>) -> Self {
        match room.into() {
            Room::Named(name) => self.to.except_rooms.push(name),
            Room::Of(address) => self.to.except_sockets.extend(address.tid().cloned()),
        }
        self
    }

    /// Only those on this node.
    pub fn local(mut self) -> Self {
        self.local = true;
        self
    }

    /// Not to those that are behind (the limit `outbox_soft`): for what is worth nothing when it is
    /// late.
    pub fn volatile(mut self) -> Self {
        self.volatile = true;
        self
    }

    /// Queues an event to them, at most once to each.
    ///
    /// # Errors
    /// When the bus did not take it: this node's sockets have it, those of other nodes do not.
    pub async fn emit<T: Serialize + ?Sized>(
        &self,
        event: &str,
        payload: &T,
    ) -> Result<(), BroadcastError> {
        self.emit_args(event, Args::one(payload)?).await
    }

    /// [`emit`](Self::emit) with arguments as they are.
    ///
    /// # Errors
    /// As [`emit`](Self::emit).
    pub async fn emit_args(&self, event: &str, args: Args) -> Result<(), BroadcastError> {
        let to = Arc::new(self.to.clone());
        let event = ByteString::from(event);
        let here = to.recipients();
        let emitted = if self.volatile {
            self.hub.emit_volatile(here, event.clone(), args.clone()).await
        } else {
            self.hub.emit(here, event.clone(), args.clone()).await
        };
        if let Err(error) = emitted {
            // A node that goes away sends its sockets away; the others get the event.
            tracing::debug!(%error, "an emit did not reach this node's own sockets");
        }
        match &self.bus {
            Some(bus) if !self.local => {
                bus.emit(self.subjects(), to, self.volatile, event, args).await
            }
            _ => Ok(()),
        }
    }

    /// Waits at most this long for other nodes when they are asked. By default the limit
    /// `receipt_timeout`.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// The sockets that are meant, with their rooms, by node.
    ///
    /// # Errors
    /// When nobody says which nodes live. A node that does not answer is named among the missing.
    pub async fn fetch_sockets(&self) -> Result<Partial<Vec<RemoteSocket>>, QueryError> {
        self.order(Order::Describe).await
    }

    /// Puts them on rooms. When this returns, those of the nodes that answered are on them, and what
    /// is said there reaches them.
    ///
    /// # Errors
    /// As [`fetch_sockets`](Self::fetch_sockets), or why this node's own sockets are not on them.
    pub async fn sockets_join(&self, rooms: impl IntoRooms) -> Result<Partial<()>, QueryError> {
        Ok(self.order(Order::Join(rooms.into_rooms())).await?.map(drop))
    }

    /// Takes them off rooms.
    ///
    /// # Errors
    /// As [`fetch_sockets`](Self::fetch_sockets).
    pub async fn sockets_leave(&self, rooms: impl IntoRooms) -> Result<Partial<()>, QueryError> {
        Ok(self.order(Order::Leave(rooms.into_rooms())).await?.map(drop))
    }

    /// Sends them away for good: their clients do not come back by themselves.
    ///
    /// # Errors
    /// As [`fetch_sockets`](Self::fetch_sockets).
    pub async fn disconnect_sockets(&self) -> Result<Partial<()>, QueryError> {
        Ok(self.order(Order::Disconnect).await?.map(drop))
    }

    async fn order(&self, order: Order) -> Result<Partial<Vec<RemoteSocket>>, QueryError> {
        let ordered = Ordered { to: Arc::new(self.to.clone()), order };
        let args = Args::one(&ordered)?;
        let mut all = Partial { results: Vec::new(), missing: Vec::new() };
        let is_here = self.hub.bus().is_some_and(|bus| bus.node().ns == self.ns);
        if is_here {
            all.results = perform(&*self.hub, ordered).await?;
        }
        if let Some(bus) = self.bus.as_ref().filter(|_| !self.local) {
            let others = bus.survey(&self.ns, EVENT, &args, self.deadline(bus)).await;
            let others = others.map_err(QueryError::Unavailable)?;
            all.missing = others.missing;
            for (node, answer) in others.results {
                match answer.first::<Vec<RemoteSocket>>() {
                    Ok(sockets) => all.results.extend(sockets),
                    Err(_) => all.missing.push(node),
                }
            }
        }
        Ok(all)
    }

    /// How long other nodes are waited for.
    pub(super) fn deadline(&self, bus: &Bus) -> Duration {
        self.timeout.or(bus.shared.limits.receipt_timeout.get()).unwrap_or(Duration::MAX)
    }

    /// Where the nodes that are meant listen.
    fn subjects(&self) -> Vec<Subject> {
        if self.to.is_whole_nsp() {
            return vec![Subject::Namespace(self.ns.clone())];
        }
        let channel = |room| Subject::Channel(room_channel(&self.to.nsp, room));
        let rooms = self.to.rooms.iter().map(|room| channel(room));
        rooms.chain(self.nodes.iter().cloned().map(Subject::Node)).collect()
    }
}
