//! The session gate: who opens connections, as what, and for how long.

use std::time::Duration;

use router_core::{
    Args, Routes,
    limits::{Limit, Limits},
    session::UserId,
    socket::{Handshake, Socket},
};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use ws_service::{Admission, Auth, Builder, Refusal, SessionGate};

use crate::{
    client::{Client, KEY, PATH, request},
    http_client::Http,
    support::{Cluster, Server},
};

/// What the gate knows of a visitor.
struct Visitor {
    note: String,
}

/// By the cookie `visitor`; some of the names mean trouble.
async fn gate(request: Handshake) -> Result<Admission, Refusal> {
    let name = request.cookie("visitor").ok_or_else(|| Refusal::forbidden("Log in first."))?;
    match &*name {
        "teapot" => return Err(Refusal::new(418, "I am a teapot.")),
        "hangs" => std::future::pending().await,
        "panics" => panic!("a gate that panics"),
        _ => {}
    }
    let note = format!("{} {:?}", request.query_value("room").unwrap_or("-"), request.origin());
    let admission = Admission::user(UserId::new(name.clone()).unwrap()).with(Visitor { note });
    Ok(if name == "brief" { admission.good_for(Duration::from_millis(400)) } else { admission })
}

fn routes(cfg: &mut Routes) {
    async fn who(socket: Socket) -> Value {
        let visitor = socket.granted::<Visitor>();
        json!([socket.user_id(), visitor.map(|visitor| visitor.note.clone())])
    }
    cfg.route("gate").on("who", who);
}

async fn serve(cluster: &Cluster) -> Server {
    async fn renew(args: Args, _: Handshake) -> Result<Duration, Refusal> {
        match args.first::<Value>() {
            Ok(shown) if shown["token"] == "fresh" => Ok(Duration::from_secs(60)),
            _ => Err(Refusal::forbidden("Not fresh.")),
        }
    }
    let limits = Limits { gate_timeout: Limit::At(Duration::from_millis(50)), ..Limits::default() };
    let configure = |builder: Builder| {
        builder
            .routes(routes)
            .nsp("/", Auth::Open)
            .nsp("/synced", Auth::SessionSync)
            .gate(SessionGate::new(gate).renew(renew))
    };
    cluster.serve_with(1, limits, configure).await
}

async fn open(server: &Server, name: &str) -> Client {
    let stream = TcpStream::connect(server.addr()).await.unwrap();
    Client::open_on(stream, &format!("Cookie: a=b; visitor={name}\r\n")).await
}

async fn connected(server: &Server, name: &str) -> Client {
    let mut client = open(server, name).await;
    client.send("40").await;
    assert!(client.text().await.starts_with("40{"));
    client
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gate_sees_the_request_and_its_words_are_the_sockets_own() {
    let cluster = Cluster::new();
    let server = serve(&cluster).await;
    let stream = TcpStream::connect(server.addr()).await.unwrap();
    let path = format!("{PATH}&room=a%20b");
    let upgrade = request(&path, "Cookie: visitor=ann\r\n");
    let mut client = Client::opened(stream, &upgrade).await;
    client.send("40").await;
    client.text().await;
    assert_eq!(client.ask("gate.who", "").await, json!(["ann", "a%20b None"]));
    // It is on its user's private channel, as the gate says who that is.
    let user = UserId::new("ann").unwrap();
    server.handle.services().channels.user(&user).publish("mail", &1).await.unwrap();
    assert_eq!(client.event("whisk.message").await["channel"], "_user");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_refused_gets_status_and_reason_on_every_transport_and_no_socket() {
    let cluster = Cluster::new();
    let server = serve(&cluster).await;
    for (cookie, status, reason) in [
        ("", 403, "Log in first."),
        ("Cookie: visitor=teapot\r\n", 418, "I am a teapot."),
        ("Cookie: visitor=hangs\r\n", 503, "overloaded"),
        ("Cookie: visitor=panics\r\n", 503, "overloaded"),
    ] {
        let upgrade = format!(
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {KEY}\r\n\
             Sec-WebSocket-Version: 13\r\n{cookie}"
        );
        let polling = "/socket.io/?EIO=4&transport=polling";
        for (path, headers) in [(PATH, &*upgrade), (polling, cookie)] {
            let answer = Http::ask(server.addr(), "GET", path, headers, "").await;
            assert_eq!(answer.status, status);
            assert!(answer.body.contains(reason), "{}", answer.body);
        }
    }
    assert_eq!(server.metrics.connections.get(), 0);
    assert_eq!(server.metrics.unconfirmed.get(), 0);
    assert_eq!(server.metrics.limit_hits("gate_timeout"), 2);
    connected(&server, "bystander").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_polling_session_goes_through_the_gate_once() {
    let cluster = Cluster::new();
    let server = serve(&cluster).await;
    let mut http = Http::connect(server.addr()).await;
    let path = "/socket.io/?EIO=4&transport=polling";
    let opened = http.request("GET", path, "Cookie: visitor=ann\r\n", "").await;
    let path = format!("{path}&sid={}", opened.sid());
    // The session's id is the secret from here on.
    assert_eq!(http.request("POST", &path, "", "40").await.status, 200);
    assert!(http.request("GET", &path, "", "").await.body.starts_with("40{"));
    assert_eq!(http.request("POST", &path, "", r#"420["gate.who"]"#).await.status, 200);
    let answer = http.request("GET", &path, "", "").await.body;
    assert_eq!(answer, r#"430[["ann","- None"]]"#);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_session_sync_a_credential_is_needed_all_the_same_and_of_the_same_user() {
    let cluster = Cluster::new();
    let server = serve(&cluster).await;
    for (user, wanted) in [("ann", "40/synced,{"), ("bob", "44/synced,{")] {
        let session = cluster.session(user).await;
        let token = cluster.token(&session).await;
        let mut client = open(&server, "ann").await;
        client.send(&format!(r#"40/synced,{{"ws_token":"{token}"}}"#)).await;
        let answer = client.text().await;
        assert!(answer.starts_with(wanted), "{user}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_admission_that_runs_out_is_renewed_in_place_or_ends() {
    let cluster = Cluster::new();
    let server = serve(&cluster).await;
    let asked = r#"421["whisk.auth.request",{"for":"admission"}]"#;
    let mut kept = connected(&server, "brief").await;
    assert_eq!(kept.text().await, asked);
    kept.send(r#"431[{"token":"fresh"}]"#).await;
    let mut stale = connected(&server, "brief").await;
    assert_eq!(stale.text().await, asked);
    stale.send(r#"431[{"token":"stale"}]"#).await;
    assert_eq!(stale.ended().await.code, Some(4005));
    let silent = connected(&server, "brief").await;
    assert_eq!(silent.ended().await.code, Some(4005));
    assert_eq!(kept.ask("gate.who", "").await[0], "brief");
}
