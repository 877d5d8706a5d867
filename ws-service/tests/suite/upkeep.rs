//! Sessions under living sockets: they live on, and their end is noticed.

use std::time::{Duration, Instant};

use router_core::session::SessionSettings;

use crate::{
    client::Client,
    support::{Cluster, eventually, soon},
};

fn living_for(ttl: Duration) -> Cluster {
    Cluster::with(SessionSettings { ttl, ..SessionSettings::default() })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_living_socket_keeps_its_session_alive() {
    let ttl = Duration::from_secs(2);
    let cluster = living_for(ttl);
    let server = cluster.serve(1).await;
    let (sid, left) = (cluster.session("7").await, cluster.session("8").await);
    let mut client = Client::confirmed(server.addr(), &cluster.token(&sid).await).await;
    let begun = Instant::now();
    let sessions = cluster.confirmer.sessions();
    eventually("the session that nobody uses ran out", async || {
        sessions.load(&left).await.unwrap().is_none() && begun.elapsed() > ttl * 2
    })
    .await;
    assert_eq!(client.ask("test.who", "").await, "7");
    assert!(sessions.load(&sid).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_ended_without_a_word_is_noticed_within_a_third_of_its_time() {
    let ttl = Duration::from_secs(9);
    let cluster = living_for(ttl);
    let server = cluster.serve(1).await;
    let mut neighbour = cluster.neighbour(&server).await;
    let sid = cluster.session("7").await;
    let client = Client::confirmed(server.addr(), &cluster.token(&sid).await).await;
    assert!(cluster.confirmer.sessions().end(&sid).await.unwrap());
    let begun = Instant::now();
    let ended = soon(client.ended()).await;
    assert!(begun.elapsed() < ttl / 3, "{:?}", begun.elapsed());
    assert_eq!(ended.code, Some(4102));
    neighbour.check().await;
}
