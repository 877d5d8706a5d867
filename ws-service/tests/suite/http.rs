//! Plain requests, and upgrades that are refused.

use actix_web::web;
use router_core::limits::Limits;
use tokio::{io::AsyncReadExt, net::TcpStream};
use ws_service::Origins;

use crate::{
    MOUNTED,
    client::{Client, KEY, PATH, exchange, request},
    support::{Cluster, Server, eventually, soon},
};

/// The head and the body of the answer to one request.
async fn answer(server: &Server, request: &str) -> (String, String) {
    let mut stream = TcpStream::connect(server.addr()).await.unwrap();
    let (head, mut body) = exchange(&mut stream, request.as_bytes()).await;
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .or_else(|| head.lines().find_map(|line| line.strip_prefix("Content-Length: ")));
    let length: usize = length.map_or(0, |length| length.parse().unwrap());
    while body.len() < length {
        assert_ne!(soon(stream.read_buf(&mut body)).await.unwrap(), 0);
    }
    (head, String::from_utf8(body.to_vec()).unwrap())
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_and_readiness_are_told_apart() {
    let cluster = Cluster::new();
    let server = cluster.serve(1).await;
    let (head, _) = answer(&server, &get("/healthz")).await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    let (head, body) = answer(&server, &get("/readyz")).await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert!(body.contains(r#""ready":true"#), "{body}");
    let (_, body) = answer(&server, &get("/")).await;
    // An App's front page is its own.
    assert_eq!(body, if MOUNTED { "" } else { "Whisk ws/1\n" });
    // A node whose bus is dead lives, and is not ready.
    cluster.hub.cut(true);
    eventually("the bus is found dead", async || !server.handle.is_ready()).await;
    let (head, body) = answer(&server, &get("/readyz")).await;
    assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
    assert!(body.contains(r#""ready":false"#), "{body}");
    let (head, _) = answer(&server, &get("/healthz")).await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    cluster.hub.cut(false);
    eventually("it is ready again", async || server.handle.is_ready()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_may_add_pages() {
    let cluster = Cluster::new();
    let server = cluster
        .serve_with(1, Limits::default(), |builder| {
            if MOUNTED {
                // The App has such a page.
                return builder;
            }
            builder.http(|cfg| {
                cfg.route("/hello", web::get().to(async || "hello"));
            })
        })
        .await;
    assert_eq!(answer(&server, &get("/hello")).await.1, "hello");
    // A connection that had plain requests may upgrade at last.
    let mut stream = TcpStream::connect(server.addr()).await.unwrap();
    let (head, mut body) = exchange(&mut stream, get("/hello").as_bytes()).await;
    assert!(head.starts_with("HTTP/1.1 200 "));
    while body.len() < 5 {
        soon(stream.read_buf(&mut body)).await.unwrap();
    }
    let mut client = Client::open_on(stream, "").await;
    let token = cluster.fresh_token().await;
    client.connect(&token).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_at_the_sockets_path_get_the_reference_servers_errors() {
    let cluster = Cluster::new();
    let server = cluster.serve(1).await;
    // Elsewhere an App answers for itself.
    let nowhere = if MOUNTED { "" } else { "not_found" };
    let cases = [
        (get("/socket.io/?EIO=4&transport=abc"), 400, r#""code":0"#),
        (get("/socket.io/?EIO=4&transport=websocket"), 400, r#""code":3"#),
        (get("/socket.io/"), 400, r#""code":0"#),
        (request("/socket.io/?EIO=3&transport=websocket", ""), 400, r#""code":5"#),
        (request("/socket.io/?EIO=4&transport=polling", ""), 400, r#""code":3"#),
        (request("/socket.io/?EIO=4&transport=websocket&sid=a", ""), 400, r#""code":1"#),
        (request("/elsewhere?EIO=4&transport=websocket", ""), 404, nowhere),
        (request("/?EIO=4&transport=websocket", ""), 404, nowhere),
        (request(PATH, "").replace("Version: 13", "Version: 8"), 426, r#""code":3"#),
        (request(PATH, "").replace(KEY, "short"), 400, r#""code":3"#),
        (request(PATH, "").replace("GET", "POST"), 405, r#""code":3"#),
    ];
    for (request, status, body) in cases {
        let (head, text) = answer(&server, &request).await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{request}\n{head}");
        assert!(text.contains(body), "{request}\n{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_origin_is_refused() {
    let cluster = Cluster::new();
    let ours = "http://127.0.0.1:8888";
    let server = cluster
        .serve_with(1, Limits::default(), |builder| builder.origins(Origins::list([ours])))
        .await;
    let mut neighbour = cluster.neighbour(&server).await;
    for foreign in ["http://127.0.0.1:9999", "https://127.0.0.1:8888", "null"] {
        let (head, body) = answer(&server, &request(PATH, &format!("Origin: {foreign}\r\n"))).await;
        assert!(head.starts_with("HTTP/1.1 403 "), "{head}");
        assert_eq!(body, r#"{"code":4,"message":"Forbidden"}"#);
    }
    let stream = TcpStream::connect(server.addr()).await.unwrap();
    Client::open_on(stream, &format!("Origin: {ours}\r\n")).await;
    neighbour.check().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_behind_the_request_is_not_lost() {
    let cluster = Cluster::new();
    let server = cluster.serve(1).await;
    let token = cluster.fresh_token().await;
    let connect = format!(r#"40{{"ws_token":"{token}"}}"#);
    let mut all = request(PATH, "").into_bytes();
    all.extend_from_slice(&wire::ws::client::text(&connect));
    all.extend_from_slice(&wire::ws::client::text("4")[..3]);
    let mut stream = TcpStream::connect(server.addr()).await.unwrap();
    let (head, mut rest) = exchange(&mut stream, &all).await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    eventually("it is confirmed", async || {
        let read =
            tokio::time::timeout(std::time::Duration::from_millis(5), stream.read_buf(&mut rest));
        let _nothing_yet = read.await;
        rest.windows(17).any(|window| window == b"whisk.auth.accept")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_asked_before_an_upgrade_is_answered_before_it() {
    let cluster = Cluster::new();
    let server = cluster.serve(1).await;
    let mut stream = TcpStream::connect(server.addr()).await.unwrap();
    let before = "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n";
    let both = format!("{before}{}", request(PATH, ""));
    let (first, rest) = exchange(&mut stream, both.as_bytes()).await;
    assert!(first.starts_with("HTTP/1.1 200 "), "{first}");
    let mut all = rest.to_vec();
    while !all.windows(6).any(|window| window == b"0{\"sid") {
        assert_ne!(soon(stream.read_buf(&mut all)).await.unwrap(), 0, "{all:?}");
    }
    let text = String::from_utf8_lossy(&all);
    assert!(text.starts_with("ok\nHTTP/1.1 101 "), "{text}");
    // The same before a refusal.
    let mut stream = TcpStream::connect(server.addr()).await.unwrap();
    let both = format!("{before}{}", request("/elsewhere", ""));
    let (first, rest) = exchange(&mut stream, both.as_bytes()).await;
    assert!(first.starts_with("HTTP/1.1 200 "), "{first}");
    let mut all = rest.to_vec();
    soon(stream.read_to_end(&mut all)).await.unwrap();
    assert!(all.starts_with(b"ok\nHTTP/1.1 404 "), "{all:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upgrade_with_a_body_is_refused() {
    let cluster = Cluster::new();
    let server = cluster.serve(1).await;
    for header in ["Content-Length: 2\r\n", "Transfer-Encoding: chunked\r\n"] {
        let mut stream = TcpStream::connect(server.addr()).await.unwrap();
        let request = format!("{}0\r\n\r\n", request(PATH, header));
        let (head, _) = exchange(&mut stream, request.as_bytes()).await;
        assert!(head.starts_with("HTTP/1.1 400 "), "{header}: {head}");
    }
    let stream = TcpStream::connect(server.addr()).await.unwrap();
    Client::open_on(stream, "Content-Length: 0\r\n").await;
}
