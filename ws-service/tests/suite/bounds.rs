//! Bounds: what happens at each, and to whom.

use std::{
    fs,
    net::SocketAddr,
    time::{Duration, Instant},
};

use bytestring::ByteString;
use router_core::{
    Args, TenantId,
    limits::{Limit, Limits},
    socket::{LocalSockets, Recipients},
};
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpSocket, TcpStream},
};

use crate::{
    MOUNTED,
    client::{Client, PATH, code, exchange, request},
    support::{Cluster, Gate, Server, eventually, soon},
};

/// A confirmed socket whose kernel takes little before somebody reads, and its id.
async fn small_reader(cluster: &Cluster, server: &Server) -> (Client, TenantId) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let stream = socket.connect(server.addr()).await.unwrap();
    let mut client = Client::open_on(stream, "").await;
    let token = cluster.fresh_token().await;
    let accept = client.connect(&token).await;
    let address: router_core::Address = accept["address"].as_str().unwrap().parse().unwrap();
    (client, address.tid().unwrap().clone())
}

/// Whether the kernel still has the server's end of the connection from `peer` (`/proc/net/tcp`).
pub(crate) fn kernel_has(server: SocketAddr, peer: SocketAddr) -> bool {
    let (local, remote) = (format!(":{:04X}", server.port()), format!(":{:04X}", peer.port()));
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    table.lines().skip(1).any(|line| {
        let mut columns = line.split_whitespace().skip(1);
        columns.next().is_some_and(|at| at.ends_with(&local))
            && columns.next().is_some_and(|to| to.ends_with(&remote))
    })
}

/// How long the kernel waits for a peer that takes nothing, where it is asked to.
const PATIENCE: Duration = Duration::from_secs(1);

/// A peer that was found slow just now is gone from the kernel: within two seconds where its socket
/// is the service's. In an App, whose HTTP service keeps the socket, its connection is over at the
/// same moment, and the kernel waits for as long as it was told to.
async fn forgotten(server: &Server, peer: SocketAddr) {
    let decided = Instant::now();
    eventually("its connection is over", async || server.metrics.connections.get() == 1).await;
    assert!(decided.elapsed() < Duration::from_secs(2), "{:?}", decided.elapsed());
    eventually("the kernel forgot it", async || !kernel_has(server.addr(), peer)).await;
    // It looks when it tries again, which it does at growing distances.
    let most = if MOUNTED { PATIENCE * 6 } else { Duration::from_secs(2) };
    assert!(decided.elapsed() < most, "{:?}", decided.elapsed());
}

