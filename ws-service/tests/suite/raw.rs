//! Bare Engine.IO: the transports without Socket.IO inside.

use router_core::limits::Limits;
use wire::ws::{Message, client};
use ws_service::{Builder, EngineMessage};

use crate::{
    client::Client,
    http_client::{Answer, Http},
    support::{Cluster, Server, eventually},
};

const BARE: &str = "/bare/?EIO=4&transport=";

/// A bare service that sends back what it gets, closes on "bye", and panics on "panic".
async fn serve_bare(cluster: &Cluster) -> Server {
    let configure = |builder: Builder| {
        builder.path("/bare/").raw(|message, reply| {
            if message == EngineMessage::Text("panic".into()) {
                panic!("a handler's own fault");
            }
            let last = message == EngineMessage::Text("bye".into());
            reply.send(message);
            if last {
                reply.close();
            }
        })
    };
    cluster.serve_with(1, Limits::default(), configure).await
}

async fn ask(server: &Server, method: &str, query: &str, body: &str) -> Answer {
    Http::ask(server.addr(), method, &format!("{BARE}{query}"), "", body).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn text_and_binary_come_back_on_both_transports() {
    let cluster = Cluster::new();
    let server = serve_bare(&cluster).await;
    let sid = ask(&server, "GET", "polling", "").await.sid();
    let session = format!("polling&sid={sid}");
    ask(&server, "POST", &session, "4hello\u{1e}bAQID\u{1e}40").await.ok();
    assert_eq!(ask(&server, "GET", &session, "").await.body, "4hello\u{1e}bAQID\u{1e}40");

    let mut socket = Client::open_at(server.addr(), &format!("{BARE}websocket")).await;
    socket.send("4hello").await;
    assert_eq!(socket.text().await, "4hello");
    socket.raw(&client::binary(&[1, 2, 3])).await;
    assert_eq!(socket.message().await, Some(Message::Binary(vec![1, 2, 3].into())));
    socket.send("4bye").await;
    let ended = socket.ended().await;
    assert_eq!((ended.texts, ended.code), (vec!["4bye".to_owned()], Some(1000)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_that_panics_ends_its_own_session_alone() {
    let cluster = Cluster::new();
    let server = serve_bare(&cluster).await;
    let path = format!("{BARE}websocket");
    let mut neighbour = Client::open_at(server.addr(), &path).await;
    let mut socket = Client::open_at(server.addr(), &path).await;
    socket.send("4panic").await;
    assert_eq!(socket.ended().await.code, Some(1011));
    neighbour.send("4alive").await;
    assert_eq!(neighbour.text().await, "4alive");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bare_session_holds_no_place_among_the_unconfirmed() {
    let cluster = Cluster::new();
    let server = serve_bare(&cluster).await;
    let most = Limits::default().unconfirmed_per_address.get().unwrap();
    let mut sockets = Vec::new();
    for _ in 0..=most {
        sockets.push(Client::open_at(server.addr(), &format!("{BARE}websocket")).await);
    }
    let all = most as i64 + 1;
    eventually("all are open", async || server.metrics.connections.get() == all).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_usual_path_is_nowhere_then() {
    let cluster = Cluster::new();
    let server = serve_bare(&cluster).await;
    let answer =
        Http::ask(server.addr(), "GET", "/socket.io/?EIO=4&transport=polling", "", "").await;
    assert_eq!(answer.status, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_poller_that_is_sent_away_hears_the_close() {
    let cluster = Cluster::new();
    let server = serve_bare(&cluster).await;
    let sid = ask(&server, "GET", "polling", "").await.sid();
    let session = format!("polling&sid={sid}");
    ask(&server, "POST", &session, "4bye").await;
    let mut heard = ask(&server, "GET", &session, "").await.body;
    if heard == "4bye" {
        heard = ask(&server, "GET", &session, "").await.body;
    }
    assert!(heard.ends_with('1'), "{heard}");
    ask(&server, "GET", &session, "").await.refused(400, 1);
}
