//! Rooms over two nodes: who is on one hears what is said there from its join's acknowledgement on.

use std::sync::Arc;

use router_core::{
    Address, TenantId,
    limits::{Limit, Limits},
    ns,
    socket::{Io, JoinError, LocalSockets, Socket},
};

use crate::{
    client::Client,
    support::{Cluster, Server, eventually},
};

/// A client, and its socket as the server holds it.
struct Pair {
    client: Client,
    socket: Socket,
}

async fn pair(cluster: &Cluster, server: &Server) -> Pair {
    let token = cluster.fresh_token().await;
    let mut client = Client::open(server.addr()).await;
    let accept = client.connect(&token).await;
    let address: Address = accept["address"].as_str().unwrap().parse().unwrap();
    let tid: &TenantId = address.tid().unwrap();
    let socket = LocalSockets::new(server.handle.hub()).find(tid).unwrap();
    Pair { client, socket }
}

fn io(server: &Server) -> Io {
    let services = server.handle.services();
    Io::new(Arc::clone(&services.hub), services.bus.clone(), "/")
}

impl Pair {
    async fn hears(&mut self, what: &str) {
        assert_eq!(self.client.event("said").await, what);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_emitted_right_after_a_join_from_another_node_arrives() {
    let cluster = Cluster::new();
    let (one, two) = (cluster.serve(1).await, cluster.serve(2).await);
    let mut bob = pair(&cluster, &two).await;
    let from = io(&one);
    for round in 0..200 {
        let room = format!("room {round}");
        bob.socket.join(&room).await.unwrap();
        from.to(&room).emit("said", &room).await.unwrap();
        bob.hears(&room).await;
        bob.socket.leave(&room).await;
    }
    assert!(bob.socket.rooms().await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_emit_reaches_whom_it_names_once_and_nobody_else() {
    let cluster = Cluster::new();
    let (one, two) = (cluster.serve(1).await, cluster.serve(2).await);
    let (mut ann, mut bob) = (pair(&cluster, &one).await, pair(&cluster, &one).await);
    let (mut cid, mut dan) = (pair(&cluster, &two).await, pair(&cluster, &two).await);
    ann.socket.join(["a", "b"]).await.unwrap();
    bob.socket.join("b").await.unwrap();
    cid.socket.join(["a", "b", "c"]).await.unwrap();
    let from = io(&one);

    from.to("a").to("b").emit("said", "a or b").await.unwrap();
    for hearer in [&mut ann, &mut bob, &mut cid] {
        hearer.hears("a or b").await;
    }
    from.to("b").except("a").emit("said", "b, not a").await.unwrap();
    bob.hears("b, not a").await;
    ann.socket.to("a").to("b").emit("said", "others").await.unwrap();
    for hearer in [&mut bob, &mut cid] {
        hearer.hears("others").await;
    }
    from.to("b").local().emit("said", "near").await.unwrap();
    for hearer in [&mut ann, &mut bob] {
        hearer.hears("near").await;
    }
    from.to(&dan.socket).emit("said", "dan").await.unwrap();
    dan.hears("dan").await;
    from.to(&dan.socket).to("c").to("a").except(&ann.socket).emit("said", "far").await.unwrap();
    for hearer in [&mut cid, &mut dan] {
        hearer.hears("far").await;
    }
    from.of("/other").to("a").emit("said", "elsewhere").await.unwrap();
    dan.socket.broadcast().emit("said", "not dan").await.unwrap();
    for hearer in [&mut ann, &mut bob, &mut cid] {
        hearer.hears("not dan").await;
    }
    from.volatile().emit("said", "end").await.unwrap();
    for hearer in [&mut ann, &mut bob, &mut cid, &mut dan] {
        hearer.hears("end").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_left_or_went_hears_nothing_and_the_node_stops_listening() {
    let cluster = Cluster::new();
    let (one, two) = (cluster.serve(1).await, cluster.serve(2).await);
    let (mut ann, bob) = (pair(&cluster, &two).await, pair(&cluster, &two).await);
    for pair in [&ann, &bob] {
        pair.socket.join("a").await.unwrap();
    }
    ann.socket.leave("a").await;
    io(&one).to("a").emit("said", "left").await.unwrap();
    io(&one).emit("said", "all").await.unwrap();
    ann.hears("all").await;

    let tid: TenantId = bob.socket.id().parse().unwrap();
    drop(bob.client);
    let sockets = LocalSockets::new(two.handle.hub());
    eventually("the socket is gone", async || sockets.find(&tid).is_none()).await;
    assert!(matches!(bob.socket.join("a").await, Err(JoinError::Gone)));
    assert!(bob.socket.rooms().await.is_empty());
    // Beside the room there is the user's own channel, for as long as there is a socket of the user.
    eventually("the room is counted", async || two.metrics.channels.get() == 2).await;
    eventually("the room is left", async || two.metrics.channels.get() == 1).await;
    drop(ann.client);
    eventually("the user is left", async || two.metrics.channels.get() == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_has_a_bounded_number_of_rooms_and_may_have_more_without_the_bound() {
    let cluster = Cluster::new();
    let limits = Limits { rooms_per_socket: Limit::At(2), ..Limits::default() };
    let server = cluster.serve_with(1, limits, |builder| builder).await;
    let pair_of = pair(&cluster, &server).await;
    pair_of.socket.join(["a", "b", "a"]).await.unwrap();
    pair_of.socket.join("a").await.unwrap();
    assert!(matches!(pair_of.socket.join("c").await, Err(JoinError::TooManyRooms)));
    assert_eq!(server.metrics.limit_hits("rooms_per_socket"), 1);
    assert!(matches!(pair_of.socket.join("").await, Err(JoinError::Name)));
    assert_eq!(pair_of.socket.rooms().await, ["a", "b"]);

    let off = Limits::default().rates_and_numbers_off();
    let server = cluster.serve_with(2, off, |builder| builder).await;
    let pair_of = pair(&cluster, &server).await;
    let many: Vec<String> = (0..500).map(|n| n.to_string()).collect();
    pair_of.socket.join(many).await.unwrap();
    assert_eq!(pair_of.socket.rooms().await.len(), 500);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_without_sockets_emits_to_rooms() {
    use router_core::{
        node::{Node, NodeSpec},
        socket::NoSockets,
    };
    let cluster = Cluster::new();
    let server = cluster.serve(1).await;
    let mut ann = pair(&cluster, &server).await;
    ann.socket.join("a").await.unwrap();
    let worker = NodeSpec::new(ns("worker").node(0));
    let worker = Node::start(worker, cluster.hub.backend()).await.unwrap();
    let io = Io::new(Arc::new(NoSockets), worker.bus().clone(), "/");
    io.to("a").emit("said", "a job is done").await.unwrap();
    ann.hears("a job is done").await;
    io.emit("said", "to all").await.unwrap();
    ann.hears("to all").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sockets_of_all_nodes_are_found_joined_and_sent_away() {
    let cluster = Cluster::new();
    let (one, two) = (cluster.serve(1).await, cluster.serve(2).await);
    let (mut ann, mut bob) = (pair(&cluster, &one).await, pair(&cluster, &two).await);
    let from = io(&one);
    let joined = from.sockets_join(["a", "b"]).await.unwrap();
    assert!(joined.missing.is_empty());
    from.to("a").emit("said", "hi").await.unwrap();
    for hearer in [&mut ann, &mut bob] {
        hearer.hears("hi").await;
    }
    from.to(bob.socket.address()).sockets_leave("a").await.unwrap();
    let found = from.to("b").fetch_sockets().await.unwrap();
    let rooms = |pair: &Pair| {
        let described = found.results.iter().find(|found| found.address == *pair.socket.address());
        described.map(|found| found.rooms.len())
    };
    assert_eq!((rooms(&ann), rooms(&bob), found.missing.len()), (Some(2), Some(1), 0));
    from.except("a").disconnect_sockets().await.unwrap();
    assert_eq!(bob.client.ended().await.code, Some(4100));
    assert_eq!(from.fetch_sockets().await.unwrap().results.len(), 1);
}
