//! Binary events and acknowledgements: packets with attachments, over both transports.

use bytestring::ByteString;
use router_core::{Args, limits::Limits, socket::Recipients};
use wire::ws::Message;
use ws_service::{Auth, Builder};

use crate::{
    client::Client,
    http_client::Poller,
    support::{Cluster, Server, eventually, soon},
};

async fn serve_open(cluster: &Cluster) -> Server {
    cluster.serve_with(1, Limits::default(), |builder: Builder| builder.nsp("/", Auth::Open)).await
}

async fn connected(server: &Server) -> Poller {
    let mut poller = Poller::open(server.addr()).await;
    poller.post("40").await.ok();
    poller.packet().await;
    poller
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn binary_messages_cross_both_transports_whole() {
    let cluster = Cluster::new();
    let server = serve_open(&cluster).await;
    let mut poller = connected(&server).await;
    let args = r#"{"_placeholder":true,"num":0},"x",{"_placeholder":true,"num":1}"#;
    let body = format!("452-0[\"test.echo\",{args}]\u{1e}bAQID\u{1e}bBA==");
    poller.post(&body).await.ok();
    assert_eq!(poller.packet().await, format!("462-0[{args}]"));
    assert_eq!([poller.packet().await, poller.packet().await], ["bAQID", "bBA=="]);
    // Announced by a post, delivered by the WebSocket.
    poller.post(&format!("452-1[\"test.echo\",{args}]\u{1e}bAQID")).await.ok();
    let mut socket = Client::candidate(server.addr(), &poller.sid).await;
    socket.send("2probe").await;
    socket.text().await;
    socket.send("5").await;
    socket.raw(&wire::ws::client::binary(&[4])).await;
    assert_eq!(socket.text().await, format!("462-1[{args}]"));
    for bytes in [&[1, 2, 3][..], &[4]] {
        let Some(Message::Binary(message)) = socket.message().await else { panic!("no binary") };
        assert_eq!(message, bytes);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attachments_never_mix_with_other_events() {
    let cluster = Cluster::new();
    let server = serve_open(&cluster).await;
    let mut client = Client::open(server.addr()).await;
    client.send("40").await;
    client.text().await;
    let mut poller = connected(&server).await;
    // From two sides at once: to all of the nsp, and to this one socket by its own acknowledgements.
    let hub = server.handle.hub();
    let emitting = tokio::spawn(async move {
        for number in 0..200_u8 {
            let json = r#"{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}"#;
            let attachments = vec![vec![number; 3].into(), vec![number; 300].into()];
            let args = Args::from_checked_json(json.into(), attachments);
            let event = ByteString::from_static("b");
            hub.emit(Recipients::Nsp("/".into()), event, args).await.unwrap();
            tokio::task::yield_now().await;
        }
    });
    for number in 0..100 {
        client.send(&format!("42{number}[\"test.echo\",{number}]")).await;
    }
    let (mut events, mut acks) = (0, 0);
    while events < 200 || acks < 100 {
        let text = soon(client.text()).await;
        if text.starts_with("43") {
            acks += 1;
            continue;
        }
        assert!(text.starts_with(r#"452-["b","#), "{text}");
        for length in [3, 300] {
            let Some(Message::Binary(bytes)) = client.message().await else { panic!("mixed") };
            assert_eq!(bytes, vec![events; length]);
        }
        events += 1;
    }
    emitting.await.unwrap();
    for _ in 0..200 {
        assert!(poller.packet().await.starts_with("452-"));
        assert!(poller.packet().await.starts_with('b') && poller.packet().await.starts_with('b'));
    }
}

/// Packets that no honest client sends, with the bodies that carry them by long-polling.
const BOMBS: [&str; 12] = [
    "451000000000-[\"test.echo\"]",
    "45-1-[\"test.echo\"]",
    "45-[\"test.echo\"]",
    "45[\"test.echo\"]",
    "451-[\"test.echo\",{\"_placeholder\":true,\"num\":1}]",
    "451-[\"test.echo\",{\"_placeholder\":true,\"num\":0}]\u{1e}42[\"test.echo\"]",
    "4218446744073709551616[\"test.echo\"]",
    "42[\"disconnect\"]",
    "42[\"connect_error\",1]",
    "42{}",
    "47",
    "bAQID",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn packet_bombs_end_their_session_on_either_transport_and_no_other() {
    let cluster = Cluster::new();
    let server = serve_open(&cluster).await;
    let mut neighbour = connected(&server).await;
    let deep = format!("42[\"a\",{}{}]", "[".repeat(20_000), "]".repeat(20_000));
    for bomb in BOMBS.into_iter().chain([deep.as_str()]) {
        let mut poller = connected(&server).await;
        poller.post(bomb).await.refused(400, 3);
        // It is told to stay away, and that was all.
        assert_eq!([poller.packet().await, poller.packet().await], ["41", "1"], "{bomb:.60}");
        poller.poll().await.refused(400, 1);

        let mut client = Client::open(server.addr()).await;
        client.send("40").await;
        client.text().await;
        for packet in bomb.split('\u{1e}') {
            match packet {
                "bAQID" => client.raw(&wire::ws::client::binary(&[1, 2, 3])).await,
                text => client.send(text).await,
            }
        }
        let ended = soon(client.ended()).await;
        assert!(matches!(ended.code, Some(1002 | 1007 | 1009)), "{bomb:.60} {ended:?}");
        assert_eq!(ended.texts, ["41"], "{bomb:.60}");
    }
    neighbour.post("420[\"test.echo\",1]").await.ok();
    assert_eq!(neighbour.packet().await, "430[1]");
    eventually("only the neighbour is left", async || server.metrics.connections.get() == 1).await;
}
