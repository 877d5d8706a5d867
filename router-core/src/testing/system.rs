//! One node in memory, on a thread of its own.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use bytestring::ByteString;
use serde::de::DeserializeOwned;
use tokio::sync::{mpsc, oneshot};

use super::{
    TestSocket,
    hub::TestHub,
    spy::{Notes, Sent, SpyBus},
};
use crate::{
    address::{Address, NodeAddress, ns},
    backend::{Backend, memory::MemoryHub},
    bus::Bus,
    channel::{Access, ChannelRules, Channels},
    envelope::Kind,
    handler::{DataMap, Message, Occasion, Services},
    id::random_text,
    limits::Limits,
    metrics::Metrics,
    node::{Node, NodeSpec},
    observer::{ObserverSet, Observers},
    presence::ClientId,
    route::{Hook, Router, Routes},
    session::{SessionDocument, SessionId, SessionSettings, Sessions, Site, UserId},
    socket::{DisconnectReason, Handshake, Io, Socket, SocketData, SocketHub, SocketInfo},
};

/// How long an assertion waits.
pub(super) const DEADLINE: Duration = Duration::from_secs(5);

pub(super) type Job = Box<dyn FnOnce() -> Pin<Box<dyn Future<Output = ()>>> + Send>;

/// What a [`TestSystem`] is made of.
#[derive(Debug)]
pub struct TestSystemBuilder {
    routes: Routes,
    observers: Observers,
    data: DataMap,
    hub: MemoryHub,
    node: NodeAddress,
    limits: Limits,
    access: Access,
    site: Site,
}

impl TestSystemBuilder {
    /// Adds a route module.
    #[must_use]
    pub fn routes(mut self, configure: impl FnOnce(&mut Routes)) -> Self {
        configure(&mut self.routes);
        self
    }

    /// Adds an observer module.
    #[must_use]
    pub fn observers(mut self, configure: impl FnOnce(&mut Observers)) -> Self {
        configure(&mut self.observers);
        self
    }

    /// The site that it serves, in place of the only one.
    ///
    /// # Panics
    /// When the name is no site's.
    #[must_use]
    pub fn site(mut self, name: &str) -> Self {
        self.site = Site::try_from(ByteString::from(name)).expect("a site's name");
        self
    }

    /// Registers what handlers extract as `Data<T>`.
    #[must_use]
    pub fn data<T: Send + Sync + 'static>(mut self, value: T) -> Self {
        self.data.insert(value);
        self
    }

    /// Registers a value that the test holds too.
    #[must_use]
    pub fn shared_data<T: Send + Sync + 'static>(mut self, value: Arc<T>) -> Self {
        self.data.insert_shared(value);
        self
    }

    /// Joins another system: the nodes that share a hub share one bus and one store.
    #[must_use]
    pub fn hub(mut self, hub: &MemoryHub) -> Self {
        self.hub = hub.clone();
        self
    }

    /// Gives the node another address than `ws/0`.
    #[must_use]
    pub fn node(mut self, node: NodeAddress) -> Self {
        self.node = node;
        self
    }

    /// Gives the node other bounds than the default ones.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Who may subscribe to channels for which nothing was registered. By default nobody.
    #[must_use]
    pub fn channels(mut self, access: Access) -> Self {
        self.access = access;
        self
    }

    /// Starts the node.
    ///
    /// # Panics
    /// When a route, event or hook is registered twice, or the node does not start.
    pub async fn start(self) -> TestSystem {
        let (jobs, queue) = mpsc::channel::<Job>(1_024);
        let (ready, started) = oneshot::channel();
        let weak = jobs.downgrade();
        std::thread::spawn(move || run(self, queue, weak, ready));
        let (core, notes) = started.await.expect("the system starts; its panic stands above");
        TestSystem { core, notes, jobs }
    }
}

