//! No sticky sessions: nodes whose clients' requests land anywhere, each on another node than the one
//! before.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use router_core::{
    clock::since_epoch,
    keys::sign,
    limits::{Limit, Limits},
};
use tokio::net::TcpStream;
use ws_service::{Auth, BuildError, Builder, WsService};

use crate::{
    client::{Client, PATH, exchange, request},
    http_client::{Answer, Http, Poller},
    support::{Cluster, Server, eventually, soon},
};

const POLLING: &str = "/socket.io/?EIO=4&transport=polling";

/// A node that passes requests on.
async fn serve_with(cluster: &Cluster, nid: u32, limits: Limits) -> Server {
    let keys = Arc::clone(&cluster.keys);
    let configure = |builder: Builder| {
        builder.nsp("/", Auth::Open).peers(keys).drain_window(Duration::from_secs(2))
    };
    cluster.serve_with(nid, limits, configure).await
}

async fn serve(cluster: &Cluster, nid: u32) -> Server {
    serve_with(cluster, nid, Limits::default()).await
}

/// A session whose every request goes to the next node, on a connection of its own.
struct Wanderer {
    sid: String,
    nodes: Vec<SocketAddr>,
    turn: usize,
}

impl Wanderer {
    /// Begins on the first node, and is connected.
    async fn connected(nodes: &[&Server]) -> Self {
        let nodes: Vec<_> = nodes.iter().map(|node| node.addr()).collect();
        let sid = Http::ask(nodes[0], "GET", POLLING, "", "").await.sid();
        let mut wanderer = Self { sid, nodes, turn: 0 };
        wanderer.post("40").await.ok();
        assert!(wanderer.poll().await.body.starts_with("40{"));
        wanderer
    }

    async fn ask(&mut self, method: &str, body: &str) -> Answer {
        self.turn += 1;
        let node = self.nodes[self.turn % self.nodes.len()];
        let path = format!("{POLLING}&sid={}", self.sid);
        soon(Http::ask(node, method, &path, "", body)).await
    }

    async fn post(&mut self, body: &str) -> Answer {
        self.ask("POST", body).await
    }

    async fn poll(&mut self) -> Answer {
        self.ask("GET", "").await
    }
}

/// The status and the body of the answer to a refused upgrade.
async fn refused(node: &Server, sid: &str) -> (u16, String) {
    let mut http = Http::connect(node.addr()).await;
    http.raw(request(&format!("{PATH}&sid={sid}"), "").as_bytes()).await;
    let answer = soon(http.answer()).await;
    (answer.status, answer.body)
}

/// Moves a session to a WebSocket that arrives at `node`.
async fn upgraded(poller: &mut Poller, node: &Server) -> Client {
    let mut socket = Client::candidate(node.addr(), &poller.sid).await;
    socket.send("2probe").await;
    assert_eq!(socket.text().await, "3probe");
    assert_eq!(poller.poll().await.body, "6");
    socket.send("5").await;
    socket
}

