//! The life of a node: its address, its lease, its readiness.

use std::time::Duration;

use router_core::{
    Observers, Payload,
    backend::memory::MemoryHub,
    bus::TransmitError,
    node::{Node, NodeSpec, StartError},
    ns,
};

fn spec(nid: u32) -> NodeSpec {
    let mut spec = NodeSpec::new(ns("ws").node(nid));
    spec.lease_ttl = Duration::from_millis(600);
    spec.lease_renewal = Duration::from_millis(100);
    spec.probe_interval = Duration::from_millis(50);
    spec
}

async fn ready(node: &Node, expected: bool) {
    let mut readiness = node.readiness();
    let changed = readiness.wait_for(|state| state.is_ready() == expected);
    let changed = tokio::time::timeout(Duration::from_secs(10), changed).await;
    assert!(changed.is_ok(), "readiness became {expected} in time");
}

#[tokio::test]
async fn a_second_process_with_the_same_address_is_refused_and_told_who_has_it() {
    let hub = MemoryHub::new();
    let first = Node::start(spec(0), hub.backend()).await.unwrap();
    let second = Node::start(spec(0), hub.backend()).await;
    let Err(StartError::Held { node, holder }) = second else { panic!("refused") };
    assert_eq!((&node, holder.pid), (first.address(), std::process::id()));
    let life = first.incarnation().unwrap();
    first.stop().await;
    let third = Node::start(spec(0), hub.backend()).await.unwrap();
    assert!(third.incarnation().unwrap() > life);
}

#[tokio::test]
async fn a_node_is_ready_while_it_hears_itself() {
    let hub = MemoryHub::new();
    let node = Node::start(spec(0), hub.backend()).await.unwrap();
    ready(&node, true).await;
    hub.cut(true);
    ready(&node, false).await;
    assert!(node.metrics().link_reconnects.get() > 0);
    hub.cut(false);
    ready(&node, true).await;
}

#[tokio::test]
async fn a_node_that_lost_its_lease_is_fenced_and_lives_anew() {
    let hub = MemoryHub::new();
    let sender = Node::start(spec(1), hub.backend()).await.unwrap();
    let node = Node::start(spec(0), hub.backend()).await.unwrap();
    let life = node.incarnation().unwrap();
    hub.cut(true);
    // Its lease runs out by its own clock while the bus is away.
    ready(&node, false).await;
    let mut readiness = node.readiness();
    let fenced = readiness.wait_for(|state| !state.lease);
    tokio::time::timeout(Duration::from_secs(10), fenced).await.unwrap().unwrap();
    assert_eq!(node.incarnation(), None);
    let own = node.bus().transmit(&node.address().clone().into(), "a.b", &1).await;
    assert!(matches!(own, Err(TransmitError::NodeGone)), "{own:?}");
    hub.cut(false);
    ready(&node, true).await;
    assert!(node.incarnation().unwrap() > life);
    ready(&sender, true).await;
    sender.bus().transmit(&node.address().clone().into(), "a.b", &1).await.unwrap();
}

#[tokio::test]
async fn a_node_that_stopped_is_gone_for_senders() {
    let hub = MemoryHub::new();
    let sender = Node::start(spec(1), hub.backend()).await.unwrap();
    let node = Node::start(spec(0), hub.backend()).await.unwrap();
    let address = node.address().clone().into();
    sender.bus().transmit(&address, "a.b", &1).await.unwrap();
    node.stop().await;
    let gone = sender.bus().transmit(&address, "a.b", &1).await;
    assert!(matches!(gone, Err(TransmitError::NodeGone)), "{gone:?}");
}

#[tokio::test]
async fn a_message_for_a_former_life_is_answered_with_node_gone() {
    // The lease of the first life is let go without a reader ever having seen the entry.
    let hub = MemoryHub::new();
    let backend = hub.backend();
    let address = ns("ws").node(0);
    let holder = router_core::backend::registry::Holder {
        host: "elsewhere".into(),
        pid: 1,
        pid_started: 1,
        nonce: "n".into(),
        advertise: None,
    };
    let ttl = Duration::from_secs(60);
    let former = backend.registry.acquire(&address, &holder, None, ttl).await.unwrap();
    let sender = Node::start(spec(1), hub.backend()).await.unwrap();
    ready(&sender, true).await;
    let to = address.clone().into();
    let bus = sender.bus().clone();
    let transmit = tokio::spawn(async move { bus.transmit(&to, "a.b", &1).await });
    // The entry is in the stream once the sender's count says that it was given to the bus.
    while sender.metrics().transmits_out.get() == 0 {
        tokio::task::yield_now().await;
    }
    backend.registry.release(&former).await.unwrap();
    let _next = Node::start(spec(0), hub.backend()).await.unwrap();
    let outcome = transmit.await.unwrap();
    assert!(matches!(outcome, Err(TransmitError::NodeGone)), "{outcome:?}");
}

#[tokio::test]
async fn a_lease_that_would_run_out_between_two_renewals_is_refused() {
    let mut spec = spec(0);
    spec.lease_renewal = spec.lease_ttl;
    let refused = Node::start(spec, MemoryHub::new().backend()).await;
    assert!(matches!(refused, Err(StartError::LeaseTimes)));
}

#[test]
fn observers_of_one_name_are_refused() {
    let module = |cfg: &mut Observers| {
        cfg.observer("world").on_transmit("x", |Payload(_): Payload<u8>| async {});
    };
    assert!(Observers::build([module, module]).is_err());
}
