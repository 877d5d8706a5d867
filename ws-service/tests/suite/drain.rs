//! Going away: nobody is cut off, and nobody comes in.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use router_core::limits::Limits;
use tokio::net::TcpStream;

use crate::{
    client::{Client, DEADLINE, PATH, exchange, request},
    support::{Cluster, Gate, eventually, soon},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_socket_is_told_when_to_come_back_and_closed_within_the_window() {
    let cluster = Cluster::new();
    let window = Duration::from_secs(2);
    let server =
        cluster.serve_with(1, Limits::default(), |builder| builder.drain_window(window)).await;
    let other = cluster.serve(2).await;
    let mut neighbour = cluster.neighbour(&other).await;
    let mut clients = Vec::new();
    for _ in 0..10 {
        clients.push(cluster.client(&server).await);
    }
    let unconfirmed = Client::open(server.addr()).await;
    let begun = Instant::now();
    server.handle.stop();
    eventually("the node is unready", async || !server.handle.is_ready()).await;
    let mut moments = Vec::new();
    let ends = clients.into_iter().map(|client| async {
        let ended = client.ended().await;
        (ended, Instant::now())
    });
    for (ended, at) in join_all(ends).await {
        assert_eq!(ended.code, Some(1012));
        let told = ended.texts.last().unwrap();
        let after = told.strip_prefix(r#"42["whisk.reconnect",{"after_ms":"#).unwrap();
        let after: u64 = after.trim_end_matches("}]").parse().unwrap();
        assert!(after <= 1_000);
        moments.push(at.duration_since(begun));
    }
    assert_eq!(soon(unconfirmed.ended()).await.code, Some(1012));
    assert!(moments.iter().all(|at| *at < window), "{moments:?}");
    // Each has a random moment of its own in four fifths of the window.
    let (first, last) = (moments.iter().min().unwrap(), moments.iter().max().unwrap());
    assert!(*last - *first > window / 10, "{moments:?}");
    let address = server.addr();
    soon(server.task).await.unwrap().unwrap();
    assert!(begun.elapsed() < window + Duration::from_secs(1));
    assert!(TcpStream::connect(address).await.is_err());
    neighbour.check().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_comes_in_while_the_node_goes() {
    let cluster = Cluster::new();
    let configure = |builder: ws_service::Builder| builder.drain_window(Duration::from_secs(5));
    let gate = Gate::default();
    let server = cluster.serve_with(1, Limits::default(), |b| configure(b).data(gate)).await;
    // A handler that does not finish keeps the node until the end of its window.
    let mut busy = cluster.client(&server).await;
    busy.emit("test.wait", "").await;
    eventually("it runs", async || server.metrics.events_in.get() == 1).await;
    server.handle.stop();
    eventually("the node is unready", async || !server.handle.is_ready()).await;
    let mut late = TcpStream::connect(server.addr()).await.unwrap();
    let (head, _) = exchange(&mut late, request(PATH, "").as_bytes()).await;
    assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
    assert!(head.to_lowercase().contains("\r\nretry-after: "), "{head}");
    let mut probe = TcpStream::connect(server.addr()).await.unwrap();
    let (head, _) = exchange(&mut probe, b"GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
    let ended = tokio::time::timeout(DEADLINE, busy.ended()).await.unwrap();
    assert_eq!(ended.code, Some(1012));
    assert!(ended.texts.iter().any(|text| text.contains("whisk.reconnect")), "{ended:?}");
    soon(server.task).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_that_runs_is_acknowledged_before_its_socket_goes() {
    use std::sync::Arc;

    use router_core::{Data, RouteError, Routes};
    use tokio::sync::Semaphore;

    async fn hold(gate: Data<Arc<Semaphore>>) -> Result<&'static str, RouteError> {
        gate.acquire().await.map_err(|_| RouteError::internal())?.forget();
        Ok("finished")
    }
    let gate = Arc::new(Semaphore::new(0));
    let cluster = Cluster::new();
    let data = Arc::clone(&gate);
    let server = cluster
        .serve_with(1, Limits::default(), |builder| {
            builder.drain_window(Duration::from_secs(8)).data(data).routes(|cfg: &mut Routes| {
                cfg.route("held").on("hold", hold);
            })
        })
        .await;
    let mut client = cluster.client(&server).await;
    let id = client.emit("held.hold", "").await;
    eventually("it runs", async || server.metrics.events_in.get() == 1).await;
    server.handle.stop();
    client.event("whisk.reconnect").await;
    gate.add_permits(1);
    assert_eq!(client.ack(id).await, "finished");
    assert_eq!(soon(client.ended()).await.code, Some(1012));
    soon(server.task).await.unwrap().unwrap();
}

#[test]
fn the_service_also_runs_in_an_actix_system() {
    actix_rt::System::new().block_on(async {
        let cluster = Cluster::new();
        let configure =
            |builder: ws_service::Builder| builder.drain_window(Duration::from_millis(100));
        let server = cluster.serve_with(1, Limits::default(), configure).await;
        let mut client = cluster.client(&server).await;
        assert_eq!(client.ask("test.echo", "1").await, 1);
        server.handle.stop();
        assert_eq!(soon(client.ended()).await.code, Some(1012));
        soon(server.task).await.unwrap().unwrap();
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hooks_and_sessions_hear_of_every_socket_that_the_drain_sent_away() {
    use std::sync::Arc;

    use router_core::{Data, Routes, route::Hook};
    use tokio::sync::Semaphore;

    use crate::support::Notes;

    async fn gone(gate: Data<Arc<Semaphore>>, notes: Data<Notes>) {
        notes.add("begun");
        drop(gate.acquire().await);
        notes.add("done");
    }
    let gate = Arc::new(Semaphore::new(0));
    let cluster = Cluster::new();
    let data = Arc::clone(&gate);
    let server = cluster
        .serve_with(1, Limits::default(), |builder| {
            builder.drain_window(Duration::from_secs(8)).data(data).routes(|cfg: &mut Routes| {
                cfg.hook(Hook::Disconnect, gone);
            })
        })
        .await;
    let sid = cluster.session("7").await;
    let addresses = async || {
        let document = cluster.confirmer.sessions().load(&sid).await.unwrap().unwrap();
        document.sockets.len()
    };
    let token = cluster.token(&sid).await;
    let mut client = Client::confirmed(server.addr(), &token).await;
    eventually("it is noted", async || addresses().await == 1).await;
    server.handle.stop();
    client.event("whisk.reconnect").await;
    assert_eq!(soon(client.ended()).await.code, Some(1012));
    eventually("the hook runs", async || server.notes.all() == ["begun"]).await;
    eventually("no connection is open", async || server.metrics.connections.get() == 0).await;
    assert!(!server.task.is_finished());
    gate.add_permits(1);
    soon(server.task).await.unwrap().unwrap();
    assert_eq!(server.notes.all(), ["begun", "done"]);
    assert_eq!(addresses().await, 0);
}
