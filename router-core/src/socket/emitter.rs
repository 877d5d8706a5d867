//! Emitting to some sockets of all nodes.
//!
//! This node's sockets get an event first. Then it goes to the bus: for a whole nsp once, to all
//! nodes of the service; for rooms once on each room's channel, so that only nodes hear it that have
//! somebody there; for a single socket to its node. The frame carries the whole selection and an id:
//! a node that hears it on several channels takes it once.

use std::sync::Arc;

use bytestring::ByteString;
use serde::Serialize;

use super::{Recipients, Room, Selection, SocketHub, room_channel};
use crate::{
    address::{Namespace, NodeAddress, ns},
    args::Args,
    backend::bus::Subject,
    bus::{BroadcastError, Bus},
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
        let here = match to.is_whole_nsp() && to.is_without_exception() {
            true => Recipients::Nsp(to.nsp.clone()),
            false => Recipients::Selection(Arc::clone(&to)),
        };
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
