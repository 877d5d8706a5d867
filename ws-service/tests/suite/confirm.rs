//! Both handshakes, and every way not to be confirmed.

use std::time::Duration;

use bytestring::ByteString;
use router_core::{
    ConfirmFailure, Data, Routes, TenantId,
    keys::{Key, KeyRing},
    limits::{Limit, Limits},
    ns,
    route::Hook,
    session::{Confirmer, ENDED_EVENT, Ended, SessionSettings},
    socket::{DisconnectReason, Socket},
};
use serde_json::json;

use crate::{
    client::{Client, code},
    support::{Cluster, Notes, eventually},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_in_the_connect_is_confirmed_before_the_answer() {
    let cluster = Cluster::new();
    let server = cluster.serve(3).await;
    let mut client = Client::open(server.addr()).await;
    let token = cluster.fresh_token().await;
    client.send(&format!(r#"40{{"ws_token":"{token}"}}"#)).await;
    let connect = client.text().await;
    let sid: serde_json::Value = serde_json::from_str(&connect[2..]).unwrap();
    let accept = client.event("whisk.auth.accept").await;
    assert_eq!(accept["success"], true);
    assert_eq!(accept["user_id"], "7");
    assert_eq!(accept["address"], format!("ws/3/{}", sid["sid"].as_str().unwrap()));
    assert!(accept["resume"].as_str().unwrap().len() > 20);
    assert_eq!(client.ask("test.who", "").await, "7");
    assert_eq!(server.handle.hub().count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connect_without_a_token_is_asked_for_one() {
    let cluster = Cluster::new();
    let server = cluster.serve(0).await;
    let mut client = Client::open(server.addr()).await;
    client.send("40").await;
    assert!(client.text().await.starts_with("40{\"sid\":"));
    assert_eq!(client.text().await, r#"420["whisk.auth.request",{}]"#);
    let token = cluster.fresh_token().await;
    client.send(&format!(r#"430[{{"ws_token":"{token}"}}]"#)).await;
    let accept = client.event("whisk.auth.accept").await;
    assert_eq!(accept["success"], true);
    assert_eq!(client.ask("test.who", "").await, "7");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forged_token_is_refused_and_the_client_stays_away() {
    let cluster = Cluster::new();
    let server = cluster.serve(1).await;
    let mut neighbour = cluster.neighbour(&server).await;
    let other_keys = KeyRing::new(Key::random("test").unwrap(), None).unwrap();
    let sessions = cluster.confirmer.sessions().clone();
    let forger = Confirmer::new(sessions, cluster.hub.backend().tokens, other_keys.into());
    let sid = cluster.session("7").await;
    let (forged, _) = forger.issue(&sid).await.unwrap();

    let mut shown = Client::open(server.addr()).await;
    shown.send(&format!(r#"40{{"ws_token":"{forged}"}}"#)).await;
    let ended = shown.ended().await;
    assert_eq!(ended.code, Some(4101));
    let refusal =
        r#"44{"message":"Session confirmation failed.","data":{"code":"session_refused"}}"#;
    assert_eq!(ended.texts, [refusal]);

    let mut asked = Client::open(server.addr()).await;
    asked.send("40").await;
    asked.text().await;
    asked.text().await;
    asked.send(&format!(r#"430[{{"ws_token":"{forged}"}}]"#)).await;
    let ended = asked.ended().await;
    assert_eq!(ended.code, Some(4101));
    let error = r#"42["whisk.auth.error",{"error":{"code":"session_refused","message":"Session confirmation failed."}}]"#;
    assert_eq!(ended.texts, [error, "41"]);
    neighbour.check().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_used_a_hundred_times_at_once_on_two_nodes_admits_one() {
    let cluster = Cluster::new();
    let limits = || Limits::default().rates_and_numbers_off();
    let one = cluster.serve_with(1, limits(), |builder| builder).await;
    let two = cluster.serve_with(2, limits(), |builder| builder).await;
    let mut neighbour = cluster.neighbour(&one).await;
    let token = cluster.fresh_token().await;
    let tries = (0..100).map(|n| {
        let address = if n % 2 == 0 { one.addr() } else { two.addr() };
        let connect = format!(r#"40{{"ws_token":"{token}"}}"#);
        tokio::spawn(async move {
            let mut client = Client::open(address).await;
            client.send(&connect).await;
            client.text().await
        })
    });
    let mut admitted = 0;
    for answer in tries.collect::<Vec<_>>() {
        let answer = answer.await.unwrap();
        match answer.starts_with("40") {
            true => admitted += 1,
            false => assert!(answer.contains("session_refused"), "{answer}"),
        }
    }
    assert_eq!(admitted, 1);
    neighbour.check().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_token_is_refused_like_a_wrong_one() {
    let settings =
        SessionSettings { token_ttl: Duration::from_secs(1), ..SessionSettings::default() };
    let cluster = Cluster::with(settings);
    let server = cluster.serve(1).await;
    let token = cluster.fresh_token().await;
    // Tokens live by whole seconds of the wall clock: the next one but one is after it.
    let issued = std::time::SystemTime::now();
    eventually("the token is over", async || {
        issued.elapsed().is_ok_and(|age| age > Duration::from_millis(1_100))
    })
    .await;
    let mut client = Client::open(server.addr()).await;
    client.send(&format!(r#"40{{"ws_token":"{token}"}}"#)).await;
    assert!(client.text().await.contains("session_refused"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_resume_credential_leads_back_and_an_older_one_revokes_the_family() {
    let cluster = Cluster::new();
    let one = cluster.serve(1).await;
    let two = cluster.serve(2).await;
    let mut neighbour = cluster.neighbour(&two).await;
    let mut client = Client::open(one.addr()).await;
    let token = cluster.fresh_token().await;
    let mut resumes = vec![client.connect(&token).await["resume"].as_str().unwrap().to_owned()];
    for _ in 0..3 {
        let mut back = Client::open(two.addr()).await;
        let last = resumes.last().unwrap();
        back.send(&format!(r#"40{{"resume":"{last}"}}"#)).await;
        let accept = back.event("whisk.auth.accept").await;
        assert_eq!(accept["user_id"], "7");
        resumes.push(accept["resume"].as_str().unwrap().to_owned());
    }
    let refused = async |resume: &str| {
        let mut client = Client::open(two.addr()).await;
        client.send(&format!(r#"40{{"resume":"{resume}"}}"#)).await;
        client.text().await.contains("session_refused")
    };
    assert!(refused(&resumes[0]).await);
    assert!(refused(&resumes[3]).await, "the newest one is revoked with its family");
    neighbour.check().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_not_confirmed_in_time_is_told_and_closed() {
    let cluster = Cluster::new();
    let limits =
        Limits { confirm_timeout: Limit::At(Duration::from_millis(200)), ..Limits::default() };
    let server = cluster.serve_with(1, limits, |builder| builder).await;
    let mut neighbour = cluster.neighbour(&server).await;
    let mut asked = Client::open(server.addr()).await;
    asked.send("40").await;
    let ended = asked.ended().await;
    assert_eq!(ended.code, Some(4003));
    assert!(ended.texts[2].contains(r#""code":"auth_timeout""#), "{ended:?}");
    // Who does not even connect is closed too.
    assert_eq!(Client::open(server.addr()).await.ended().await.code, Some(4003));
    assert_eq!(server.metrics.limit_hits("confirm_timeout"), 2);
    eventually("the unconfirmed are counted off", async || server.metrics.unconfirmed.get() == 0)
        .await;
    neighbour.check().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_away_is_told_from_a_refusal() {
    let cluster = Cluster::new();
    let server = cluster.serve(1).await;
    let token = cluster.fresh_token().await;
    let mut client = Client::open(server.addr()).await;
    cluster.hub.cut(true);
    client.send(&format!(r#"40{{"ws_token":"{token}"}}"#)).await;
    let ended = client.ended().await;
    cluster.hub.cut(false);
    assert_eq!(ended.code, Some(1013));
    assert!(ended.texts[0].contains(r#""code":"unavailable""#), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_before_the_confirmation_are_not_run_and_bounded() {
    let cluster = Cluster::new();
    let server = cluster.serve(1).await;
    let mut neighbour = cluster.neighbour(&server).await;
    let mut client = Client::open(server.addr()).await;
    client.send("40").await;
    client.text().await;
    client.text().await;
    for _ in 0..16 {
        assert_eq!(code(&client.ask("test.echo", "1").await), "not_confirmed");
    }
    client.emit("test.echo", "1").await;
    let ended = client.ended().await;
    assert_eq!((ended.code, &ended.texts[..]), (Some(4103), &["41".to_owned()][..]));
    assert_eq!(server.metrics.limit_hits("unconfirmed_events"), 1);
    neighbour.check().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn early_events_leave_the_socket_open_to_be_confirmed() {
    let cluster = Cluster::new();
    let server = cluster.serve(1).await;
    let mut client = Client::open(server.addr()).await;
    client.send("40").await;
    client.text().await;
    client.text().await;
    assert_eq!(code(&client.ask("test.echo", "1").await), "not_confirmed");
    let token = cluster.fresh_token().await;
    client.send(&format!(r#"430[{{"ws_token":"{token}"}}]"#)).await;
    client.event("whisk.auth.accept").await;
    assert_eq!(client.ask("test.echo", "1").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_of_a_session_sends_its_sockets_away_on_every_node() {
    let cluster = Cluster::new();
    let one = cluster.serve(1).await;
    let two = cluster.serve(2).await;
    let mut neighbour = cluster.neighbour(&two).await;
    let sid = cluster.session("7").await;
    let mut clients = Vec::new();
    for server in [&one, &two] {
        let token = cluster.token(&sid).await;
        clients.push(Client::confirmed(server.addr(), &token).await);
    }
    cluster.confirmer.sessions().end(&sid).await.unwrap();
    let bus = &one.handle.services().bus;
    bus.broadcast(ns("ws"), ENDED_EVENT, &Ended { sid, document: None }).await.unwrap();
    for client in clients {
        let ended = client.ended().await;
        assert_eq!(ended.code, Some(4102));
        assert_eq!(ended.texts.last().unwrap(), "41");
    }
    neighbour.check().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sockets_address_stands_in_its_session_while_it_lives() {
    let cluster = Cluster::new();
    let server = cluster.serve(1).await;
    let sid = cluster.session("7").await;
    let token = cluster.token(&sid).await;
    let mut client = Client::open(server.addr()).await;
    let address = client.connect(&token).await["address"].as_str().unwrap().to_owned();
    let sockets = async || {
        let session = cluster.confirmer.sessions().load(&sid).await.unwrap().unwrap();
        session.sockets.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    eventually("the socket is noted", async || sockets().await == [address.clone()]).await;
    drop(client);
    eventually("the socket is forgotten", async || sockets().await.is_empty()).await;
}

fn hooks(cfg: &mut Routes) {
    cfg.hook(Hook::Confirmed, async |notes: Data<Notes>, _: Socket| notes.add("confirmed"))
        .hook(Hook::Connect, async |notes: Data<Notes>| notes.add("connect"))
        .hook(Hook::Disconnect, gone)
        .hook(Hook::Refused, async |notes: Data<Notes>, why: ConfirmFailure| {
            notes.add(format!("refused {}", why.0));
        })
        .hook(Hook::ConfirmError, async |notes: Data<Notes>, why: ConfirmFailure| {
            notes.add(format!("error {}", why.0));
        });
}

async fn gone(
    notes: Data<Notes>,
    reason: DisconnectReason,
    session: router_core::Session<serde_json::Value>,
) {
    let user = session.user_id().map(ToString::to_string).unwrap_or_default();
    notes.add(format!("gone {} {user}", reason.name()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hooks_see_a_socket_come_and_go_with_its_session() {
    let cluster = Cluster::new();
    let server = cluster.serve_with(1, Limits::default(), |builder| builder.routes(hooks)).await;
    let mut client = cluster.client(&server).await;
    client.send("41").await;
    eventually("both hooks ran", async || server.notes.all().len() == 3).await;
    assert_eq!(server.notes.all(), ["confirmed", "connect", "gone client 7"]);
    let mut client = Client::open(server.addr()).await;
    client.send(r#"40{"ws_token":"wrong"}"#).await;
    client.ended().await;
    let last = async || server.notes.all().last().cloned();
    eventually("the refusal is told", async || {
        last().await.as_deref() == Some("refused session_refused")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_logout_the_hook_still_sees_the_session_as_it_was_at_its_end() {
    let cluster = Cluster::new();
    let server = cluster.serve_with(1, Limits::default(), |builder| builder.routes(hooks)).await;
    let sid = cluster.session("7").await;
    let token = cluster.token(&sid).await;
    let client = Client::confirmed(server.addr(), &token).await;
    let sessions = cluster.confirmer.sessions();
    // A session that ends while its socket is still being noted is found gone, with no last state.
    eventually("the socket is noted", async || {
        !sessions.load(&sid).await.unwrap().unwrap().sockets.is_empty()
    })
    .await;
    let document = sessions.load(&sid).await.unwrap();
    sessions.end(&sid).await.unwrap();
    let bus = &server.handle.services().bus;
    let to = bus.node().clone().into();
    bus.transmit(&to, ENDED_EVENT, &Ended { sid, document }).await.unwrap();
    assert_eq!(client.ended().await.code, Some(4102));
    let last = async || server.notes.all().last().cloned();
    eventually("the hook ran", async || last().await.as_deref() == Some("gone session_ended 7"))
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sockets_id_is_public_and_not_its_transports() {
    let cluster = Cluster::new();
    let server = cluster.serve(1).await;
    let mut client = Client::open(server.addr()).await;
    let token = cluster.fresh_token().await;
    let accept = client.connect(&token).await;
    let address: router_core::Address = accept["address"].as_str().unwrap().parse().unwrap();
    let tid: &TenantId = address.tid().unwrap();
    let found = server.handle.hub().find(tid).unwrap();
    assert_eq!(found.nsp, ByteString::from_static("/"));
    assert_eq!(json!(found.user_id), json!("7"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_nsp_admits_without_a_session() {
    use ws_service::Auth;
    let cluster = Cluster::new();
    let configure =
        |builder: ws_service::Builder| builder.nsp("/", Auth::SessionSync).nsp("/open", Auth::Open);
    let server = cluster.serve_with(1, Limits::default(), configure).await;
    let mut client = Client::open(server.addr()).await;
    client.send("40/open,").await;
    assert!(client.text().await.starts_with("40/open,{\"sid\":"));
    client.send(r#"42/open,7["test.echo",1]"#).await;
    assert_eq!(client.text().await, "43/open,7[1]");
    client.send(r#"42/open,8["test.who"]"#).await;
    assert!(client.text().await.contains("no_session"));
    client.send("40/unknown,").await;
    assert_eq!(client.text().await, r#"44/unknown,{"message":"Invalid namespace"}"#);
    // The connection may confirm itself beside it.
    let token = cluster.fresh_token().await;
    client.connect(&token).await;
    assert_eq!(client.ask("test.who", "").await, "7");
}
