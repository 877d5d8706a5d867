//! Systems of nodes in one process, and the neighbour that must not notice anything.

use std::{
    future::Future,
    net::{SocketAddr, TcpListener},
    sync::{Arc, Mutex},
    time::Duration,
};

use router_core::{
    Args, Bus, Data, Observers, Payload, RouteError, Routes,
    backend::memory::MemoryHub,
    keys::{Key, KeyRing},
    limits::Limits,
    metrics::Metrics,
    node::{Node, NodeSpec},
    ns,
    session::{
        Confirmer, Session, SessionDocument, SessionId, SessionSettings, Sessions, Site, UserId,
    },
    socket::{EmitError, LocalSockets, Socket},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::{sync::Semaphore, task::JoinHandle};
use ws_service::{Builder, RunError, WsService};

use crate::{
    client::{Client, DEADLINE},
    host::{Held, host},
};

/// What `test.wait` waits for.
#[derive(Clone)]
pub(crate) struct Gate(pub(crate) Arc<Semaphore>);

impl Default for Gate {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(0)))
    }
}

impl Gate {
    pub(crate) async fn pass(&self) -> Result<(), RouteError> {
        self.0.acquire().await.map(|permit| permit.forget()).map_err(|_| RouteError::internal())
    }
}

/// One backend, and the keys that its nodes share.
pub(crate) struct Cluster {
    pub(crate) hub: MemoryHub,
    pub(crate) keys: Arc<KeyRing>,
    pub(crate) confirmer: Confirmer,
}

/// A node that runs.
pub(crate) struct Server {
    pub(crate) handle: Held,
    address: SocketAddr,
    pub(crate) metrics: Arc<Metrics>,
    /// What handlers noted, in order.
    pub(crate) notes: Notes,
    pub(crate) task: JoinHandle<Result<(), RunError>>,
}

/// What handlers noted.
#[derive(Clone, Default)]
pub(crate) struct Notes(Arc<Mutex<Vec<String>>>);

impl Notes {
    pub(crate) fn add(&self, note: impl Into<String>) {
        self.0.lock().unwrap().push(note.into());
    }

    pub(crate) fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

impl Cluster {
    pub(crate) fn new() -> Self {
        Self::with(SessionSettings::default())
    }

    pub(crate) fn with(settings: SessionSettings) -> Self {
        let hub = MemoryHub::new();
        let backend = hub.backend();
        let sessions = Sessions::new(backend.records, Site::main(), settings);
        let keys = Arc::new(KeyRing::new(Key::random("test").unwrap(), None).unwrap());
        let confirmer = Confirmer::new(sessions, backend.tokens, Arc::clone(&keys));
        Self { hub, keys, confirmer }
    }

    /// A node with the limits of its own and the test modules.
    pub(crate) async fn serve_with(
        &self,
        nid: u32,
        limits: Limits,
        configure: impl FnOnce(Builder) -> Builder,
    ) -> Server {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let mut spec = NodeSpec::new(ns("ws").node(nid));
        spec.advertise = Some(address.to_string().into());
        spec.limits = Arc::new(limits);
        let metrics = Arc::clone(&spec.metrics);
        let node = Node::start(spec, self.hub.backend()).await.unwrap();
        let notes = Notes::default();
        let builder = WsService::builder(node, self.confirmer.clone())
            .routes(routes)
            .observers(observers)
            .data(notes.clone());
        let (handle, running) = host(configure(builder), socket);
        let task = tokio::spawn(running);
        let server = Server { handle, address, metrics, notes, task };
        eventually("the node is ready", async || server.handle.is_ready()).await;
        server
    }

    pub(crate) async fn serve(&self, nid: u32) -> Server {
        self.serve_with(nid, Limits::default(), |builder| builder).await
    }

    pub(crate) async fn session(&self, user: &str) -> SessionId {
        let document = SessionDocument::new(UserId::new(user.to_owned()));
        self.confirmer.sessions().create(&document).await.unwrap()
    }

    pub(crate) async fn token(&self, sid: &SessionId) -> String {
        self.confirmer.issue(sid).await.unwrap().0
    }

