//! Putting a service together.

use std::{
    io,
    net::{TcpListener, ToSocketAddrs},
    sync::{Arc, Mutex, atomic::AtomicBool},
    time::Duration,
};

use actix_web::web::ServiceConfig;
use router_core::{
    Observers, Routes, TenantId,
    channel::{Access, ChannelRules},
    handler::{DataMap, Services},
    id::random_text,
    keys::KeyRing,
    limits::Limits,
    node::Node,
    observer::ObserverSet,
    pattern::Pattern,
    route::{ConfigureError, Router},
    session::Confirmer,
    socket::SocketHub,
};
use wire::socketio::Nsp;

use crate::{
    bounds::Bounds,
    clock::Clock,
    connection::{frames::Parser, protocol::Rules},
    drain::Drain,
    gate::SessionGate,
    hub::Hub,
    listener::{Configure, Listener},
    memory::{self, Waiting},
    nsps::{Auth, Nsps},
    origins::Origins,
    peer::Peers,
    proxies::TrustedProxy,
    raw::{EngineMessage, EngineReply, RawHandler},
    service::WsService,
    shared::Shared,
    unconfirmed::Unconfirmed,
};

/// Where sockets connect, as every Socket.IO client has it by default.
const PATH: &str = "/socket.io";

/// A function of the program that registers what it has.
type Module<T> = Box<dyn FnOnce(&mut T)>;

/// What a service is made of. See [`WsService::builder`].
///
/// Everything has a default but the node, the confirmer and the listener.
#[must_use = "a builder does nothing until it is built"]
pub struct Builder {
    node: Node,
    confirmer: Confirmer,
    routes: Vec<Module<Routes>>,
    observers: Vec<Module<Observers>>,
    data: DataMap,
    nsps: Vec<(String, Auth)>,
    access: Access,
    parser: Parser,
    origins: Origins,
    gate: Option<SessionGate>,
    proxies: Vec<TrustedProxy>,
    peers: Option<Arc<KeyRing>>,
    limits: Option<Arc<Limits>>,
    memory: Option<u64>,
    path: String,
    raw: Option<RawHandler>,
    ping_interval: Duration,
    ping_timeout: Duration,
    drain_window: Duration,
    workers: Option<usize>,
    tls: Option<rustls::ServerConfig>,
    http: Vec<Configure>,
    socket: Option<TcpListener>,
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder").field("node", self.node.address()).finish_non_exhaustive()
    }
}

