//! The move of a polling session to a WebSocket: it comes whole or not at all.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytestring::ByteString;
use router_core::{Args, limits::Limits, socket::Recipients};
use tokio::net::TcpStream;
use wire::ws::Message;
use ws_service::{Auth, Builder};

use crate::{
    client::{Client, PATH, exchange, request},
    http_client::Poller,
    support::{Cluster, Server, eventually, soon},
};

async fn serve_open(cluster: &Cluster) -> Server {
    cluster.serve_with(1, Limits::default(), |builder: Builder| builder.nsp("/", Auth::Open)).await
}

async fn connected(server: &Server) -> Poller {
    let mut poller = Poller::open(server.addr()).await;
    poller.post("40").await.ok();
    poller.packet().await;
    poller
}

/// The head and body of a refused upgrade for this session.
async fn refused(server: &Server, sid: &str) -> String {
    let mut stream = TcpStream::connect(server.addr()).await.unwrap();
    let request = request(&format!("{PATH}&sid={sid}"), "");
    let (head, body) = exchange(&mut stream, request.as_bytes()).await;
    assert!(head.starts_with("HTTP/1.1 400 "), "{head}");
    String::from_utf8(body.to_vec()).unwrap()
}

/// A WebSocket for a session that has one is opened, and closed at once.
async fn turned_away(server: &Server, sid: &str) {
    let socket = Client::candidate(server.addr(), sid).await;
    assert_eq!(socket.ended().await.code, Some(1000));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_polling_session_moves_to_a_websocket() {
    let cluster = Cluster::new();
    let server = serve_open(&cluster).await;
    // Several, so that WebSockets come to threads that do not have the session.
    for _ in 0..4 {
        let mut poller = connected(&server).await;
        let mut socket = Client::candidate(server.addr(), &poller.sid).await;
        socket.send("2probe").await;
        assert_eq!(socket.text().await, "3probe");
        assert_eq!(poller.poll().await.body, "6");
        socket.send("5").await;
        assert_eq!(socket.ask("test.echo", "7").await, 7);
        // Its id is of no use any more.
        poller.poll().await.refused(400, 3);
        poller.post("4").await.refused(400, 3);
        turned_away(&server, &poller.sid).await;
        assert_eq!(socket.ask("test.echo", "8").await, 8);
        drop(socket);
    }
    eventually("all are gone", async || server.metrics.connections.get() == 0).await;
    eventually("nothing waits", async || server.metrics.outbox_bytes.get() == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_poll_that_waits_is_let_go_when_the_probe_comes() {
    let cluster = Cluster::new();
    let server = serve_open(&cluster).await;
    let mut poller = connected(&server).await;
    let mut socket = Client::candidate(server.addr(), &poller.sid).await;
    let poll = tokio::spawn(async move { poller.poll().await.body });
    socket.send("2probe").await;
    assert_eq!(socket.text().await, "3probe");
    assert_eq!(soon(poll).await.unwrap(), "6");
    socket.send("5").await;
    assert_eq!(socket.ask("test.echo", "7").await, 7);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_doubled_or_reordered_by_the_move() {
    let cluster = Cluster::new();
    let server = serve_open(&cluster).await;
    let stop = Arc::new(AtomicBool::new(false));
    let mut pollers = Vec::new();
    for _ in 0..8 {
        pollers.push(connected(&server).await);
    }
    // Numbers for everybody, without a pause.
    let (hub, stopped) = (server.handle.hub(), Arc::clone(&stop));
    let emitting = tokio::spawn(async move {
        let mut number = 0_u32;
        while !stopped.load(Ordering::Relaxed) {
            let args = Args::one(&number).unwrap();
            let event = ByteString::from_static("n");
            hub.emit(Recipients::Nsp("/".into()), event, args).await.unwrap();
            number += 1;
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
        number
    });
    let mut moving = Vec::new();
    for poller in pollers {
        moving.push(tokio::spawn(move_in_the_stream(poller, server.addr())));
    }
    let mut sockets = Vec::new();
    for task in moving {
        sockets.push(soon(task).await.unwrap());
    }
    stop.store(true, Ordering::Relaxed);
    let last = emitting.await.unwrap();
    for (mut socket, mut seen) in sockets {
        while seen.len() < last as usize {
            seen.extend(number(&socket.text().await));
        }
        assert!(seen.iter().copied().eq(0..last), "{seen:?}");
    }
}

/// Moves as the official client does: polls on until the probe is answered, lets the last poll end,
/// and goes. Returns the numbers that came by then.
async fn move_in_the_stream(
    mut poller: Poller,
    address: std::net::SocketAddr,
) -> (Client, Vec<u32>) {
    let mut socket = Client::candidate(address, &poller.sid).await;
    let probed = Arc::new(AtomicBool::new(false));
    let is_probed = Arc::clone(&probed);
    let polling = tokio::spawn(async move {
        let mut seen = Vec::new();
        while !is_probed.load(Ordering::Relaxed) {
            let answer = poller.poll().await;
            assert_eq!(answer.status, 200, "{answer:?}");
            seen.extend(answer.body.split('\u{1e}').filter_map(number));
        }
        seen
    });
    socket.send("2probe").await;
    assert_eq!(socket.text().await, "3probe");
    probed.store(true, Ordering::Relaxed);
    let mut seen = polling.await.unwrap();
    socket.send("5").await;
    for _ in 0..100 {
        seen.extend(number(&socket.text().await));
    }
    (socket, seen)
}

fn number(packet: &str) -> Option<u32> {
    packet.strip_prefix(r#"42["n","#)?.strip_suffix(']')?.parse().ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_before_and_after_the_move_run_in_order() {
    let cluster = Cluster::new();
    let server = serve_open(&cluster).await;
    let mut poller = connected(&server).await;
    let mut socket = Client::candidate(server.addr(), &poller.sid).await;
    socket.send("2probe").await;
    socket.text().await;
    for number in 0..5 {
        poller.post(&format!("42[\"test.ordered\",{number}]")).await.ok();
    }
    // With `5`, in one write.
    let mut bytes = wire::ws::client::text("5").to_vec();
    for number in 5..10 {
        let text = format!("42[\"test.ordered\",{number}]");
        bytes.extend_from_slice(&wire::ws::client::text(&text));
    }
    socket.raw(&bytes).await;
    eventually("all ran", async || server.notes.all().len() == 20).await;
    let ran: Vec<String> =
        (0..10).flat_map(|n| [format!("begin {n}"), format!("end {n}")]).collect();
    assert_eq!(server.notes.all(), ran);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_probe_that_fails_leaves_the_session_where_it_was() {
    let cluster = Cluster::new();
    let server = serve_open(&cluster).await;
    let mut poller = connected(&server).await;
    for said in [&["2probe", "4hello"][..], &["5"], &["2"], &["x"], &["2probe", "1"]] {
        let mut socket = Client::candidate(server.addr(), &poller.sid).await;
        // One at a time.
        turned_away(&server, &poller.sid).await;
        for text in said {
            socket.send(text).await;
            if *text == "2probe" {
                assert_eq!(socket.text().await, "3probe");
            }
        }
        assert_eq!(soon(socket.message()).await, None, "{said:?}");
        poller.post("420[\"test.echo\",1]").await.ok();
        while poller.packet().await != "430[1]" {}
    }
    let mut silent = Client::candidate(server.addr(), &poller.sid).await;
    silent.send("2probe").await;
    drop(silent);
    // And it may still move, as soon as the last one is seen to be gone.
    let mut socket = soon(async {
        loop {
            let mut socket = Client::candidate(server.addr(), &poller.sid).await;
            socket.send("2probe").await;
            if socket.message().await == Some(Message::Text("3probe".into())) {
                return socket;
            }
        }
    })
    .await;
    socket.send("5").await;
    assert_eq!(socket.ask("test.echo", "7").await, 7);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_ends_while_its_client_moves_says_so_on_the_websocket() {
    let cluster = Cluster::new();
    let server = serve_open(&cluster).await;
    for (event, said) in [("test.kick", &["41", "1"][..]), ("test.cut", &["1"])] {
        let mut poller = connected(&server).await;
        let mut socket = Client::candidate(server.addr(), &poller.sid).await;
        socket.send("2probe").await;
        assert_eq!(socket.text().await, "3probe");
        assert_eq!(poller.poll().await.body, "6");
        // From here on the official client asks no more, but may say something still.
        poller.post(&format!("42[\"{event}\"]")).await.ok();
        socket.send("5").await;
        let ended = socket.ended().await;
        assert_eq!(ended.texts, said);
        assert!(ended.code.is_some());
        poller.poll().await.refused(400, 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_websocket_for_no_session_is_refused() {
    let cluster = Cluster::new();
    let server = serve_open(&cluster).await;
    let mut neighbour = connected(&server).await;
    let sid = neighbour.sid.clone();
    for foreign in
        [format!("2{}", &sid[1..]), "x".to_owned(), format!("{}A", &sid[..sid.len() - 1])]
    {
        let body = refused(&server, &foreign).await;
        assert!(foreign == sid || body.contains(r#""code":1"#), "{foreign} {body}");
    }
    neighbour.post("420[\"test.echo\",1]").await.ok();
    assert_eq!(neighbour.packet().await, "430[1]");
}
