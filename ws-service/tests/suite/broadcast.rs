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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_to_one_socket_keep_their_order_whomever_else_they_are_for() {
    let cluster = Cluster::new();
    let open = |builder: ws_service::Builder| {
        builder.nsp("/", ws_service::Auth::SessionSync).nsp("/open", ws_service::Auth::Open)
    };
    let server = cluster.serve_with(1, router_core::limits::Limits::default(), open).await;
    let hub = server.handle.hub();
    let sid = cluster.session("7").await;
    let token = cluster.token(&sid).await;
    let mut client = crate::client::Client::open(server.addr()).await;
    let accept = client.connect(&token).await;
    let address: router_core::Address = accept["address"].as_str().unwrap().parse().unwrap();
    let tid = address.tid().unwrap().clone();
    client.send("40/open,").await;
    assert!(client.text().await.starts_with("40/open,"));
    let event = || ByteString::from_static("n");
    for number in 0..400 {
        let args = Args::one(&number).unwrap();
        match number % 7 {
            0 => hub.emit(Recipients::Socket(tid.clone()), event(), args).await.unwrap(),
            1 => hub.emit(Recipients::Session(sid.clone()), event(), args).await.unwrap(),
            2 => hub.emit_volatile(Recipients::Nsp("/".into()), event(), args).await.unwrap(),
            3 => hub.emit(Recipients::Nsp("/open".into()), event(), args).await.unwrap(),
            _ => hub.emit(Recipients::Nsp("/".into()), event(), args).await.unwrap(),
        }
    }
    for number in 0..400 {
        let nsp = if number % 7 == 3 { "/open," } else { "" };
        assert_eq!(client.text().await, format!(r#"42{nsp}["n",{number}]"#));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_that_comes_hears_its_accept_before_anything_else() {
    let cluster = Cluster::new();
    let server = cluster.serve(1).await;
    let hub = server.handle.hub();
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let stopped = stop.clone();
    let noise = tokio::spawn(async move {
        let all = Recipients::Nsp("/".into());
        while !stopped.load(std::sync::atomic::Ordering::Relaxed) {
            hub.emit(all.clone(), "noise".into(), Args::EMPTY).await.unwrap();
            tokio::task::yield_now().await;
        }
    });
    for _ in 0..20 {
        let mut client = crate::client::Client::open(server.addr()).await;
        let token = cluster.fresh_token().await;
        client.send(&format!(r#"40{{"ws_token":"{token}"}}"#)).await;
        assert!(client.text().await.starts_with("40{"));
        assert!(client.text().await.starts_with("42[\"whisk.auth.accept\""));
        assert_eq!(client.text().await, "42[\"noise\"]");
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    noise.await.unwrap();
}
