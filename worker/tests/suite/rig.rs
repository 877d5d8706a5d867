//! Workers on free ports, and what they observe.

use std::{net::TcpListener, sync::Arc, time::Duration};

use actix_web::rt::task::JoinHandle;
use awc::Client;
use router_core::{
    Address, Bus, Data, Observers, Payload, RouteError,
    backend::memory::MemoryHub,
    bus::AskError,
    node::{Node, NodeSpec},
    ns,
    session::{SessionSettings, Sessions, Site},
};
use serde_json::Value;
use tokio::sync::{Notify, mpsc, oneshot};
use worker::{Builder, RunError, WorkerService};

/// How long a condition may take to come true.
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);

/// Asks until `condition` is true.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, condition: impl Fn() -> F) {
    let asked = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(tokio::time::timeout(DEADLINE, asked).await.is_ok(), "not within the deadline: {what}");
}

/// What a test shares with a worker's observers.
#[derive(Debug)]
pub(crate) struct Probe {
    /// `work.wait` was begun.
    pub(crate) entered: Notify,
    /// Lets `work.wait` finish.
    pub(crate) open: Notify,
    heard: mpsc::Sender<String>,
}

/// A worker that runs.
pub(crate) struct Running {
    pub(crate) bus: Bus,
    pub(crate) probe: Arc<Probe>,
    pub(crate) heard: mpsc::Receiver<String>,
    pub(crate) port: u16,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), RunError>>,
}

/// The address of a worker.
pub(crate) fn worker(nid: u32) -> Address {
    ns("worker").node(nid).into()
}

pub(crate) fn observers(cfg: &mut Observers) {
    cfg.observer("work")
        .concurrent()
        .on_ask("double", |Payload(n): Payload<u32>| async move { n * 2 })
        .on_ask("refuse", async || Err::<(), _>(RouteError::new("no_work", "Not today.")))
        .on_ask("panic", panics)
        .on_ask("wait", wait)
        .on_ask("pass_on", pass_on)
        .on_transmit("tell", hear)
        .on_broadcast("all", hear);
}

async fn panics() {
    panic!("a handler of a test panics");
}

async fn wait(probe: Data<Arc<Probe>>) -> &'static str {
    probe.entered.notify_one();
    probe.open.notified().await;
    "done"
}

/// Asks another worker, as part of its own answer.
async fn pass_on(bus: Bus, Payload(to): Payload<Address>) -> Result<u32, AskError> {
    bus.ask(&to, "work.double", &4, DEADLINE).await
}

async fn hear(probe: Data<Arc<Probe>>, Payload(text): Payload<String>) {
    let _full = probe.heard.try_send(text);
}

pub(crate) async fn start(hub: &MemoryHub, nid: u32) -> Running {
    start_with(hub, nid, |builder| builder).await
}

pub(crate) async fn start_with(
    hub: &MemoryHub,
    nid: u32,
    change: impl FnOnce(Builder) -> Builder,
) -> Running {
    let (tell, heard) = mpsc::channel(16);
    let probe = Arc::new(Probe { entered: Notify::new(), open: Notify::new(), heard: tell });
    let builder = builder(hub, nid).await.observers(observers).data(Arc::clone(&probe));
    let service = change(builder).build().unwrap();
    let bus = service.bus().clone();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (stop, stopped) = oneshot::channel();
    let shutdown = async move {
        let _gone = stopped.await;
    };
    let task = actix_web::rt::spawn(service.run(listener, shutdown));
    Running { bus, probe, heard, port, stop, task }
}

pub(crate) async fn builder(hub: &MemoryHub, nid: u32) -> Builder {
    let spec = NodeSpec {
        probe_interval: Duration::from_millis(20),
        ..NodeSpec::new(ns("worker").node(nid))
    };
    let backend = hub.backend();
    let settings = SessionSettings::default();
    let sessions = Sessions::new(Arc::clone(&backend.records), Site::main(), settings);
    WorkerService::builder(Node::start(spec, backend).await.unwrap(), sessions)
}

impl Running {
    /// Tells the worker to stop, and returns its end.
    pub(crate) fn stop(self) -> JoinHandle<Result<(), RunError>> {
        self.stop.send(()).unwrap();
        self.task
    }
}

/// The status and body of a health check; `None` when nobody answers.
pub(crate) async fn check(port: u16, path: &str) -> Option<(u16, Value)> {
    let request = Client::default().get(format!("http://127.0.0.1:{port}{path}"));
    let mut response = request.send().await.ok()?;
    let body = response.body().await.ok()?;
    Some((response.status().as_u16(), serde_json::from_slice(&body).unwrap()))
}
