//! What a handler's extractors read from.

use std::sync::Arc;

use bytestring::ByteString;

use super::DataMap;
use crate::{
    address::Address,
    args::Args,
    bus::Bus,
    channel::{ChannelHook, ChannelName, ChannelRules, Channels, Upkeep},
    metrics::Metrics,
    node::Node,
    presence::Presence,
    session::Sessions,
    socket::{DisconnectReason, NoSockets, Socket, SocketData, SocketHub},
};

/// What a process gives to its handlers. Shared by all of them.
#[derive(Debug)]
pub struct Services {
    /// The bus, as this node.
    pub bus: Bus,
    /// The sessions of the site.
    pub sessions: Sessions,
    /// The sockets of this node; a process without any has an empty hub.
    pub hub: Arc<dyn SocketHub>,
    /// The channels of the site.
    pub channels: Channels,
    /// What the service that holds the sockets says to them.
    pub upkeep: Upkeep,
    /// What the program registered for [`Data`](super::Data).
    pub data: DataMap,
    /// Where everything is counted.
    pub metrics: Arc<Metrics>,
}

impl Services {
    /// What a node gives to its handlers. Made once for a node, by its service, on a tokio runtime.
    pub fn new(
        node: &Node,
        sessions: Sessions,
        hub: Arc<dyn SocketHub>,
        data: DataMap,
        rules: ChannelRules,
    ) -> Arc<Self> {
        let site = sessions.site().clone();
        let (bus, backend) = (node.bus().clone(), node.backend());
        let presence = rules.has_presence().then(|| Presence::start(node));
        let channels = Channels::new(site, bus.clone(), Arc::clone(&hub), backend, rules, presence);
        let metrics = Arc::clone(node.metrics());
        let upkeep = Upkeep::of(&channels);
        let services = Arc::new(Self { bus, sessions, hub, channels, upkeep, data, metrics });
        services.upkeep.attach_services(&services);
        services
    }

    /// The same for a node that holds no sockets.
    pub fn without_sockets(node: &Node, sessions: Sessions, data: DataMap) -> Arc<Self> {
        let hub = Arc::new(NoSockets);
        Self::new(node, sessions, hub, data, ChannelRules::default())
    }
}

/// Why a handler runs.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Occasion {
    /// A client emitted an event.
    Event,
    /// A socket is about to be admitted.
    Guard,
    /// A socket was admitted.
    Connect,
    /// A socket went.
    Disconnect(DisconnectReason),
    /// A socket's session was confirmed.
    Confirmed,
    /// A socket's credential was refused, or could not be checked: the error's code.
    NotConfirmed(&'static str),
    /// A socket asks to be on a channel.
    Subscription(ChannelName),
    /// A client publishes on a channel, or requests something there.
    Publication(ChannelName),
    /// Something happened to a channel on this node. With what the program keeps with it, also where
    /// this was its end.
    ChannelHook(ChannelHook, ChannelName, Arc<SocketData>),
    /// A broadcast arrived.
    Broadcast,
    /// A transmit arrived.
    Transmit,
    /// A question arrived.
    Ask,
}

/// One message on its way to a handler. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Message {
    /// Why the handler runs.
    pub occasion: Occasion,
    /// The event's whole name, `route.method`.
    pub event: ByteString,
    /// Its arguments.
    pub args: Args,
    /// Who sent it.
    pub origin: Address,
    /// The socket that it came from; for an observer, the tenant that it is for.
    pub socket: Option<Socket>,
    /// What the process gives to handlers.
    pub services: Arc<Services>,
}

impl Message {
    /// A message of something about a socket, which is also who it comes from.
    pub fn of(
        services: &Arc<Services>,
        socket: Socket,
        occasion: Occasion,
        event: ByteString,
        args: Args,
    ) -> Self {
        Self {
            occasion,
            event,
            args,
            origin: socket.address().clone(),
            socket: Some(socket),
            services: Arc::clone(services),
        }
    }

    /// The socket that it came from, or that it is for.
    pub fn socket(&self) -> Option<&Socket> {
        self.socket.as_ref()
    }
}