/// The system's thread: handlers' futures need not be `Send`, so they stay here.
fn run(
    builder: TestSystemBuilder,
    mut queue: mpsc::Receiver<Job>,
    jobs: mpsc::WeakSender<Job>,
    ready: oneshot::Sender<(Arc<Core>, Arc<Notes>)>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let notes = Arc::<Notes>::default();
        let plain = builder.hub.backend();
        let spy = SpyBus { bus: Arc::clone(&plain.bus), notes: Arc::clone(&notes) };
        let backend = Backend { bus: Arc::new(spy), ..plain };
        let limits = Arc::new(builder.limits);
        let spec = NodeSpec { limits, ..NodeSpec::new(builder.node) };
        let mut routes = builder.routes;
        crate::channel::routes(&mut routes);
        let channels = ChannelRules { routes: routes.take_channels(), access: builder.access };
        let router = Router::new(routes, &spec.limits).expect("routes are unambiguous");
        let mut observers = builder.observers;
        crate::socket::observers(&mut observers);
        crate::session::observers(&mut observers);
        let observers = ObserverSet::new(observers).expect("observers are unambiguous");
        let node = Node::start(spec, backend.clone()).await.expect("the node starts");
        let sessions = Sessions::new(backend.records, builder.site, SessionSettings::default());
        let hub = Arc::new(TestHub::new(node.bus().clone(), jobs));
        let dyn_hub: Arc<dyn SocketHub> = Arc::clone(&hub) as _;
        node.bus().attach_sockets(&dyn_hub);
        let services = Services::new(&node, sessions, dyn_hub, builder.data, channels);
        let inbox = node.take_inbox().expect("the inbox is taken once");
        tokio::task::spawn_local(inbox.observe(Arc::new(observers), Arc::clone(&services)));
        let core = Arc::new(Core { router, services, hub });
        let services = Arc::clone(&core.services);
        if ready.send((core, notes)).is_err() {
            return;
        }
        while let Some(job) = queue.recv().await {
            tokio::task::spawn_local(job());
        }
        services.upkeep.stop().await;
        node.stop().await;
    });
}

/// What system and sockets share.
#[derive(Debug)]
pub(super) struct Core {
    pub(super) router: Router,
    pub(super) services: Arc<Services>,
    pub(super) hub: Arc<TestHub>,
}

/// One node with the modules under test. It stops when it and its sockets are dropped.
#[derive(Debug)]
pub struct TestSystem {
    core: Arc<Core>,
    notes: Arc<Notes>,
    jobs: mpsc::Sender<Job>,
}

impl TestSystem {
    /// A system without modules, on a bus of its own, as `ws/0`.
    pub fn builder() -> TestSystemBuilder {
        TestSystemBuilder {
            routes: Routes::default(),
            observers: Observers::default(),
            data: DataMap::default(),
            hub: MemoryHub::new(),
            node: ns("ws").node(0),
            limits: Limits::default(),
            access: Access::default(),
            site: Site::main(),
        }
    }

    /// The bus, as this system's node: for sending what an observer under test gets.
    pub fn bus(&self) -> &Bus {
        &self.core.services.bus
    }

    /// What the node counted.
    pub fn metrics(&self) -> &Metrics {
        &self.core.services.metrics
    }

    /// The sessions, for looking at what handlers stored.
    pub fn sessions(&self) -> &Sessions {
        &self.core.services.sessions
    }

    /// A confirmed socket with a new session of this user.
    ///
    /// # Panics
    /// When the name is no user id.
    pub async fn connect_as(&self, user: &str) -> TestSocket {
        self.admit(Some(self.session_of(user).await), None).await
    }

    /// The same, of a client that shows this secret text of its own: on rosters it is the same
    /// client whenever it comes with it.
    ///
    /// # Panics
    /// When the name is no user id.
    pub async fn connect_client(&self, user: &str, secret: &str) -> TestSocket {
        self.admit(Some(self.session_of(user).await), Some(secret)).await
    }

    /// A socket without a session, as an open namespace admits it.
    pub async fn connect_anonymous(&self) -> TestSocket {
        self.admit(None, None).await
    }

    async fn session_of(&self, user: &str) -> (SessionId, UserId) {
        let user = UserId::new(user).expect("a user id");
        let document = SessionDocument::new(Some(user.clone()));
        (self.sessions().create(&document).await.expect("a session"), user)
    }

    /// The channels, as this system's node: for publishing what subscribers under test get.
    pub fn channels(&self) -> &Channels {
        &self.core.services.channels
    }

    /// The sockets of all nodes, as this one reaches them.
    pub fn io(&self) -> Io {
        let Services { hub, bus, .. } = &*self.core.services;
        Io::new(Arc::clone(hub), bus.clone(), "/")
    }

    /// Does something with a socket where its handlers run, and gives back what it makes.
    ///
    /// # Panics
    /// When the system has ended.
    pub async fn run_on<T: Send + 'static, F: Future<Output = T> + 'static>(
        &self,
        socket: &TestSocket,
        job: impl FnOnce(Socket) -> F + Send + 'static,
    ) -> T {
        let socket = socket.handle().clone();
        on_thread(&self.jobs, move || job(socket)).await
    }