    /// A token of a session of its own.
    pub(crate) async fn fresh_token(&self) -> String {
        let sid = self.session("7").await;
        self.token(&sid).await
    }

    /// A confirmed socket of a session of its own.
    pub(crate) async fn client(&self, server: &Server) -> Client {
        let token = self.fresh_token().await;
        Client::confirmed(server.addr(), &token).await
    }

    /// A neighbour on this node.
    pub(crate) async fn neighbour(&self, server: &Server) -> Neighbour {
        let mut neighbour = Neighbour {
            client: self.client(server).await,
            bus: server.handle.services().bus.clone(),
            count: 0,
        };
        neighbour.check().await;
        neighbour
    }
}

impl Server {
    pub(crate) fn addr(&self) -> SocketAddr {
        self.address
    }
}

/// A healthy socket beside the one that something is done to.
pub(crate) struct Neighbour {
    client: Client,
    bus: Bus,
    count: u64,
}

impl Neighbour {
    /// A broadcast reaches it, and it is answered.
    pub(crate) async fn check(&mut self) {
        self.count += 1;
        let reply = serde_json::json!({ "count": self.count });
        self.bus.broadcast(ns("ws"), "neighbour.tick", &reply).await.unwrap();
        while self.client.event("neighbour.tick").await["count"] != self.count {}
        assert_eq!(self.client.ask("test.echo", "1").await, 1);
    }
}

/// Waits until something is true. It is looked at often, and for as long as anything may take.
pub(crate) async fn eventually(what: &str, mut is_true: impl AsyncFnMut() -> bool) {
    let waited = tokio::time::timeout(DEADLINE, async {
        while !is_true().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    assert!(waited.await.is_ok(), "never: {what}");
}

/// A result in time.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.expect("in time")
}

#[derive(Serialize, Deserialize)]
struct Say {
    message: String,
}

#[derive(Deserialize)]
struct Lines {
    lines: Vec<u8>,
}

/// The handlers that tests use.
pub(crate) fn routes(cfg: &mut Routes) {
    cfg.route("world").on("say", async |bus: Bus, Payload(say): Payload<Say>| {
        bus.broadcast(ns("ws"), "world.reply", &say).await?;
        Ok::<_, RouteError>(())
    });
    cfg.route("test")
        .on("echo", async |args: Args| args)
        .on("lines", async |Payload(lines): Payload<Lines>| lines.lines.len())
        .on("panic", panics)
        .on("who", async |session: Session<Value>| session.user_id().cloned())
        .on("count", async |session: Session<Value>| {
            session.update(router_core::session::inc("count", 1)).await
        })
        .on("kick", async |socket: Socket| socket.disconnect().await)
        .on("cut", async |socket: Socket| socket.close_connection().await)
        .on("emit_then_ack", async |socket: Socket| {
            socket.emit("test.emitted", &1).await?;
            Ok::<_, EmitError>("acknowledged")
        })
        .on("ordered", async |notes: Data<Notes>, Payload(number): Payload<u64>| {
            notes.add(format!("begin {number}"));
            // The later ones would be faster, were they let to.
            for _ in number..20 {
                tokio::task::yield_now().await;
            }
            notes.add(format!("end {number}"));
            number
        })
        .on_concurrent("at_once", async |notes: Data<Notes>, gate: Data<Gate>, args: Args| {
            notes.add(format!("begin {}", args.json()));
            gate.pass().await
        })
        .on("wait", async |gate: Data<Gate>| gate.pass().await);
    cfg.root().on("message", async || "root");
}

async fn panics() {
    panic!("on purpose");
}

/// The observers that tests use.
pub(crate) fn observers(cfg: &mut Observers) {
    cfg.observer("world").on_broadcast(
        "reply",
        async |sockets: LocalSockets, Payload(reply): Payload<Value>| {
            sockets.emit("world.reply", &reply).await
        },
    );
    cfg.observer("neighbour").on_broadcast(
        "tick",
        async |sockets: LocalSockets, Payload(tick): Payload<Value>| {
            sockets.emit("neighbour.tick", &tick).await
        },
    );
}