/// Why a service cannot be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// Routes or observers were registered twice.
    #[error(transparent)]
    Configure(#[from] ConfigureError),
    /// The name is no Socket.IO namespace.
    #[error("{0:?} is no nsp: it begins with '/' and has no comma")]
    Nsp(String),
    /// Neither [`Builder::listen`] nor [`Builder::bind`] was called.
    #[error("the service has nothing to listen on")]
    NoListener,
    /// The listener is of no use.
    #[error("the listener cannot be used")]
    Listener(#[source] io::Error),
    /// [`Builder::peers`] and [`Builder::tls`]: the other nodes would have to speak TLS to this one.
    #[error("a node that ends TLS itself cannot be passed requests by others; let a proxy end it")]
    PeersOverTls,
    /// A method of the builder, by this name, that says something about the listener: a mounted
    /// service has none.
    #[error("{0} is the server's to say where a service is mounted")]
    NotMounted(&'static str),
    /// The node's inbox was taken by somebody else, so that no observer would ever hear anything.
    #[error("the inbox of the node was taken already")]
    NoInbox,
}

impl Builder {
    pub(crate) fn new(node: Node, confirmer: Confirmer) -> Self {
        Self {
            node,
            confirmer,
            routes: Vec::new(),
            observers: Vec::new(),
            data: DataMap::default(),
            nsps: Vec::new(),
            access: Access::default(),
            parser: Parser::default(),
            origins: Origins::default(),
            gate: None,
            proxies: Vec::new(),
            peers: None,
            limits: None,
            memory: memory::limit(),
            path: PATH.to_owned(),
            raw: None,
            ping_interval: Duration::from_secs(25),
            ping_timeout: Duration::from_secs(20),
            drain_window: Duration::from_secs(30),
            workers: None,
            tls: None,
            http: Vec::new(),
            socket: None,
        }
    }

    /// Adds a module of routes.
    pub fn routes(mut self, configure: impl FnOnce(&mut Routes) + 'static) -> Self {
        self.routes.push(Box::new(configure));
        self
    }

    /// Adds a module of observers. They all run on one of the service's threads.
    pub fn observers(mut self, configure: impl FnOnce(&mut Observers) + 'static) -> Self {
        self.observers.push(Box::new(configure));
        self
    }

    /// Registers a value that handlers extract as [`Data<T>`](router_core::Data).
    pub fn data<T: Send + Sync + 'static>(mut self, value: T) -> Self {
        self.data.insert(value);
        self
    }

    /// Adds a Socket.IO namespace, or with `*` at the end all whose names begin so: `/room-*`. Without any, there is `/` with [`Auth::SessionSync`].
    pub fn nsp(mut self, name: impl Into<String>, auth: Auth) -> Self {
        self.nsps.push((name.into(), auth));
        self
    }

    /// Who may subscribe to channels for which no route module registered a gate, or that they are
    /// open. By default nobody; to those whose names begin with `private` never.
    pub fn channels(mut self, access: Access) -> Self {
        self.access = access;
        self
    }

    /// How packets are written and read: as JSON by default. Clients must have the same parser.
    pub fn parser(mut self, parser: Parser) -> Self {
        self.parser = parser;
        self
    }

    /// Whose pages may open sockets. By default none: only clients that are no browsers.
    pub fn origins(mut self, origins: Origins) -> Self {
        self.origins = origins;
        self
    }

    /// Asks a function of the program about every opening request, before a socket exists.
    pub fn gate(mut self, gate: SessionGate) -> Self {
        self.gate = Some(gate);
        self
    }

    /// The proxies whose `X-Forwarded-For` is believed. By default none.
    pub fn trusted_proxies(mut self, proxies: impl IntoIterator<Item = TrustedProxy>) -> Self {
        self.proxies = proxies.into_iter().collect();
        self
    }

    /// Passes requests for sessions of other nodes of the namespace to these, so that no proxy needs
    /// sticky sessions. By default they are answered with "Session ID unknown".
    ///
    /// All nodes need the same keys, and each must say in
    /// [`NodeSpec::advertise`](router_core::node::NodeSpec::advertise) where the others reach its
    /// listener. The address need not be, and better is not, one that clients can reach. What
    /// goes between nodes is plain HTTP, so that it does not go together with [`tls`](Self::tls).
    pub fn peers(mut self, keys: impl Into<Arc<KeyRing>>) -> Self {
        self.peers = Some(keys.into());
        self
    }

    /// Other limits than the node's.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = Some(Arc::new(limits));
        self
    }

    /// The memory, in bytes, of which outboxes may hold a part (the limit `outbox_total_percent`).
    /// By default the cgroup's limit, or the machine's memory.
    pub fn memory(mut self, bytes: u64) -> Self {
        self.memory = Some(bytes);
        self
    }

    /// Where sockets connect. `/socket.io`, as every Socket.IO client has it by default; a slash at
    /// the end makes no difference.
    pub fn path(mut self, path: &str) -> Self {
        self.path = format!("/{}", path.trim_matches('/'));
        self
    }

    /// Makes this a service of bare Engine.IO: no Socket.IO inside its sessions, so no nsps, routes
    /// or confirmation. Each message that comes is given to `handle`, on the session's thread, which
    /// must not wait; a session whose handler panics is closed. Usually at a [path](Self::path) of
    /// its own.
    ///
    /// ```
    /// # async fn doc(node: router_core::node::Node, confirmer: router_core::session::Confirmer) {
    /// use ws_service::WsService;
    ///
    /// let echo = WsService::builder(node, confirmer)
    ///     .path("/engine.io")
    ///     .raw(|message, reply| reply.send(message));
    /// # }
    /// ```
    pub fn raw(
        mut self,
        handle: impl Fn(EngineMessage, &mut EngineReply) + Send + Sync + 'static,
    ) -> Self {
        self.raw = Some(RawHandler::new(handle));
        self
    }

    /// Time between two pings. 25 s, as Socket.IO has it.
    pub fn ping_interval(mut self, interval: Duration) -> Self {
        self.ping_interval = interval;
        self
    }

    /// Time within which each ping must be answered. 20 s, as Socket.IO has it.
    pub fn ping_timeout(mut self, timeout: Duration) -> Self {
        self.ping_timeout = timeout;
        self
    }

    /// The time in which sockets are sent away when the service stops. 30 s.
    pub fn drain_window(mut self, window: Duration) -> Self {
        self.drain_window = window;
        self
    }

    /// The number of threads. By default one for each core that the process may use.
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = Some(workers.max(1));
        self
    }

    /// Lets the listener speak TLS itself. By default a proxy in front of it does.
    pub fn tls(mut self, config: rustls::ServerConfig) -> Self {
        self.tls = Some(config);
        self
    }

    /// Adds plain HTTP routes to the listener's App. Runs on every thread.
    pub fn http(mut self, configure: impl Fn(&mut ServiceConfig) + Send + Sync + 'static) -> Self {
        self.http.push(Arc::new(configure));
        self
    }

    /// Listens on a socket that is bound already.
    pub fn listen(mut self, socket: TcpListener) -> Self {
        self.socket = Some(socket);
        self
    }

    /// Binds and listens on an address; port 0 is any free one, which
    /// [`Handle::local_addr`](crate::Handle::local_addr) tells.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub fn bind(self, address: impl ToSocketAddrs) -> io::Result<Self> {
        Ok(self.listen(TcpListener::bind(address)?))
    }

    /// The service, which accepts sockets as soon as it [runs](WsService::run).
    ///
    /// # Errors
    /// [`BuildError`] names what does not fit.
    pub fn build(mut self) -> Result<WsService, BuildError> {
        let socket = self.socket.take().ok_or(BuildError::NoListener)?;
        let address = socket.local_addr().map_err(BuildError::Listener)?;
        if self.peers.is_some() && self.tls.is_some() {
            return Err(BuildError::PeersOverTls);
        }
        let (tls, http) = (self.tls.take(), std::mem::take(&mut self.http));
        let listener = Listener { socket, workers: self.workers, tls, http };
        let (node, shared) = self.assemble()?;
        Ok(WsService::new(node, shared, listener, address))
    }

    /// What was said that only a listener can do, by the method's name.
    pub(crate) fn of_the_listener(&self) -> Option<&'static str> {
        let said = [
            ("listen", self.socket.is_some()),
            ("tls", self.tls.is_some()),
            ("workers", self.workers.is_some()),
            ("http", !self.http.is_empty()),
        ];
        said.into_iter().find_map(|(name, said)| said.then_some(name))
    }

    /// All but the way in which sockets come.
    pub(crate) fn assemble(self) -> Result<(Node, Arc<Shared>), BuildError> {
        let limits = self.limits.unwrap_or_else(|| Arc::clone(self.node.limits()));
        let (mut nsps, names) = nsps(self.nsps)?;
        let mut routes = self.routes;
        routes.push(Box::new(router_core::channel::routes));
        let mut routes = Routes::build(routes)?;
        let channels = ChannelRules { routes: routes.take_channels(), access: self.access };
        let router = Router::new(routes, &limits)?;
        nsps.set_guarded(router.guarded_nsps());
        let mut observers = self.observers;
        observers.push(Box::new(router_core::session::observers));
        observers.push(Box::new(router_core::socket::observers));
        let observers = ObserverSet::new(Observers::build(observers)?)?;
        let inbox = self.node.take_inbox().ok_or(BuildError::NoInbox)?;

        let metrics = Arc::clone(self.node.metrics());
        let hub = Arc::new(Hub::new(names, self.parser, self.node.bus().clone()));
        let dyn_hub: Arc<dyn SocketHub> = Arc::clone(&hub) as _;
        self.node.bus().attach_sockets(&dyn_hub);
        let heartbeat = self.ping_interval + self.ping_timeout;
        let peers =
            self.peers.map(|keys| Arc::new(Peers::new(&self.node, &keys, &limits, heartbeat)));
        let sessions = self.confirmer.sessions().clone();
        let services = Services::new(&self.node, sessions, dyn_hub, self.data, channels);
        let shared = Arc::new(Shared {
            rules: Rules {
                bounds: Bounds::new(&limits, self.ping_interval, self.ping_timeout),
                nsps,
                node: self.node.address().clone(),
                parser: self.parser,
                new_tid,
                raw: self.raw,
            },
            path: self.path,
            clock: Clock::start(),
            router: Arc::new(router),
            services,
            hub,
            confirmer: self.confirmer,
            incarnation: self.node.incarnation(),
            readiness: self.node.readiness(),
            origins: self.origins,
            gate: self.gate,
            proxies: self.proxies,
            peers,
            unconfirmed: Unconfirmed::new(&limits, metrics),
            waiting: Waiting::new(limits.outbox_total_percent.get(), self.memory),
            drain: Drain::new(self.drain_window),
            observers: Arc::new(observers),
            inbox: Mutex::new(Some(inbox)),
            deaf: AtomicBool::new(false),
        });
        Ok((self.node, shared))
    }
}

/// The nsps by name, and their names.
fn nsps(named: Vec<(String, Auth)>) -> Result<(Nsps, Vec<Nsp>), BuildError> {
    let mut nsps = Nsps::default();
    let mut names = Vec::new();
    for (name, auth) in named {
        let pattern = Pattern::new(name.clone());
        if pattern.is_open() && name.starts_with('/') && !name.contains(',') {
            nsps.insert_pattern(pattern, auth);
            continue;
        }
        let nsp = Nsp::new(name.clone()).ok_or(BuildError::Nsp(name))?;
        nsps.insert(nsp.clone(), auth);
        names.push(nsp);
    }
    if nsps.is_empty() {
        nsps.insert(Nsp::ROOT, Auth::SessionSync);
        names.push(Nsp::ROOT);
    }
    names.sort_unstable();
    names.dedup();
    Ok((nsps, names))
}

/// A socket's public id: 144 random bits, so that it cannot be guessed.
fn new_tid() -> Option<TenantId> {
    random_text::<18>().ok().and_then(|text| text.try_into().ok())
}