    async fn admit(
        &self,
        session: Option<(SessionId, UserId)>,
        secret: Option<&str>,
    ) -> TestSocket {
        let tid: crate::TenantId =
            random_text::<12>().expect("randomness").try_into().expect("a tid");
        let address = self.bus().node().tenant(tid.clone());
        if let Some((sid, _)) = &session {
            let add = |document: &mut SessionDocument| {
                document.add_socket(address.clone());
                Ok(())
            };
            self.sessions().modify(sid, add).await.expect("the session lives");
        }
        let (sid, user_id) = session.unzip();
        let site = self.sessions().site();
        let client = secret.map(|secret| ClientId::of_secret(site, user_id.as_ref(), secret));
        let info = Arc::new(SocketInfo {
            address,
            nsp: "/".into(),
            sid,
            user_id,
            handshake: Handshake::default(),
            data: SocketData::default(),
            client,
            locals: None,
        });
        let attending = match &info.user_id {
            Some(user) => {
                Some(self.core.services.upkeep.attend(user).await.expect("the bus confirms"))
            }
            None => None,
        };
        let mailbox = self.core.hub.add(tid, Arc::clone(&info), attending);
        let hub = Arc::clone(&self.core.services.hub);
        let socket = TestSocket {
            core: Arc::clone(&self.core),
            jobs: self.jobs.clone(),
            socket: Socket::new(info, hub),
            mailbox,
        };
        socket.hook(Hook::Connect, Occasion::Connect).await;
        socket
    }

    /// The next broadcast of this event that the modules sent, its payload read as a `T`.
    ///
    /// # Panics
    /// When none was sent in time, or its payload is no `T`.
    pub async fn assert_broadcast<T: DeserializeOwned>(&self, event: &str) -> T {
        self.sent(Kind::Broadcast, event).await.args.first().expect("the payload is a T")
    }

    /// The next transmit of this event that the modules sent: to whom, and its payload.
    ///
    /// # Panics
    /// As [`assert_broadcast`](Self::assert_broadcast). A transmit to this node itself does not
    /// leave it, and is seen by its observer.
    pub async fn assert_transmit<T: DeserializeOwned>(&self, event: &str) -> (Address, T) {
        let sent = self.sent(Kind::Transmit, event).await;
        (sent.recipient, sent.args.first().expect("the payload is a T"))
    }

    async fn sent(&self, kind: Kind, event: &str) -> Sent {
        let found = wait(&self.notes.changed, || self.notes.take(kind, event)).await;
        found.unwrap_or_else(|| {
            panic!("no {kind:?} of {event} was sent, but {:?}", self.notes.names())
        })
    }
}

/// Waits until `look` finds something, or the deadline.
pub(super) async fn wait<T>(
    changed: &tokio::sync::Notify,
    mut look: impl FnMut() -> Option<T>,
) -> Option<T> {
    let until_found = async {
        loop {
            // Registered before looking, so that no change in between is missed.
            let change = changed.notified();
            tokio::pin!(change);
            change.as_mut().enable();
            if let Some(found) = look() {
                return found;
            }
            change.await;
        }
    };
    tokio::time::timeout(DEADLINE, until_found).await.ok()
}

impl Core {
    pub(super) fn message(&self, socket: &Socket, occasion: Occasion, event: &str) -> Message {
        let (socket, args) = (socket.clone(), crate::Args::EMPTY);
        Message::of(&self.services, socket, occasion, event.into(), args)
    }

    pub(super) fn remove(&self, socket: &Socket, reason: DisconnectReason) {
        if let Some(tid) = socket.address().tid() {
            self.hub.remove(tid, reason);
        }
    }
}

/// Runs `job` on the system's thread and gives back what it makes.
pub(super) async fn on_thread<T: Send + 'static, F: Future<Output = T> + 'static>(
    jobs: &mpsc::Sender<Job>,
    job: impl FnOnce() -> F + Send + 'static,
) -> T {
    let (tell, told) = oneshot::channel();
    let job: Job = Box::new(move || {
        let work = job();
        Box::pin(async move {
            // Nobody waits any more when the test has given up.
            let _gone = tell.send(work.await);
        })
    });
    jobs.send(job).await.expect("the system runs while a handle to it lives");
    told.await.expect("the system's thread runs")
}

pub(super) type Jobs = mpsc::Sender<Job>;