async fn connected(node: &Server) -> Poller {
    let mut poller = Poller::open(node.addr()).await;
    poller.post("40").await.ok();
    poller.packet().await;
    poller
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_request_may_come_to_another_node() {
    let cluster = Cluster::new();
    let nodes = [&serve(&cluster, 1).await, &serve(&cluster, 2).await, &serve(&cluster, 3).await];
    let mut wanderers = Vec::new();
    for first in 0..3 {
        let mut order = nodes;
        order.rotate_left(first);
        wanderers.push(Wanderer::connected(&order).await);
    }
    for number in 0..9 {
        for wanderer in &mut wanderers {
            wanderer.post(&format!("42{number}[\"test.echo\",\"é{number}\"]")).await.ok();
            assert_eq!(wanderer.poll().await.body, format!("43{number}[\"é{number}\"]"));
        }
    }
    // A poll that waits elsewhere is answered by what comes then.
    let mut polls = Vec::new();
    for mut wanderer in wanderers {
        polls.push(tokio::spawn(async move {
            let first = wanderer.poll().await;
            (first.body, wanderer)
        }));
    }
    eventually("the polls wait", async || {
        nodes.iter().map(|node| node.metrics.peer_requests.get()).sum::<u64>() >= 3 * 13 - 6
    })
    .await;
    let bus = nodes[1].handle.services().bus.clone();
    let say = serde_json::json!({ "message": "all" });
    bus.broadcast(router_core::ns("ws"), "world.reply", &say).await.unwrap();
    for poll in polls {
        let (body, mut wanderer) = soon(poll).await.unwrap();
        assert_eq!(body, r#"42["world.reply",{"message":"all"}]"#);
        wanderer.post("1").await.ok();
        assert_eq!(wanderer.poll().await.body, "6");
        wanderer.poll().await.refused(400, 1);
    }
    for node in nodes {
        assert!(node.metrics.peer_requests.get() > 0);
        assert_eq!(node.metrics.peer_failed.get(), 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_websocket_that_comes_to_another_node_is_the_sessions_own() {
    let cluster = Cluster::new();
    let (owner, other) = (serve(&cluster, 1).await, serve(&cluster, 2).await);
    for _ in 0..3 {
        let mut poller = connected(&owner).await;
        let mut socket = upgraded(&mut poller, &other).await;
        assert_eq!(socket.ask("test.echo", "7").await, 7);
        let large = format!("\"{}\"", "x".repeat(200_000));
        assert_eq!(socket.ask("test.echo", &large).await.as_str().unwrap().len(), 200_000);
        let bus = other.handle.services().bus.clone();
        bus.broadcast(router_core::ns("ws"), "world.reply", &1).await.unwrap();
        assert_eq!(socket.event("world.reply").await, 1);
        assert_eq!(other.metrics.peer_tunnels.get(), 1);
        assert_eq!((owner.handle.hub().count(), other.handle.hub().count()), (1, 0));
        // As on the owner itself, its id is of no use any more.
        poller.poll().await.refused(400, 3);
        let second = Client::candidate(other.addr(), &poller.sid).await;
        assert_eq!(soon(second.ended()).await.code, Some(1000));
        drop(socket);
        eventually("the socket is gone", async || owner.handle.hub().count() == 0).await;
        eventually("so is the tunnel", async || other.metrics.peer_tunnels.get() == 0).await;
    }
    // When the owner ends it, the client is told why.
    let mut poller = connected(&owner).await;
    let mut socket = upgraded(&mut poller, &other).await;
    socket.emit("test.kick", "").await;
    let ended = soon(socket.ended()).await;
    assert!(ended.texts.contains(&"41".to_owned()), "{ended:?}");
    assert!(ended.code.is_some(), "{ended:?}");
    eventually("the tunnel is gone", async || other.metrics.peer_tunnels.get() == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sessions_of_a_dead_node_are_unknown_at_once() {
    let cluster = Cluster::new();
    let (other, neighbour) = (serve(&cluster, 2).await, serve(&cluster, 3).await);
    // Killed, so that its lease is still there; and stopped in good order.
    for is_killed in [true, false] {
        let nid = if is_killed { 1 } else { 4 };
        let owner = serve(&cluster, nid).await;
        let mut wanderer = Wanderer::connected(&[&other, &owner]).await;
        wanderer.post("420[\"test.echo\",1]").await.ok();
        let mut lost = Wanderer::connected(&[&owner, &other]).await;
        lost.nodes = vec![other.addr()];
        let mut socket = upgraded(&mut connected(&owner).await, &other).await;
        assert_eq!(socket.ask("test.echo", "7").await, 7);
        let before = other.metrics.peer_requests.get();
        let waiting = tokio::spawn(async move {
            let answer = lost.poll().await;
            (answer, lost)
        });
        eventually("the poll waits", async || other.metrics.peer_requests.get() > before).await;
        if is_killed {
            owner.task.abort();
        } else {
            owner.handle.stop();
        }
        let (answer, mut lost) = soon(waiting).await.unwrap();
        assert!(answer.status == 400 || answer.body.contains("whisk.reconnect"), "{answer:?}");
        let ended = soon(socket.ended()).await;
        assert_eq!(ended.code, if is_killed { None } else { Some(1012) }, "{ended:?}");
        let address = owner.addr();
        if !is_killed {
            soon(owner.task).await.unwrap().unwrap();
        }
        eventually("nobody listens", async || TcpStream::connect(address).await.is_err()).await;
        let asked = Instant::now();
        lost.poll().await.refused(400, 1);
        lost.post("4").await.refused(400, 1);
        let (status, body) = refused(&other, &lost.sid).await;
        assert!(status == 400 && body.contains(r#""code":1"#), "{status} {body}");
        assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
        // Who has his session on a living node goes on.
        wanderer.nodes = vec![other.addr(), neighbour.addr()];
        assert_eq!(wanderer.poll().await.body, "430[1]");
    }
}

/// A line as a node of this cluster would write it, or somebody who has the keys.
fn seal(cluster: &Cluster, method: &str, target: &str) -> String {
    let key = cluster.keys.current();
    let client = IpAddr::from([127, 0, 0, 1]).to_string();
    let at = since_epoch().as_millis().to_string();
    let signature = sign(&key.derive("peer"), &["1", method, target, "3", &client, &at]).unwrap();
    format!("whisk-peer: 1,{},3,{client},{at},{signature}\r\n", key.id())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_is_passed_on_once_and_a_forged_seal_is_nobodys() {
    let cluster = Cluster::new();
    let (owner, other) = (serve(&cluster, 1).await, serve(&cluster, 2).await);
    let mut poller = connected(&owner).await;
    let target = format!("{POLLING}&sid={}", poller.sid);
    let sealed = seal(&cluster, "POST", &target);
    // Whoever sealed it took this node for the owner, which it is not.
    Http::ask(other.addr(), "POST", &target, &sealed, "4").await.refused(400, 1);
    assert_eq!(other.metrics.peer_requests.get(), 0);
    let upgrade = format!("{PATH}&sid={}", poller.sid);
    let mut stream = TcpStream::connect(other.addr()).await.unwrap();
    let sealed = request(&upgrade, &seal(&cluster, "GET", &upgrade));
    let (head, _) = exchange(&mut stream, sealed.as_bytes()).await;
    assert!(head.starts_with("HTTP/1.1 400 "), "{head}");
    // The owner answers whoever asks.
    let sealed = seal(&cluster, "POST", &target);
    let echo = "420[\"test.echo\",1]";
    Http::ask(owner.addr(), "POST", &target, &sealed, echo).await.ok();
    assert_eq!(poller.packet().await, "430[1]");
    // A stranger's seal changes nothing: his request is passed on as any client's.
    for (n, forged) in [
        seal(&Cluster::new(), "POST", &target),
        seal(&cluster, "GET", &target),
        "whisk-peer: 1,test,3,127.0.0.1,0,abc\r\n".to_owned(),
        "whisk-peer: \r\n".to_owned(),
    ]
    .iter()
    .enumerate()
    {
        Http::ask(other.addr(), "POST", &target, forged, echo).await.ok();
        assert_eq!(poller.packet().await, "430[1]");
        assert_eq!(other.metrics.peer_seals_refused.get(), n as u64 + 1, "{forged}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_for_one_node_is_bounded_and_hurts_nobody() {
    let cluster = Cluster::new();
    let limits =
        Limits { peer_requests: Limit::At(3), peer_tunnels: Limit::At(1), ..Limits::default() };
    let (owner, third) = (serve(&cluster, 1).await, serve(&cluster, 3).await);
    let other = serve_with(&cluster, 2, limits).await;
    let mut pollers = Vec::new();
    for _ in 0..5 {
        pollers.push(connected(&owner).await);
    }
    let path = |poller: &Poller| format!("{POLLING}&sid={}", poller.sid);
    let mut waiting = Vec::new();
    for poller in pollers.drain(..3) {
        let (path, addr) = (path(&poller), other.addr());
        waiting.push(tokio::spawn(
            async move { (Http::ask(addr, "GET", &path, "", "").await, poller) },
        ));
    }
    eventually("they wait", async || other.metrics.peer_requests.get() == 3).await;
    let refusal = Http::ask(other.addr(), "GET", &path(&pollers[0]), "", "").await;
    assert_eq!((refusal.status, refusal.header("retry-after")), (503, Some("5")));
    assert_eq!(other.metrics.limit_hits("peer_requests"), 1);
    // Neither the node's own sockets nor another node's are touched, nor is the session.
    let mut own = connected(&other).await;
    own.post("420[\"test.echo\",1]").await.ok();
    assert_eq!(own.packet().await, "430[1]");
    let mut wanderer = Wanderer::connected(&[&third, &other]).await;
    wanderer.post("420[\"test.echo\",1]").await.ok();
    assert_eq!(wanderer.poll().await.body, "430[1]");
    pollers[0].post("420[\"test.echo\",1]").await.ok();
    assert_eq!(pollers[0].packet().await, "430[1]");
    // As soon as they are answered, there is room again.
    owner.handle.services().bus.broadcast(router_core::ns("ws"), "world.reply", &1).await.unwrap();
    for task in waiting {
        assert_eq!(soon(task).await.unwrap().0.status, 200);
    }
    assert_eq!(Http::ask(other.addr(), "GET", &path(&pollers[0]), "", "").await.status, 200);

    let mut socket = upgraded(&mut connected(&owner).await, &other).await;
    let (status, _) = refused(&other, &pollers[0].sid).await;
    assert_eq!(status, 503);
    assert_eq!(other.metrics.limit_hits("peer_tunnels"), 1);
    assert_eq!(socket.ask("test.echo", "7").await, 7);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_session_does_not_take_ends_it_through_any_node() {
    let cluster = Cluster::new();
    let limits = Limits { max_payload: Limit::At(1_000), ..Limits::default() };
    let owner = serve_with(&cluster, 1, limits.clone()).await;
    let other = serve_with(&cluster, 2, limits).await;
    let mut poller = connected(&owner).await;
    let path = format!("{POLLING}&sid={}", poller.sid);
    let large = "4".repeat(1_001);
    assert_eq!(Http::ask(other.addr(), "POST", &path, "", &large).await.status, 413);
    assert_eq!(poller.packet().await, "41");
    let mut wanderer = Wanderer::connected(&[&owner, &other]).await;
    wanderer.post("nonsense").await.refused(400, 3);
    assert_eq!(wanderer.poll().await.body, "41");
    assert_eq!(wanderer.poll().await.body, "1");
    wanderer.poll().await.refused(400, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_goes_lets_its_tunnels_go_within_the_window() {
    let cluster = Cluster::new();
    let (owner, other) = (serve(&cluster, 1).await, serve(&cluster, 2).await);
    let mut sockets = Vec::new();
    for _ in 0..5 {
        let mut socket = upgraded(&mut connected(&owner).await, &other).await;
        assert_eq!(socket.ask("test.echo", "7").await, 7);
        sockets.push(socket);
    }
    let begun = Instant::now();
    other.handle.stop();
    for socket in sockets {
        soon(socket.ended()).await;
    }
    soon(other.task).await.unwrap().unwrap();
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    eventually("the owner knows", async || owner.metrics.connections.get() == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_ends_tls_itself_has_no_peers() {
    let cluster = Cluster::new();
    let spec = router_core::node::NodeSpec::new(router_core::ns("ws").node(1));
    let node = router_core::node::Node::start(spec, cluster.hub.backend()).await.unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(rustls::server::ResolvesServerCertUsingSni::new()));
    let outcome = WsService::builder(node, cluster.confirmer.clone())
        .peers(Arc::clone(&cluster.keys))
        .tls(tls)
        .bind("127.0.0.1:0")
        .unwrap()
        .build();
    assert!(matches!(outcome, Err(BuildError::PeersOverTls)));
}
