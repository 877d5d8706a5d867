//! What happens at the bounds of bus, observers and routes, and that it is counted.

use std::{sync::Arc, time::Duration};

use router_core::{
    Data, Observers, Payload, Routes,
    backend::{memory::MemoryHub, registry::Holder},
    bus::{AskError, TransmitError},
    limits::{Limit, Limits},
    node::{Node, NodeSpec},
    ns,
    testing::TestSystem,
};
use tokio::sync::{Semaphore, mpsc};

/// What a handler of these tests tells, and what it waits for.
struct Gate {
    started: mpsc::Sender<u32>,
    open: Semaphore,
}

type Shared = Data<Arc<Gate>>;

async fn wait(gate: Shared, Payload(n): Payload<u32>) {
    gate.started.try_send(n).unwrap();
    gate.open.acquire().await.unwrap().forget();
}

fn observers(cfg: &mut Observers) {
    cfg.observer("slow")
        .on_transmit("take", wait)
        .on_ask("take", wait)
        .on_ask("never", || async { std::future::pending::<()>().await });
}

fn routes(cfg: &mut Routes) {
    cfg.route("slow").on("take", wait);
}

fn gate() -> (Arc<Gate>, mpsc::Receiver<u32>) {
    let (started, told) = mpsc::channel(16);
    (Arc::new(Gate { started, open: Semaphore::new(0) }), told)
}

#[tokio::test]
async fn a_stuck_observer_refuses_what_it_has_no_place_for_and_loses_nothing() {
    let hub = MemoryHub::new();
    let (gate, mut started) = gate();
    let limits = Limits { observer_queue: Limit::At(2), ..Limits::default() };
    let sender = TestSystem::builder().hub(&hub).start().await;
    let stuck = TestSystem::builder().hub(&hub).node(ns("ws").node(1)).limits(limits);
    let stuck = stuck.observers(observers).data(Arc::clone(&gate)).start().await;
    let to = ns("ws").node(1).into();
    // From another node and from its own: the first runs, two wait, and the next has no place.
    sender.bus().transmit(&to, "slow.take", &0).await.unwrap();
    assert_eq!(started.recv().await, Some(0));
    sender.bus().transmit(&to, "slow.take", &1).await.unwrap();
    stuck.bus().transmit(&to, "slow.take", &2).await.unwrap();
    for bus in [sender.bus(), stuck.bus()] {
        let refused = bus.transmit(&to, "slow.take", &9).await;
        assert!(matches!(refused, Err(TransmitError::Overloaded)), "{refused:?}");
        let refused = bus.ask::<_, ()>(&to, "slow.take", &9, Duration::from_secs(5)).await;
        let overloaded = Err(AskError::Transmit(TransmitError::Overloaded));
        assert_eq!(format!("{refused:?}"), format!("{:?}", overloaded as Result<(), _>));
    }
    assert_eq!(stuck.metrics().limit_hits("observer_queue"), 4);
    // Whatever had its receipt is observed, in order, and nothing else is.
    gate.open.add_permits(4);
    assert_eq!((started.recv().await, started.recv().await), (Some(1), Some(2)));
    sender.bus().transmit(&to, "slow.take", &3).await.unwrap();
    assert_eq!(started.recv().await, Some(3));
}

#[tokio::test]
async fn each_bound_of_bus_and_routes_counts_what_meets_it() {
    pending_replies().await;
    bus_queue().await;
    stream_length_and_receipt_timeout().await;
    route_queue().await;
}

async fn pending_replies() {
    let limits = Limits { pending_replies: Limit::At(1), ..Limits::default() };
    let system = TestSystem::builder().limits(limits).observers(observers).start().await;
    let to = ns("ws").node(0).into();
    let deadline = Duration::from_secs(60);
    let never = system.bus().ask::<_, ()>(&to, "slow.never", &0, deadline);
    let refused = system.bus().transmit(&to, "slow.take", &0);
    tokio::select! {
        biased;
        answer = never => panic!("nobody answers this: {answer:?}"),
        refused = refused => assert!(matches!(refused, Err(TransmitError::Overloaded))),
    }
    assert_eq!(system.metrics().limit_hits("pending_replies"), 1);
}

async fn bus_queue() {
    let limits = Arc::new(Limits { bus_queue: Limit::At(1), ..Limits::default() });
    let spec = NodeSpec { limits, ..NodeSpec::new(ns("ws").node(0)) };
    // Nobody takes what arrives.
    let node = Node::start(spec, MemoryHub::new().backend()).await.unwrap();
    let to = ns("ws").node(0).into();
    node.bus().transmit(&to, "slow.take", &0).await.unwrap();
    let refused = node.bus().transmit(&to, "slow.take", &1).await;
    assert!(matches!(refused, Err(TransmitError::Overloaded)), "{refused:?}");
    node.bus().broadcast(ns("ws"), "slow.take", &2).await.unwrap();
    assert_eq!(node.metrics().limit_hits("bus_queue"), 2);
    assert_eq!(node.metrics().broadcasts_dropped.get(), 1);
}

async fn stream_length_and_receipt_timeout() {
    let hub = MemoryHub::new();
    let limits = Limits {
        stream_length: Limit::At(1),
        receipt_timeout: Limit::At(Duration::from_millis(20)),
        ..Limits::default()
    };
    let system = TestSystem::builder().hub(&hub).limits(limits).start().await;
    // It holds a lease and takes nothing.
    let deaf = ns("ws").node(9);
    let holder = Holder {
        host: "here".into(),
        pid: 1,
        pid_started: 0,
        nonce: "nonce".into(),
        advertise: None,
    };
    let registry = hub.backend().registry;
    registry.acquire(&deaf, &holder, None, Duration::from_secs(60)).await.unwrap();
    let to = deaf.into();
    let silent = system.bus().transmit(&to, "slow.take", &0).await;
    assert!(matches!(silent, Err(TransmitError::Timeout)), "{silent:?}");
    let full = system.bus().transmit(&to, "slow.take", &1).await;
    assert!(matches!(full, Err(TransmitError::Overloaded)), "{full:?}");
    assert_eq!(system.metrics().limit_hits("receipt_timeout"), 1);
    assert_eq!(system.metrics().limit_hits("stream_length"), 1);
}

async fn route_queue() {
    let (gate, mut started) = gate();
    let limits =
        Limits { route_in_flight: Limit::At(1), route_queue: Limit::At(1), ..Limits::default() };
    let system = TestSystem::builder().limits(limits).routes(routes).data(Arc::clone(&gate));
    let system = system.start().await;
    let ann = system.connect_as("ann").await;
    let third = async {
        ann.push("slow.take", &2).await.assert_error("overloaded");
        gate.open.add_permits(2);
    };
    let (first, second) = (ann.push("slow.take", &0), ann.push("slow.take", &1));
    let (first, second, ()) = tokio::join!(first, second, third);
    assert!(first.into_result().is_ok() && second.into_result().is_ok());
    assert_eq!((started.recv().await, started.recv().await), (Some(0), Some(1)));
    assert_eq!(system.metrics().limit_hits("route_queue"), 1);
}
