//! Messages to many sockets, on one node and on others.

use bytestring::ByteString;
use router_core::{
    Args,
    socket::{EmitError, LocalSockets, Recipients},
};

use crate::support::Cluster;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_says_all_hear_in_order_on_every_node() {
    let cluster = Cluster::new();
    let one = cluster.serve(1).await;
    let two = cluster.serve(2).await;
    let mut speaker = cluster.client(&one).await;
    let mut hearers = vec![
        cluster.client(&one).await,
        cluster.client(&one).await,
        cluster.client(&two).await,
        cluster.client(&two).await,
    ];
    for number in 0..100 {
        let id = speaker.emit("world.say", &format!(r#"{{"message":"{number}"}}"#)).await;
        if number % 10 == 9 {
            speaker.ack(id).await;
        }
    }
    hearers.push(speaker);
    // The speaker passed some replies over while it waited for acknowledgements.
    let last = hearers.len() - 1;
    for (index, hearer) in hearers.iter_mut().enumerate() {
        if index == last {
            continue;
        }
        for number in 0..100 {
            let reply = hearer.event("world.reply").await;
            assert_eq!(reply["message"], number.to_string());
        }
    }
    assert!(one.metrics.messages_out.get() >= 300);
    assert!(one.metrics.bytes_out.get() > 300 * 30);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_reaches_one_socket_one_session_or_one_nsp() {
    let cluster = Cluster::new();
    let server = cluster.serve(1).await;
    let hub = server.handle.hub();
    let sid = cluster.session("7").await;
    let mut of_session = Vec::new();
    let mut tids = Vec::new();
    for _ in 0..2 {
        let token = cluster.token(&sid).await;
        let mut client = crate::client::Client::open(server.addr()).await;
        let accept = client.connect(&token).await;
        let address: router_core::Address = accept["address"].as_str().unwrap().parse().unwrap();
        tids.push(address.tid().unwrap().clone());
        of_session.push(client);
    }
    let mut other = cluster.client(&server).await;
    let emit = async |to: Recipients, what: &str| {
        hub.emit(to, ByteString::from_static("test.at"), Args::one(what).unwrap()).await
    };
    emit(Recipients::Socket(tids[0].clone()), "socket").await.unwrap();
    emit(Recipients::Session(sid), "session").await.unwrap();
    emit(Recipients::Nsp("/nobody".into()), "nobody").await.unwrap();
    LocalSockets::new(hub.clone()).emit("test.at", "nsp").await.unwrap();
    assert_eq!(of_session[0].event("test.at").await, "socket");
    for client in &mut of_session {
        assert_eq!(client.event("test.at").await, "session");
        assert_eq!(client.event("test.at").await, "nsp");
    }
    assert_eq!(other.event("test.at").await, "nsp");
    let gone = emit(Recipients::Socket("nobody".parse().unwrap()), "x").await;
    assert!(matches!(gone, Err(EmitError::Gone)));
}
