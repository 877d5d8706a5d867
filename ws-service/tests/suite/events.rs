//! Events, their handlers and their acknowledgements.

use std::time::Duration;

use router_core::{
    Address,
    limits::{Limit, Limits},
    socket::{AckError, LocalSockets},
};

use crate::{
    client::{Client, code},
    support::{Cluster, Gate, eventually},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_handler_returns_is_the_acknowledgement() {
    let cluster = Cluster::new();
    let server = cluster.serve(1).await;
    let mut client = cluster.client(&server).await;
    assert_eq!(client.ask("test.echo", r#"{"a":[1,2]}"#).await["a"][1], 2);
    assert_eq!(client.ask("message", "").await, "root");
    assert_eq!(client.ask("test.count", "").await["count"], 1);
    assert_eq!(client.ask("test.count", "").await["count"], 2);
    assert_eq!(server.metrics.events_in.get(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_without_a_handler_is_acknowledged_as_unknown() {
    let cluster = Cluster::new();
    let server = cluster.serve(1).await;
    let mut neighbour = cluster.neighbour(&server).await;
    let mut client = cluster.client(&server).await;
    for event in ["test.nothing", "nothing", "nothing.at.all", ""] {
        assert_eq!(code(&client.ask(event, "1").await), "unknown_event", "{event}");
    }
    // Without an id nothing is sent, and the socket stays.
    client.send(r#"42["nothing"]"#).await;
    assert_eq!(client.ask("test.echo", "1").await, 1);
    assert_eq!(server.metrics.events_unknown.get(), 5);
    neighbour.check().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payload_that_does_not_fit_is_acknowledged_with_the_path_of_the_fault() {
    let cluster = Cluster::new();
    let server = cluster.serve(1).await;
    let mut neighbour = cluster.neighbour(&server).await;
    let mut client = cluster.client(&server).await;
    let ack = client.ask("test.lines", r#"{"lines":[1,"two"]}"#).await;
    assert_eq!((code(&ack), &ack["error"]["path"]), ("bad_payload", &"lines[1]".into()));
    assert_eq!(code(&client.ask("test.lines", "").await), "bad_payload");
    assert_eq!(client.ask("test.lines", r#"{"lines":[1,2]}"#).await, 2);
    neighbour.check().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_that_panics_is_acknowledged_and_the_socket_lives() {
    let cluster = Cluster::new();
    let server = cluster.serve(1).await;
    let mut neighbour = cluster.neighbour(&server).await;
    let mut client = cluster.client(&server).await;
    for _ in 0..3 {
        assert_eq!(code(&client.ask("test.panic", "1").await), "internal");
    }
    assert_eq!(client.ask("test.echo", "1").await, 1);
    assert_eq!(server.metrics.handler_panics.get(), 3);
    neighbour.check().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_of_one_socket_run_in_order_and_one_at_a_time() {
    let cluster = Cluster::new();
    let server = cluster.serve(1).await;
    let mut client = cluster.client(&server).await;
    let mut ids = Vec::new();
    for number in 0..20 {
        ids.push(client.emit("test.ordered", &number.to_string()).await);
    }
    for (number, id) in ids.into_iter().enumerate() {
        assert_eq!(client.ack(id).await, number);
    }
    let expected: Vec<String> =
        (0..20).flat_map(|n| [format!("begin {n}"), format!("end {n}")]).collect();
    assert_eq!(server.notes.all(), expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_handler_emitted_comes_before_its_acknowledgement() {
    let cluster = Cluster::new();
    let server = cluster.serve(1).await;
    let mut client = cluster.client(&server).await;
    for _ in 0..50 {
        let id = client.emit("test.emit_then_ack", "").await;
        assert_eq!(client.text().await, r#"42["test.emitted",1]"#);
        assert_eq!(client.text().await, format!(r#"43{id}["acknowledged"]"#));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_that_wait_are_bounded() {
    let cluster = Cluster::new();
    let limits = Limits { socket_queue: Limit::At(2), ..Limits::default() };
    let gate = Gate::default();
    let server = cluster.serve_with(1, limits, |builder| builder.data(gate)).await;
    let mut client = cluster.client(&server).await;
    let mut ids = Vec::new();
    for _ in 0..4 {
        ids.push(client.emit("test.wait", "").await);
    }
    // One runs, two wait, and the fourth is told at once.
    let refused = client.ack(ids[3]).await;
    assert_eq!(code(&refused), "overloaded");
    assert!(refused["error"]["retry_after_ms"].as_u64().unwrap() > 0);
    assert_eq!(server.metrics.limit_hits("socket_queue"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_that_may_run_at_once_start_in_order_up_to_the_bound() {
    let cluster = Cluster::new();
    let limits = Limits { socket_in_flight: Limit::At(2), ..Limits::default() };
    let gate = Gate::default();
    let server = cluster.serve_with(1, limits, |builder| builder.data(gate.clone())).await;
    let mut client = cluster.client(&server).await;
    let mut ids = [0; 4];
    for (number, id) in ids.iter_mut().enumerate() {
        *id = client.emit("test.at_once", &number.to_string()).await;
    }
    let hits = async || server.metrics.limit_hits("socket_in_flight") == 2;
    eventually("two wait", hits).await;
    assert_eq!(server.notes.all(), ["begin 0", "begin 1"]);
    gate.0.add_permits(4);
    // Each ends for itself.
    let mut acks = Vec::new();
    for _ in &ids {
        acks.push(client.text().await);
    }
    acks.sort_unstable();
    assert_eq!(acks, ids.map(|id| format!("43{id}[null]")));
    assert_eq!(server.notes.all(), ["begin 0", "begin 1", "begin 2", "begin 3"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_that_comes_in_one_read_is_answered_in_its_order() {
    let cluster = Cluster::new();
    let server = cluster.serve(1).await;
    let mut client = cluster.client(&server).await;
    // More than are begun on the spot in one round, some of which wait.
    let burst: Vec<u8> = (0..60)
        .flat_map(|n| {
            let event = if n % 7 == 0 { "ordered" } else { "echo" };
            wire::ws::client::text(&format!(r#"42{n}["test.{event}",{n}]"#)).to_vec()
        })
        .collect();
    client.raw(&burst).await;
    for n in 0..60 {
        assert_eq!(client.text().await, format!("43{n}[{n}]"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn binary_attachments_come_back() {
    let cluster = Cluster::new();
    let server = cluster.serve(1).await;
    let mut client = cluster.client(&server).await;
    client.send(r#"451-9["test.echo",{"_placeholder":true,"num":0}]"#).await;
    client.raw(&wire::ws::client::binary(&[1, 2, 3])).await;
    assert_eq!(client.text().await, r#"461-9[{"_placeholder":true,"num":0}]"#);
    let attachment = client.message().await.unwrap();
    assert_eq!(attachment, wire::ws::Message::Binary(vec![1, 2, 3].into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_that_a_handler_disconnects_stays_away() {
    let cluster = Cluster::new();
    let server = cluster.serve(1).await;
    let mut neighbour = cluster.neighbour(&server).await;
    let mut client = cluster.client(&server).await;
    client.emit("test.kick", "").await;
    let ended = client.ended().await;
    assert_eq!(ended.code, Some(4100));
    assert_eq!(ended.texts.last().unwrap(), "41");
    eventually("only the neighbour is left", async || server.handle.hub().count() == 1).await;
    neighbour.check().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_is_asked_and_its_answer_is_the_acknowledgement() {
    let cluster = Cluster::new();
    let limits = Limits { pending_acks: Limit::At(1), ..Limits::default() };
    let server = cluster.serve_with(1, limits, |builder| builder).await;
    let mut client = Client::open(server.addr()).await;
    let accept = client.connect(&cluster.fresh_token().await).await;
    let address: Address = accept["address"].as_str().unwrap().parse().unwrap();
    let sockets = LocalSockets::new(server.handle.hub());
    let socket = sockets.find(address.tid().unwrap()).unwrap();
    let asked = |timeout: u64| {
        let socket = socket.clone();
        let timeout = Duration::from_millis(timeout);
        tokio::spawn(async move { socket.emit_with_ack::<_, u32>("double", &21, timeout).await })
    };

    let answer = asked(10_000);
    assert_eq!(client.text().await, r#"422["double",21]"#);
    socket.emit("after", &1).await.unwrap();
    assert_eq!(client.text().await, r#"42["after",1]"#);
    // Of another nsp, of no question, of the session's own: nobody is meant.
    for stray in ["439[1]", "430[1]", "431[1]", "43/x,2[1]"] {
        client.send(stray).await;
    }
    client.send("432[42]").await;
    assert_eq!(answer.await.unwrap().unwrap(), 42);
    client.send("432[43]").await;

    let timeout = asked(1).await.unwrap();
    assert!(matches!(timeout, Err(AckError::Timeout)), "{timeout:?}");
    assert_eq!(client.text().await, r#"423["double",21]"#);
    let waits = asked(10_000);
    assert_eq!(client.text().await, r#"424["double",21]"#);
    // Late, and for the one that gave up.
    client.send("433[42]").await;
    let refused = asked(10_000).await.unwrap();
    assert!(matches!(refused, Err(AckError::TooMany)), "{refused:?}");
    let counted = async || server.metrics.limit_hits("pending_acks") == 1;
    eventually("it is counted", counted).await;
    drop(client);
    assert!(matches!(waits.await.unwrap(), Err(AckError::Disconnected)));
    let gone = asked(10_000).await.unwrap();
    assert!(matches!(gone, Err(AckError::Gone)), "{gone:?}");
}
