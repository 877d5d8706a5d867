//! Long-polling in raw HTTP: the handshake, polls and posts, what ends a session, and the rules for
//! pages of other origins.

use std::time::Duration;

use bytestring::ByteString;
use router_core::{
    Args,
    limits::{Limit, Limits},
    socket::Recipients,
};
use tokio::net::TcpSocket;
use ws_service::{Auth, Builder, Origins};

use crate::{
    bounds::kernel_has,
    client::Client,
    http_client::{Http, Poller},
    support::{Cluster, Server, eventually, soon},
};

const PATH: &str = "/socket.io/?EIO=4&transport=polling";

fn open(builder: Builder) -> Builder {
    builder.nsp("/", Auth::Open)
}

async fn serve_open(cluster: &Cluster, limits: Limits) -> Server {
    cluster.serve_with(1, limits, open).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_opens_with_the_keys_of_the_protocol() {
    let cluster = Cluster::new();
    let server = cluster.serve(1).await;
    let answer = Http::ask(server.addr(), "GET", PATH, "", "").await;
    assert_eq!(answer.status, 200);
    let json: serde_json::Map<_, _> = serde_json::from_str(&answer.body[1..]).unwrap();
    let keys: Vec<_> = json.keys().map(String::as_str).collect();
    assert_eq!(keys, ["maxPayload", "pingInterval", "pingTimeout", "sid", "upgrades"]);
    assert_eq!(json["upgrades"], serde_json::json!(["websocket"]));
    assert_eq!(json["maxPayload"], 256 * 1024);
    assert!(json["sid"].as_str().unwrap().starts_with("1."));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_polling_socket_is_confirmed_and_does_all_that_a_websocket_does() {
    let cluster = Cluster::new();
    let server = cluster.serve(1).await;
    let mut neighbour = cluster.neighbour(&server).await;
    // Several, so that requests come to threads that do not have the session.
    for _ in 0..4 {
        let token = cluster.fresh_token().await;
        let mut poller = Poller::open(server.addr()).await;
        poller.post(&format!(r#"40{{"ws_token":"{token}"}}"#)).await.ok();
        assert!(poller.packet().await.starts_with(r#"40{"sid":"#));
        assert!(poller.packet().await.starts_with(r#"42["whisk.auth.accept","#));
        poller.post("421[\"test.echo\",{\"a\":\"é\"}]\u{1e}422[\"test.echo\",2]").await.ok();
        assert_eq!(poller.packet().await, r#"431[{"a":"é"}]"#);
        assert_eq!(poller.packet().await, "432[2]");
        // A poll that waits is answered by what comes then.
        let waiting = tokio::spawn(async move {
            loop {
                let packet = poller.packet().await;
                if packet.contains("neighbour.tick") {
                    return packet;
                }
            }
        });
        neighbour.check().await;
        soon(waiting).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_heartbeat_goes_over_polls_and_posts() {
    let cluster = Cluster::new();
    let configure = |builder: Builder| {
        let beat = Duration::from_millis(200);
        open(builder).ping_interval(beat).ping_timeout(beat)
    };
    let server = cluster.serve_with(1, Limits::default(), configure).await;
    let mut poller = Poller::open(server.addr()).await;
    poller.post("40").await.ok();
    poller.packet().await;
    for _ in 0..3 {
        assert_eq!(poller.packet().await, "2");
        poller.post("3").await.ok();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_nobody_polls_is_gone_when_its_heartbeat_is_over() {
    let cluster = Cluster::new();
    let limits = Limits { confirm_timeout: Limit::Off, ..Limits::default() };
    let (interval, timeout) = (Duration::from_millis(300), Duration::from_millis(200));
    let configure = |builder: Builder| open(builder).ping_interval(interval).ping_timeout(timeout);
    let server = cluster.serve_with(1, limits, configure).await;
    // To the millisecond, though timers are only looked at now and then. Where the machine itself
    // came late, the session is given its whole time from then on, and another is tried.
    let mut answer = None;
    for _ in 0..5 {
        let mut poller = Poller::open(server.addr()).await;
        tokio::time::sleep(interval + timeout).await;
        let polled = answer.insert(poller.poll().await);
        if polled.status != 200 {
            break;
        }
    }
    answer.unwrap().refused(400, 1);
    eventually("it is forgotten", async || server.metrics.connections.get() == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn abandoned_sessions_give_everything_back() {
    let cluster = Cluster::new();
    let limits = Limits {
        unconfirmed_per_address: Limit::Off,
        confirm_timeout: Limit::At(Duration::from_millis(300)),
        ..Limits::default()
    };
    let server = serve_open(&cluster, limits).await;
    let mut neighbour = Poller::open(server.addr()).await;
    neighbour.post("40").await.ok();
    neighbour.packet().await;
    let mut sids = Vec::new();
    let mut http = Http::connect(server.addr()).await;
    for _ in 0..300 {
        let answer = http.request("GET", PATH, "", "").await;
        sids.push(answer.sid());
    }
    eventually("all are reaped", async || server.metrics.connections.get() == 1).await;
    assert_eq!(server.metrics.unconfirmed.get(), 0);
    eventually("nothing waits", async || server.metrics.outbox_bytes.get() == 0).await;
    for sid in sids.iter().step_by(50) {
        http.request("GET", &format!("{PATH}&sid={sid}"), "", "").await.refused(400, 1);
    }
    neighbour.post("420[\"test.echo\",1]").await.ok();
    assert_eq!(neighbour.packet().await, "430[1]");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_polls_at_once_end_the_session() {
    let cluster = Cluster::new();
    let server = serve_open(&cluster, Limits::default()).await;
    for _ in 0..4 {
        let mut poller = Poller::open(server.addr()).await;
        poller.post("40").await.ok();
        poller.packet().await;
        let sid = poller.sid.clone();
        let first = tokio::spawn(async move { poller.poll().await });
        let path = format!("{PATH}&sid={sid}");
        // The second is whichever comes later.
        let second = Http::ask(server.addr(), "GET", &path, "", "").await;
        let first = soon(first).await.unwrap();
        let mut both = [first, second];
        both.sort_by_key(|answer| answer.status);
        assert_eq!((both[0].status, both[0].body.as_str()), (200, "1"));
        both[1].refused(400, 3);
        Http::ask(server.addr(), "GET", &path, "", "").await.refused(400, 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_poll_ends_the_session() {
    let cluster = Cluster::new();
    let server = serve_open(&cluster, Limits::default()).await;
    let mut poller = Poller::open(server.addr()).await;
    poller.post("40").await.ok();
    poller.packet().await;
    let mut http = Http::connect(server.addr()).await;
    http.send("GET", &format!("{PATH}&sid={}", poller.sid), "", "").await;
    drop(http);
    eventually("the transport is broken", async || server.metrics.connections.get() == 0).await;
    poller.poll().await.refused(400, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_goodbye_of_a_client_lets_its_poll_go() {
    let cluster = Cluster::new();
    let server = serve_open(&cluster, Limits::default()).await;
    for _ in 0..4 {
        let mut poller = Poller::open(server.addr()).await;
        poller.post("40").await.ok();
        poller.packet().await;
        let sid = poller.sid.clone();
        let poll = tokio::spawn(async move { poller.poll().await });
        let path = format!("{PATH}&sid={sid}");
        Http::ask(server.addr(), "POST", &path, "", "1").await.ok();
        assert_eq!(soon(poll).await.unwrap().body, "6");
        Http::ask(server.addr(), "GET", &path, "", "").await.refused(400, 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_body_ends_its_session_and_no_other() {
    let cluster = Cluster::new();
    let server = serve_open(&cluster, Limits::default()).await;
    let mut neighbour = Poller::open(server.addr()).await;
    neighbour.post("40").await.ok();
    neighbour.packet().await;
    let bodies: [&[u8]; 8] = [
        b"abc",
        b"",
        b"4a\x1e",
        b"b???",
        b"\xff\xfe",
        b"2",
        b"0{}",
        b"451-[\"a\",{\"_placeholder\":true,\"num\":7}]\x1eb",
    ];
    for body in bodies {
        let mut poller = Poller::open(server.addr()).await;
        poller.post_bytes(body).await.refused(400, 3);
        poller.poll().await.refused(400, 1);
    }
    neighbour.post("420[\"test.echo\",1]").await.ok();
    assert_eq!(neighbour.packet().await, "430[1]");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_over_the_bound_is_refused_from_its_length_and_while_it_is_read() {
    let cluster = Cluster::new();
    let limits = Limits { max_payload: Limit::At(1000), ..Limits::default() };
    let server = serve_open(&cluster, limits).await;
    let mut poller = Poller::open(server.addr()).await;
    poller.post("40").await.ok();
    poller.packet().await;
    poller.post(&format!("420[\"test.echo\",\"{}\"]", "x".repeat(900))).await.ok();
    assert_eq!(poller.packet().await.len(), "430[\"\"]".len() + 900);
    let path = format!("{PATH}&sid={}", poller.sid);
    let mut http = Http::connect(server.addr()).await;
    // Nothing of the body is sent.
    http.raw(format!("POST {path} HTTP/1.1\r\nHost: t\r\nContent-Length: 1001\r\n\r\n").as_bytes())
        .await;
    assert_eq!(soon(http.answer()).await.status, 413);
    assert_eq!(poller.packet().await, "41");

    let mut poller = Poller::open(server.addr()).await;
    let path = format!("{PATH}&sid={}", poller.sid);
    let mut http = Http::connect(server.addr()).await;
    let head = format!("POST {path} HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n");
    http.raw(head.as_bytes()).await;
    for _ in 0..3 {
        let chunk = format!("190\r\n{}\r\n", "4".repeat(0x190));
        http.raw(chunk.as_bytes()).await;
    }
    assert_eq!(soon(http.answer()).await.status, 413);
    poller.poll().await.refused(400, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_do_not_fit_get_the_reference_servers_errors() {
    let cluster = Cluster::new();
    let server = serve_open(&cluster, Limits::default()).await;
    let poller = Poller::open(server.addr()).await;
    let sid = &poller.sid;
    let foreign = format!("2{}", &sid[1..]);
    let other_life = sid.replacen('.', ".1", 1);
    let other_shard = sid.split('.').collect::<Vec<_>>();
    let no_shard = format!("{}.{}.ff.{}", other_shard[0], other_shard[1], other_shard[3]);
    let cases = [
        ("GET", "/socket.io/?EIO=3&transport=polling".to_owned(), 5),
        ("GET", "/socket.io/?transport=polling".to_owned(), 5),
        ("GET", "/socket.io/?EIO=4".to_owned(), 0),
        ("POST", PATH.to_owned(), 2),
        ("PUT", PATH.to_owned(), 2),
        ("PUT", format!("{PATH}&sid={sid}"), 3),
        ("GET", format!("/socket.io/?EIO=4&transport=websocket&sid={sid}"), 3),
        ("GET", format!("{PATH}&sid=abc"), 1),
        ("GET", format!("{PATH}&sid={sid}x"), 1),
        ("GET", format!("{PATH}&sid={foreign}"), 1),
        ("GET", format!("{PATH}&sid={other_life}"), 1),
        ("GET", format!("{PATH}&sid={no_shard}"), 1),
        ("POST", format!("{PATH}&sid={foreign}"), 1),
    ];
    for (method, path, code) in cases {
        let answer = Http::ask(server.addr(), method, &path, "", "").await;
        answer.refused(400, code);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_of_listed_origins_may_poll_and_others_may_not() {
    let cluster = Cluster::new();
    let ours = "https://chat.example";
    let configure = |builder: Builder| open(builder).origins(Origins::list([ours]));
    let server = cluster.serve_with(1, Limits::default(), configure).await;
    let addr = server.addr();
    let header = format!("Origin: {ours}\r\n");
    let wanted = format!(
        "{header}Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: x-mine\r\n"
    );
    let preflight = Http::ask(addr, "OPTIONS", PATH, &wanted, "").await;
    assert_eq!(preflight.status, 204);
    assert_eq!(preflight.header("access-control-allow-headers"), Some("x-mine"));
    assert_eq!(preflight.header("access-control-allow-methods"), Some("GET, POST"));
    let opened = Http::ask(addr, "GET", PATH, &header, "").await;
    let path = format!("{PATH}&sid={}", opened.sid());
    let posted = Http::ask(addr, "POST", &path, &header, "40").await;
    for answer in [preflight, opened, posted] {
        assert_eq!(answer.header("access-control-allow-origin"), Some(ours));
        assert_eq!(answer.header("access-control-allow-credentials"), Some("true"));
        assert_eq!(answer.header("vary"), Some("Origin"));
    }
    for (method, body) in [("OPTIONS", ""), ("GET", ""), ("POST", "41")] {
        let foreign = "Origin: https://chat.example.evil\r\n";
        let answer = Http::ask(addr, method, &path, foreign, body).await;
        answer.refused(403, 4);
        assert_eq!(answer.header("access-control-allow-origin"), None);
    }
    // The foreign page did nothing to the session; a client that is no browser goes on with it.
    Http::ask(addr, "POST", &path, "", "420[\"test.echo\",1]").await.ok();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_server_admits_every_page_without_its_cookies() {
    let cluster = Cluster::new();
    let configure = |builder: Builder| open(builder).origins(Origins::any());
    let server = cluster.serve_with(1, Limits::default(), configure).await;
    let answer = Http::ask(server.addr(), "GET", PATH, "Origin: http://a\r\n", "").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    assert_eq!(answer.header("access-control-allow-credentials"), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_poller_that_stays_away_is_slow() {
    let cluster = Cluster::new();
    let limits = Limits {
        outbox_stall: Limit::At(Duration::from_millis(200)),
        outbox_hard: Limit::At(64 << 20),
        ..Limits::default()
    };
    let server = serve_open(&cluster, limits).await;
    let mut poller = Poller::open(server.addr()).await;
    let mut neighbour = Poller::open(server.addr()).await;
    for poller in [&mut poller, &mut neighbour] {
        poller.post("40").await.ok();
        poller.packet().await;
    }
    poller.post("420[\"test.echo\",1]").await.ok();
    eventually("it is slow", async || server.metrics.limit_hits("outbox_stall") == 1).await;
    poller.poll().await.refused(400, 1);
    neighbour.post("420[\"test.echo\",1]").await.ok();
    assert_eq!(neighbour.packet().await, "430[1]");
    eventually("nothing waits", async || server.metrics.outbox_bytes.get() == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_for_a_poller_is_bounded_by_bytes() {
    let cluster = Cluster::new();
    let limits = Limits { outbox_hard: Limit::At(10_000), ..Limits::default() };
    let server = serve_open(&cluster, limits).await;
    let mut poller = Poller::open(server.addr()).await;
    poller.post("40").await.ok();
    poller.packet().await;
    let big = format!("420[\"test.echo\",\"{}\"]", "x".repeat(6_000));
    poller.post(&big).await.ok();
    // The answer to this one has no room; whether the post still is fine is a matter of time.
    poller.post(&big).await;
    eventually("it is cut", async || server.metrics.limit_hits("outbox_hard") == 1).await;
    eventually("it is gone", async || server.metrics.connections.get() == 0).await;
    poller.poll().await.refused(400, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn last_words_reach_a_poller_that_is_sent_away() {
    let cluster = Cluster::new();
    let server = serve_open(&cluster, Limits::default()).await;
    let mut poller = Poller::open(server.addr()).await;
    poller.post("40").await.ok();
    poller.packet().await;
    poller.post("42[\"test.kick\"]").await.ok();
    // In answers of their own: official clients close before they look at what came together.
    assert_eq!(poller.poll().await.body, "41");
    assert_eq!(poller.poll().await.body, "1");
    poller.poll().await.refused(400, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_crosses_a_disconnect_fails_for_no_poller() {
    let cluster = Cluster::new();
    let server = serve_open(&cluster, Limits::default()).await;
    let mut poller = Poller::open(server.addr()).await;
    poller.post("40").await.ok();
    poller.packet().await;
    poller.post("42[\"test.kick\"]").await.ok();
    poller.post("42[\"test.echo\",1]").await.ok();
    assert_eq!(poller.poll().await.body, "41");
    poller.post("1").await.ok();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_closed_under_a_socket_may_come_back() {
    let cluster = Cluster::new();
    let server = serve_open(&cluster, Limits::default()).await;
    let mut poller = Poller::open(server.addr()).await;
    poller.post("40").await.ok();
    poller.packet().await;
    poller.post("42[\"test.cut\"]").await.ok();
    // Also when nobody was asking at that moment. An error would look as if something had failed.
    assert_eq!(poller.poll().await.body, "1");
    poller.poll().await.refused(400, 1);
    let mut socket = Client::open(server.addr()).await;
    socket.send("40").await;
    socket.text().await;
    socket.send("42[\"test.cut\"]").await;
    let ended = socket.ended().await;
    assert_eq!((ended.texts.len(), ended.code), (0, Some(4000)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_draining_node_sends_pollers_away_and_takes_no_new_ones() {
    let cluster = Cluster::new();
    let configure = |builder: Builder| open(builder).drain_window(Duration::from_millis(500));
    let server = cluster.serve_with(1, Limits::default(), configure).await;
    let mut poller = Poller::open(server.addr()).await;
    poller.post("40").await.ok();
    poller.packet().await;
    server.handle.stop();
    assert!(poller.packet().await.starts_with(r#"42["whisk.reconnect",{"after_ms":"#));
    assert_eq!(poller.packet().await, "1");
    soon(server.task).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_poller_that_stops_reading_is_gone_from_the_kernel() {
    let cluster = Cluster::new();
    let configure = |builder: Builder| open(builder).ping_timeout(Duration::from_millis(500));
    let server = cluster.serve_with(1, Limits::default(), configure).await;
    let mut neighbour = Poller::open(server.addr()).await;
    neighbour.post("40").await.ok();
    neighbour.packet().await;
    let mut poller = Poller::open(server.addr()).await;
    poller.post("40/x,").await.ok();
    poller.packet().await;
    poller.post("40").await.ok();
    poller.packet().await;

    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let stream = socket.connect(server.addr()).await.unwrap();
    let peer = stream.local_addr().unwrap();
    let mut stuck = Http::on(stream);
    stuck.send("GET", &format!("{PATH}&sid={}", poller.sid), "", "").await;
    // Alone in the outbox it may be over the bound; it is more than the kernel holds.
    let args = Args::one(&"x".repeat(16 << 20)).unwrap();
    let event = ByteString::from_static("big");
    server.handle.hub().emit(Recipients::Nsp("/".into()), event, args).await.unwrap();
    assert!(kernel_has(server.addr(), peer));
    eventually("the kernel gave it up", async || !kernel_has(server.addr(), peer)).await;
    assert!(neighbour.packet().await.len() > 16 << 20);
    neighbour.post("420[\"test.echo\",1]").await.ok();
    assert_eq!(neighbour.packet().await, "430[1]");
}