/// Emits to one socket until it is gone, 32 KiB at a time.
async fn flood(server: &Server, tid: &TenantId) {
    let hub = server.handle.hub();
    let args = Args::one(&"x".repeat(32 * 1024)).unwrap();
    let event = ByteString::from_static("test.flood");
    loop {
        let to = Recipients::Socket(tid.clone());
        if hub.emit(to, event.clone(), args.clone()).await.is_err() {
            return;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_stops_reading_is_gone_from_the_kernel_within_two_seconds() {
    let cluster = Cluster::new();
    let configure = |builder: ws_service::Builder| builder.ping_timeout(PATIENCE);
    let server = cluster.serve_with(1, Limits::default(), configure).await;
    let mut neighbour = cluster.neighbour(&server).await;
    let (stuck, tid) = small_reader(&cluster, &server).await;
    let peer = stuck.stream.local_addr().unwrap();
    assert!(kernel_has(server.addr(), peer));
    soon(flood(&server, &tid)).await;
    forgotten(&server, peer).await;
    assert_eq!(server.metrics.limit_hits("outbox_hard"), 1);
    neighbour.check().await;
    eventually("nothing waits", async || server.metrics.outbox_bytes.get() == 0).await;
    assert!(server.metrics.encode().unwrap().contains(r#"closes_total{code="slow"} 1"#));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_without_progress_is_slow_though_little_waits() {
    let cluster = Cluster::new();
    let limits = Limits {
        outbox_hard: Limit::At(64 << 20),
        outbox_stall: Limit::At(Duration::from_millis(300)),
        ..Limits::default()
    };
    let configure = |builder: ws_service::Builder| builder.ping_timeout(PATIENCE);
    let server = cluster.serve_with(1, limits, configure).await;
    let mut neighbour = cluster.neighbour(&server).await;
    let (stuck, tid) = small_reader(&cluster, &server).await;
    let peer = stuck.stream.local_addr().unwrap();
    let hub = server.handle.hub();
    let args = Args::one(&"x".repeat(1 << 20)).unwrap();
    for _ in 0..12 {
        let event = ByteString::from_static("test.flood");
        hub.emit(Recipients::Socket(tid.clone()), event, args.clone()).await.unwrap();
    }
    eventually("the peer is slow", async || server.metrics.limit_hits("outbox_stall") == 1).await;
    forgotten(&server, peer).await;
    neighbour.check().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_loses_volatile_messages_and_no_others() {
    let cluster = Cluster::new();
    let limits = Limits { outbox_hard: Limit::At(64 << 20), ..Limits::default() };
    let server = cluster.serve_with(1, limits, |builder| builder).await;
    let (mut reader, tid) = small_reader(&cluster, &server).await;
    let hub = server.handle.hub();
    let args = Args::one(&"x".repeat(256 * 1024)).unwrap();
    let emit = async |name: &'static str, args: Args| {
        let (to, event) = (Recipients::Socket(tid.clone()), ByteString::from_static(name));
        hub.emit(to, event, args).await.unwrap();
    };
    let sockets = LocalSockets::new(hub.clone());
    // Until the kernel is full and more waits here than the soft bound.
    let mut sent = 0;
    eventually("a volatile one is dropped", async || {
        emit("test.big", args.clone()).await;
        sockets.emit_volatile("test.volatile", "late").await.unwrap();
        sent += 1;
        server.metrics.volatile_dropped.get() > 0
    })
    .await;
    emit("test.last", Args::EMPTY).await;
    // It reads on, and gets everything but the volatile ones that were dropped.
    let (mut big, mut volatile) = (0, 0);
    loop {
        let text = soon(reader.text()).await;
        match &*text {
            r#"42["test.volatile","late"]"# => volatile += 1,
            r#"42["test.last"]"# => break,
            text => {
                assert!(text.starts_with(r#"42["test.big""#));
                big += 1;
            }
        }
    }
    assert_eq!((big, volatile), (sent, sent - server.metrics.volatile_dropped.get()));
    // Now it is not behind.
    sockets.emit_volatile("test.volatile", "in time").await.unwrap();
    assert_eq!(reader.text().await, r#"42["test.volatile","in time"]"#);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_outboxes_together_are_bounded_and_the_largest_is_shed() {
    let cluster = Cluster::new();
    let limits = Limits { outbox_hard: Limit::At(64 << 20), ..Limits::default() };
    // A quarter of this may wait.
    let configure = |builder: ws_service::Builder| builder.memory(8 << 20).ping_timeout(PATIENCE);
    let server = cluster.serve_with(1, limits, configure).await;
    let mut neighbour = cluster.neighbour(&server).await;
    let (stuck, tid) = small_reader(&cluster, &server).await;
    let peer = stuck.stream.local_addr().unwrap();
    soon(flood(&server, &tid)).await;
    assert_eq!(server.metrics.limit_hits("outbox_total_percent"), 1);
    forgotten(&server, peer).await;
    neighbour.check().await;
    drop(cluster.client(&server).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn emits_beyond_the_rate_are_refused_and_then_the_socket_is_closed() {
    let cluster = Cluster::new();
    let limits = Limits { emits_per_second: Limit::At(1), ..Limits::default() };
    let server = cluster.serve_with(1, limits, |builder| builder).await;
    let mut client = cluster.client(&server).await;
    for _ in 0..4 {
        assert_eq!(client.ask("test.echo", "1").await, 1);
    }
    let refused = client.ask("test.echo", "1").await;
    assert_eq!(code(&refused), "rate_limited");
    let retry = refused["error"]["retry_after_ms"].as_u64().unwrap();
    assert!((1..=1_000).contains(&retry), "{retry}");
    for _ in 0..8 {
        client.emit("test.echo", "1").await;
    }
    let ended = soon(client.ended()).await;
    assert_eq!(ended.code, Some(4029));
    assert!(!ended.texts.contains(&"41".to_owned()), "it may come back");
    assert!(server.metrics.limit_hits("emits_per_second") >= 8);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nsps_of_one_connection_are_bounded() {
    let cluster = Cluster::new();
    let limits = Limits { nsps_per_connection: Limit::At(1), ..Limits::default() };
    let configure = |builder: ws_service::Builder| {
        builder.nsp("/", ws_service::Auth::Open).nsp("/b", ws_service::Auth::Open)
    };
    let server = cluster.serve_with(1, limits, configure).await;
    let mut client = Client::open(server.addr()).await;
    client.send("40").await;
    client.text().await;
    client.send("40/b,").await;
    assert!(client.text().await.starts_with("44/b,"));
    assert_eq!(client.ask("test.echo", "1").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unconfirmed_connections_of_one_address_are_bounded() {
    let cluster = Cluster::new();
    let limits = Limits { unconfirmed_per_address: Limit::At(2), ..Limits::default() };
    let server = cluster.serve_with(1, limits, |builder| builder).await;
    let first = Client::open(server.addr()).await;
    let mut second = Client::open(server.addr()).await;
    let mut refused = TcpStream::connect(server.addr()).await.unwrap();
    let (head, _) = exchange(&mut refused, request(PATH, "").as_bytes()).await;
    assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
    assert!(head.to_lowercase().contains("\r\nretry-after: "), "{head}");
    assert_eq!(server.metrics.limit_hits("unconfirmed_per_address"), 1);
    // Who is confirmed makes room, and so does who goes.
    let token = cluster.fresh_token().await;
    second.connect(&token).await;
    let third = Client::open(server.addr()).await;
    drop((first, third));
    eventually("the places are free", async || server.metrics.unconfirmed.get() == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trusted_proxy_says_whose_connection_it_is() {
    let cluster = Cluster::new();
    let limits = Limits { unconfirmed_per_address: Limit::At(1), ..Limits::default() };
    let configure =
        |builder: ws_service::Builder| builder.trusted_proxies(["127.0.0.1".parse().unwrap()]);
    let server = cluster.serve_with(1, limits, configure).await;
    let from = async |address: &str| {
        let mut stream = TcpStream::connect(server.addr()).await.unwrap();
        let header = format!("X-Forwarded-For: {address}\r\n");
        let (head, _) = exchange(&mut stream, request(PATH, &header).as_bytes()).await;
        (head.starts_with("HTTP/1.1 101 "), stream)
    };
    let first = from("1.1.1.1").await;
    let second = from("2.2.2.2").await;
    let third = from("2.2.2.2").await;
    assert_eq!((first.0, second.0, third.0), (true, true, false));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_answers_no_ping_is_closed() {
    let cluster = Cluster::new();
    let configure = |builder: ws_service::Builder| {
        builder.ping_interval(Duration::from_millis(200)).ping_timeout(Duration::from_secs(2))
    };
    let limits = Limits::default().rates_and_numbers_off();
    let server = cluster.serve_with(1, limits, configure).await;
    let mut answering = cluster.client(&server).await;
    let silent = cluster.client(&server).await;
    // `ask` answers the pings that it meets.
    let ended = tokio::spawn(silent.ended());
    while !ended.is_finished() {
        assert_eq!(answering.ask("test.echo", "1").await, 1);
    }
    let ended = ended.await.unwrap();
    assert_eq!(ended.code, Some(4002));
    assert_eq!(ended.texts, ["2"]);
    assert_eq!(answering.ask("test.echo", "1").await, 1);
}

/// Emits events of 200 KiB behind one that does not end, and returns their ids.
async fn pile_up(client: &mut Client, count: usize) -> Vec<u64> {
    let large = format!("\"{}\"", "x".repeat(200 * 1024));
    let mut ids = vec![client.emit("test.wait", "").await];
    for _ in 0..count {
        ids.push(client.emit("test.wait", &large).await);
    }
    ids
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_that_wait_are_bounded_by_their_bytes() {
    let cluster = Cluster::new();
    let gate = Gate::default();
    let configure = |builder: ws_service::Builder| builder.data(gate);
    let server = cluster.serve_with(1, Limits::default(), configure).await;
    let mut neighbour = cluster.neighbour(&server).await;
    let mut client = cluster.client(&server).await;
    // Five of them are within a mebibyte.
    let ids = pile_up(&mut client, 6).await;
    assert_eq!(code(&client.ack(ids[6]).await), "overloaded");
    let metrics = &server.metrics;
    assert_eq!(metrics.limit_hits("socket_queue_bytes"), 1);
    eventually("they are counted", async || metrics.outbox_bytes.get() > 5 * 200 * 1024).await;
    neighbour.check().await;
    drop(client);
    eventually("nothing waits", async || metrics.outbox_bytes.get() == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_that_wait_count_among_what_all_sockets_hold() {
    let cluster = Cluster::new();
    let gate = Gate::default();
    // A quarter of this may wait.
    let configure = |builder: ws_service::Builder| builder.data(gate).memory(2 << 20);
    let server = cluster.serve_with(1, Limits::default(), configure).await;
    let mut neighbour = cluster.neighbour(&server).await;
    let mut client = cluster.client(&server).await;
    pile_up(&mut client, 3).await;
    assert_eq!(soon(client.ended()).await.code, None);
    let metrics = &server.metrics;
    assert_eq!(metrics.limit_hits("outbox_total_percent"), 1);
    eventually("nothing waits", async || metrics.outbox_bytes.get() == 0).await;
    neighbour.check().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_pings_or_of_answers_to_nothing_is_cut() {
    use wire::ws::client as frames;
    let cluster = Cluster::new();
    let server = cluster.serve(1).await;
    let mut neighbour = cluster.neighbour(&server).await;
    let floods = [frames::ping(b"x"), frames::text("3"), frames::text("439[1]")];
    for frame in floods {
        let mut client = cluster.client(&server).await;
        // The server may have heard enough before all of it is sent.
        let _sent = client.stream.write_all(&frame.repeat(3_000)).await;
        assert_eq!(soon(client.ended()).await.code, Some(4029));
        neighbour.check().await;
    }
    eventually("each is counted", async || server.metrics.limit_hits("frames_per_second") == 3)
        .await;
}
