//! Questions and orders to the sockets of all nodes, and answers that are partial.

use std::time::Duration;

use router_core::{
    NodeAddress, Observers, Payload, RouteError,
    backend::memory::MemoryHub,
    bus::Partial,
    node::{Node, NodeSpec},
    ns,
    socket::{JoinError, LocalSockets, QueryError},
    testing::{TestSocket, TestSystem},
};
use tokio::time::Instant;

fn observers(cfg: &mut Observers) {
    cfg.observer("world")
        .on_ask("double", |Payload(n): Payload<u32>| async move { n * 2 })
        .on_ask("odd", |Payload(n): Payload<u32>| async move {
            if n % 2 == 1 { Err(RouteError::internal()) } else { Ok("no number") }
        })
        .on_broadcast("tick", |sockets: LocalSockets, Payload(n): Payload<u32>| async move {
            sockets.emit("tick", &n).await
        });
}

async fn node(hub: &MemoryHub, nid: u32) -> TestSystem {
    TestSystem::builder().observers(observers).hub(hub).node(ns("ws").node(nid)).start().await
}

fn found(found: &Partial<Vec<router_core::socket::RemoteSocket>>) -> Vec<String> {
    let mut all: Vec<String> =
        found.results.iter().map(|socket| socket.address.to_string()).collect();
    all.sort_unstable();
    all
}

fn addresses(sockets: &[&TestSocket]) -> Vec<String> {
    let mut all: Vec<String> = sockets.iter().map(|socket| socket.address().to_string()).collect();
    all.sort_unstable();
    all
}

#[tokio::test]
async fn sockets_of_all_nodes_are_found_and_ordered_about() {
    let hub = MemoryHub::new();
    let (zero, one) = (node(&hub, 0).await, node(&hub, 1).await);
    let (ann, bob) = (zero.connect_as("ann").await, one.connect_as("bob").await);
    let cid = one.connect_anonymous().await;
    bob.handle().join(["a", "b"]).await.unwrap();
    let io = zero.io();

    let all = io.fetch_sockets().await.unwrap();
    assert_eq!(found(&all), addresses(&[&ann, &bob, &cid]));
    assert!(all.missing.is_empty());
    let in_a = io.to("a").fetch_sockets().await.unwrap().results;
    assert_eq!(in_a.len(), 1);
    assert_eq!((&*in_a[0].rooms, &*in_a[0].nsp), (&["a".into(), "b".into()][..], "/"));
    assert_eq!(in_a[0].user_id.as_ref().map(|user| user.as_str()), Some("bob"));
    assert_eq!(found(&io.local().fetch_sockets().await.unwrap()), addresses(&[&ann]));
    assert!(io.of("/other").fetch_sockets().await.unwrap().results.is_empty());

    io.except("a").sockets_join(["c", "d"]).await.unwrap();
    io.to("c").emit("said", "c").await.unwrap();
    for socket in [&ann, &cid] {
        assert_eq!(socket.assert_received::<String>("said").await, "c");
    }
    bob.assert_not_received("said");
    io.to("c").sockets_leave("c").await.unwrap();
    assert!(io.to("c").fetch_sockets().await.unwrap().results.is_empty());
    assert_eq!(found(&io.to("d").fetch_sockets().await.unwrap()), addresses(&[&ann, &cid]));
    let refused = io.sockets_join("").await;
    assert!(matches!(refused, Err(QueryError::Join(JoinError::Name))), "{refused:?}");

    io.to("d").to(bob.address()).disconnect_sockets().await.unwrap();
    for socket in [&ann, &bob, &cid] {
        assert_eq!(socket.assert_disconnected().await.name(), "server");
    }
}

#[tokio::test]
async fn a_node_that_does_not_answer_is_missing_and_one_that_went_is_not() {
    let hub = MemoryHub::new();
    let (zero, one) = (node(&hub, 0).await, node(&hub, 1).await);
    let (ann, bob) = (zero.connect_as("ann").await, one.connect_as("bob").await);
    // It lives, and nothing in it answers.
    let mute_node = Node::start(NodeSpec::new(ns("ws").node(7)), hub.backend()).await.unwrap();
    let soon = Duration::from_millis(200);
    let partial = zero.io().all().timeout(soon).fetch_sockets().await.unwrap();
    assert_eq!(found(&partial), addresses(&[&ann, &bob]));
    assert_eq!(partial.missing, [ns("ws").node(7)]);
    let joined = zero.io().all().timeout(soon).sockets_join("a").await.unwrap();
    assert_eq!(joined.missing, [ns("ws").node(7)]);
    assert_eq!(bob.handle().rooms().await, ["a"]);

    let begun = Instant::now();
    let everyone = zero.io().all().timeout(Duration::from_secs(60));
    let (whole, ()) = tokio::join!(everyone.fetch_sockets(), mute_node.stop());
    assert!(whole.unwrap().missing.is_empty());
    assert!(begun.elapsed() < Duration::from_secs(30), "its deadline was waited for");

    hub.cut(true);
    let unknown = zero.io().fetch_sockets().await;
    assert!(matches!(unknown, Err(QueryError::Unavailable(_))), "{unknown:?}");
}

#[tokio::test]
async fn other_nodes_are_told_and_asked() {
    let hub = MemoryHub::new();
    let (zero, one, two) = (node(&hub, 0).await, node(&hub, 1).await, node(&hub, 2).await);
    let (ann, bob) = (zero.connect_as("ann").await, one.connect_as("bob").await);
    let (io, timeout) = (zero.io(), Duration::from_secs(5));
    io.server_side_emit("world.tick", &1).await.unwrap();
    assert_eq!(bob.assert_received::<u32>("tick").await, 1);
    zero.bus().broadcast(ns("ws"), "world.tick", &2).await.unwrap();
    assert_eq!(ann.assert_received::<u32>("tick").await, 2);

    let doubled = io.server_side_emit_with_ack::<_, u32>("world.double", &21, timeout);
    let others: Vec<NodeAddress> = vec![ns("ws").node(1), ns("ws").node(2)];
    let answers = others.iter().cloned().map(|node| (node, 42)).collect();
    assert_eq!(doubled.await.unwrap(), Partial { results: answers, missing: Vec::new() });
    for wrong in [1, 2] {
        let asked = io.server_side_emit_with_ack::<_, u32>("world.odd", &wrong, timeout).await;
        assert_eq!(asked.unwrap(), Partial { results: Vec::new(), missing: others.clone() });
    }
    drop(two);
}
