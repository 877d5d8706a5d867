//! Sessions that end, change and run out, and what their living sockets hear of it on every node.

use std::time::{Duration, Instant};

use router_core::{
    RouteError, Routes, Session,
    session::{Authority, SessionSettings, UserId, set},
};
use serde_json::{Value, json};

use crate::{
    client::{Client, code},
    support::{Cluster, Server},
};

/// How soon a revocation has reached every socket.
const SOON: Duration = Duration::from_secs(1);

fn authority(server: &Server) -> Authority {
    let services = server.handle.services();
    Authority::new(services.sessions.clone(), services.bus.clone())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_user_is_out_on_every_node_within_a_second_and_comes_back_with_nothing() {
    let cluster = Cluster::new();
    let nodes = [cluster.serve(1).await, cluster.serve(2).await, cluster.serve(3).await];
    let mut bystander = cluster.session("other").await;
    let token = cluster.token(&bystander).await;
    let mut neighbour = Client::confirmed(nodes[2].addr(), &token).await;
    let mut clients = Vec::new();
    let mut resumes = Vec::new();
    for n in 0..30 {
        let sid = cluster.session("ann").await;
        let token = cluster.token(&sid).await;
        let mut client = Client::open(nodes[n % 3].addr()).await;
        let accept = client.connect(&token).await;
        resumes.push(accept["resume"].as_str().unwrap().to_owned());
        clients.push(client);
    }
    let unused = cluster.session("ann").await;
    let token = cluster.token(&unused).await;

    let begin = Instant::now();
    authority(&nodes[0]).revoke_user(&UserId::new("ann").unwrap()).await.unwrap();
    for client in clients {
        assert_eq!(client.ended().await.code, Some(4102));
    }
    assert!(begin.elapsed() < SOON, "{:?}", begin.elapsed());

    // Neither what it had, nor what was issued before, leads back in.
    for (key, credential) in [("resume", &resumes[0]), ("ws_token", &token)] {
        let mut client = Client::open(nodes[1].addr()).await;
        client.send(&format!(r#"40{{"{key}":"{credential}"}}"#)).await;
        assert!(client.text().await.contains("session_refused"), "{key}");
    }
    assert_eq!(neighbour.ask("test.echo", "1").await, 1);
    bystander = cluster.session("ann").await;
    // A login within the clocks' difference after the revocation counts as before it.
    assert!(cluster.confirmer.issue(&bystander).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_session_is_judged_again_on_every_node_within_a_second() {
    #[derive(serde::Deserialize)]
    struct Role {
        #[serde(default)]
        role: Option<String>,
    }
    async fn staff(session: Session<Role>) -> Result<(), RouteError> {
        let is_staff = session.store().role.as_deref() == Some("staff");
        is_staff.then_some(()).ok_or_else(|| RouteError::new("not_staff", "For staff."))
    }
    let routes = |cfg: &mut Routes| {
        cfg.channel("staff").gate(staff);
    };
    let cluster = Cluster::new();
    let mut nodes = Vec::new();
    for nid in 1..=2 {
        nodes.push(cluster.serve_with(nid, Default::default(), |it| it.routes(routes)).await);
    }
    let sid = cluster.session("ann").await;
    cluster.confirmer.sessions().update(&sid, &set("role", "staff")).await.unwrap();
    let mut clients = Vec::new();
    for node in &nodes {
        let mut client = Client::confirmed(node.addr(), &cluster.token(&sid).await).await;
        let position = client.ask("whisk.subscribe", r#"{"channel":"staff"}"#).await;
        assert_eq!(position["channel"], "staff");
        clients.push(client);
    }
    cluster.confirmer.sessions().update(&sid, &set("role", "guest")).await.unwrap();
    let begin = Instant::now();
    authority(&nodes[0]).changed(&sid).await.unwrap();
    for client in &mut clients {
        let told = client.event("whisk.unsubscribed").await;
        assert_eq!((&told["channel"], code(&told)), (&json!("staff"), "not_staff"));
        assert_eq!(client.event("whisk.session").await, json!({ "user_id": "ann" }));
    }
    assert!(begin.elapsed() < SOON, "{:?}", begin.elapsed());
}

/// Nodes whose confirmations are good for this time.
fn short(good_for: Duration) -> Cluster {
    Cluster::with(SessionSettings { confirmation_ttl: Some(good_for), ..Default::default() })
}

async fn asked(client: &mut Client) {
    loop {
        if client.text().await == r#"420["whisk.auth.request",{}]"# {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_confirmation_is_renewed_on_the_living_socket() {
    let cluster = short(Duration::from_secs(1));
    let server = cluster.serve(1).await;
    let mut client = Client::open(server.addr()).await;
    let accept = client.connect(&cluster.fresh_token().await).await;
    let mut resume = accept["resume"].clone();
    for _ in 0..3 {
        asked(&mut client).await;
        client.send(&format!(r#"430[{{"resume":{resume}}}]"#)).await;
        let again = client.event("whisk.auth.accept").await;
        assert_eq!(again["address"], accept["address"]);
        assert_ne!(again["resume"], resume);
        resume = again["resume"].clone();
    }
    assert_eq!(client.ask("test.who", "").await, "7");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_confirmation_that_runs_out_ends_the_socket_and_its_client_may_come_back() {
    let cluster = short(Duration::from_secs(1));
    let server = cluster.serve(1).await;
    let mut client = cluster.client(&server).await;
    asked(&mut client).await;
    let ended = client.ended().await;
    assert_eq!(ended.code, Some(4005));
    let told = ended.texts.iter().find(|text| text.contains("whisk.auth.error")).unwrap();
    assert!(told.contains("auth_expired"), "{told}");
    assert!(!ended.texts.contains(&"41".to_owned()), "it may come back: {:?}", ended.texts);

    // Somebody else's credential does not keep it alive.
    let cluster = short(Duration::from_secs(3));
    let server = cluster.serve(1).await;
    let mut client = cluster.client(&server).await;
    asked(&mut client).await;
    let other = cluster.session("other").await;
    let token = cluster.token(&other).await;
    client.send(&format!(r#"430[{{"ws_token":"{token}"}}]"#)).await;
    assert_eq!(client.ended().await.code, Some(4005));
    let _: Value = cluster.client(&server).await.ask("test.who", "").await;
}
