//! Broadcasts, transmits and asks between nodes, in memory.

use std::time::Duration;

use router_core::{
    Address, Observers, Origin, Payload, RouteError,
    backend::memory::MemoryHub,
    bus::{AskError, BroadcastError, TransmitError},
    ns,
    socket::{EmitError, LocalSockets, Socket},
    testing::TestSystem,
};

fn observers(cfg: &mut Observers) {
    cfg.observer("world")
        .on_broadcast("reply", |sockets: LocalSockets, Payload(text): Payload<String>| async move {
            sockets.emit("world.reply", &text).await
        })
        .on_transmit("whisper", whisper)
        .on_ask("double", |Payload(n): Payload<u32>| async move { n * 2 })
        .on_ask("refuse", || async { Err::<(), _>(RouteError::new("no", "No.")) })
        .on_ask("never", || async { std::future::pending::<()>().await })
        .on_ask("who", |Origin(origin): Origin| async move { origin });
}

async fn whisper(tenant: Option<Socket>, Payload(text): Payload<String>) -> Result<(), EmitError> {
    match tenant {
        Some(socket) => socket.emit("world.whisper", &text).await,
        None => Ok(()),
    }
}

async fn two_nodes() -> (MemoryHub, TestSystem, TestSystem) {
    let hub = MemoryHub::new();
    let node =
        |nid| TestSystem::builder().observers(observers).hub(&hub).node(ns("ws").node(nid)).start();
    let (zero, one) = (node(0).await, node(1).await);
    (hub, zero, one)
}

#[tokio::test]
async fn a_broadcast_reaches_the_sockets_of_every_node_in_order() {
    let (_hub, zero, one) = two_nodes().await;
    let (ann, bob) = (zero.connect_as("ann").await, one.connect_as("bob").await);
    for n in 0..100 {
        zero.bus().broadcast(ns("ws"), "world.reply", &n.to_string()).await.unwrap();
    }
    for n in 0..100 {
        assert_eq!(ann.assert_received::<String>("world.reply").await, n.to_string());
        assert_eq!(bob.assert_received::<String>("world.reply").await, n.to_string());
    }
}

#[tokio::test]
async fn a_transmit_reaches_one_tenant_with_a_receipt() {
    let (_hub, zero, one) = two_nodes().await;
    let (ann, bob) = (zero.connect_as("ann").await, one.connect_as("bob").await);
    // From another node, and from the tenant's own.
    for system in [&zero, &one] {
        system.bus().transmit(bob.address(), "world.whisper", "psst").await.unwrap();
        assert_eq!(bob.assert_received::<String>("world.whisper").await, "psst");
    }
    system_is_quiet(&ann).await;
}

/// Whatever was sent before has arrived when a later message on the same way has.
async fn system_is_quiet(socket: &router_core::testing::TestSocket) {
    assert!(socket.push("unknown", &()).await.into_result().is_err());
}

#[tokio::test]
async fn transmits_of_one_sender_arrive_in_order() {
    let (_hub, zero, one) = two_nodes().await;
    let bob = one.connect_as("bob").await;
    for n in 0..300 {
        zero.bus().transmit(bob.address(), "world.whisper", &n.to_string()).await.unwrap();
    }
    for n in 0..300 {
        assert_eq!(bob.assert_received::<String>("world.whisper").await, n.to_string());
    }
}

#[tokio::test]
async fn a_transmit_to_nobody_is_refused() {
    let (_hub, zero, _one) = two_nodes().await;
    let nobody: Address = "ws/7/x".parse().unwrap();
    let gone = zero.bus().transmit(&nobody, "world.whisper", "psst").await;
    assert!(matches!(gone, Err(TransmitError::NodeGone)), "{gone:?}");
    let no_node = zero.bus().transmit(&ns("ws").into(), "world.whisper", "psst").await;
    assert!(matches!(no_node, Err(TransmitError::NoNode)), "{no_node:?}");
}

#[tokio::test]
async fn an_ask_is_answered_by_the_handlers_value_or_error() {
    let (_hub, zero, one) = two_nodes().await;
    let deadline = Duration::from_secs(5);
    for (asker, asked) in [(&zero, "ws/1"), (&one, "ws/1")] {
        let to = asked.parse().unwrap();
        let doubled: u32 = asker.bus().ask(&to, "world.double", &21, deadline).await.unwrap();
        assert_eq!(doubled, 42);
        let who: String = asker.bus().ask(&to, "world.who", &(), deadline).await.unwrap();
        assert_eq!(who, asker.bus().node().to_string());
        let refused = asker.bus().ask::<_, u32>(&to, "world.refuse", &(), deadline).await;
        assert!(matches!(&refused, Err(AskError::Answered(error)) if error.code() == "no"));
        let unknown = asker.bus().ask::<_, u32>(&to, "world.unknown", &(), deadline).await;
        assert!(matches!(&unknown, Err(AskError::Answered(e)) if e.code() == "unknown_event"));
        let unfit = asker.bus().ask::<_, String>(&to, "world.double", &1, deadline).await;
        assert!(matches!(unfit, Err(AskError::Answer(_))));
    }
}

#[tokio::test]
async fn an_ask_that_nobody_answers_ends_at_its_deadline() {
    let (_hub, zero, _one) = two_nodes().await;
    let to = "ws/1".parse().unwrap();
    let deadline = Duration::from_millis(50);
    let asked = zero.bus().ask::<_, ()>(&to, "world.never", &(), deadline).await;
    assert!(matches!(asked, Err(AskError::Transmit(TransmitError::Timeout))), "{asked:?}");
}

#[tokio::test]
async fn a_broadcast_that_the_bus_did_not_take_is_an_error_and_still_reaches_this_node() {
    let (hub, zero, one) = two_nodes().await;
    let (ann, bob) = (zero.connect_as("ann").await, one.connect_as("bob").await);
    hub.cut(true);
    let sent = zero.bus().broadcast(ns("ws"), "world.reply", "alone").await;
    assert!(matches!(sent, Err(BroadcastError::Unavailable(_))), "{sent:?}");
    assert_eq!(ann.assert_received::<String>("world.reply").await, "alone");
    let transmit = zero.bus().transmit(bob.address(), "world.whisper", "psst").await;
    assert!(matches!(transmit, Err(TransmitError::Unavailable(_))), "{transmit:?}");
    hub.cut(false);
    zero.bus().broadcast(ns("ws"), "world.reply", "again").await.unwrap();
    assert_eq!(bob.assert_received::<String>("world.reply").await, "again");
}
