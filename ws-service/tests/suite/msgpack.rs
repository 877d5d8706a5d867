//! The message-pack parser: the same service, with one binary message for each packet.

use bytes::Bytes;
use router_core::limits::Limits;
use serde_json::Value;
use wire::{
    engine::{Packet, payload},
    socketio::{self, Kind, Nsp, Outgoing, msgpack},
    ws::{Message, client as frames},
};
use ws_service::{Auth, Builder, Parser};

use crate::{
    client::Client,
    http_client::Poller,
    support::{Cluster, Server, soon},
};

static ROOT: Nsp = Nsp::ROOT;

async fn serve(cluster: &Cluster) -> Server {
    let configure = |builder: Builder| {
        builder.parser(Parser::Msgpack).nsp("/", Auth::Open).nsp("/in", Auth::SessionSync)
    };
    cluster.serve_with(1, Limits::default(), configure).await
}

fn decode(message: &Bytes) -> (Kind, Vec<Bytes>) {
    let (packet, attachments) =
        msgpack::decode(message, &socketio::Limits::default(), usize::MAX).unwrap();
    (packet.kind, attachments)
}

async fn next(client: &mut Client) -> (Kind, Vec<Bytes>) {
    loop {
        match client.message().await.expect("a packet") {
            Message::Binary(message) => return decode(&message),
            Message::Text(text) => assert_eq!(&*text, "2", "no other text"),
            other => panic!("{other:?}"),
        }
    }
}

async fn send(client: &mut Client, packet: Outgoing<'_>, attachments: &[Bytes]) {
    client.raw(&frames::binary(&packet.to_msgpack(attachments).unwrap())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_acknowledgements_and_attachments_travel_as_message_pack() {
    let cluster = Cluster::new();
    let server = serve(&cluster).await;
    let mut client = Client::open(server.addr()).await;
    send(&mut client, Outgoing::open(&ROOT, ""), &[]).await;
    let (Kind::Connect { auth: Some(sid) }, _) = next(&mut client).await else { panic!("no sid") };
    assert!(serde_json::from_str::<Value>(&sid).unwrap()["sid"].is_string());

    let args = r#"{"a":{"_placeholder":true,"num":0}},1.5"#;
    let event = Outgoing::event(&ROOT, Some(7), "test.echo", args);
    send(&mut client, event, &[Bytes::from_static(&[1, 2])]).await;
    let (kind, attachments) = next(&mut client).await;
    assert_eq!(kind, Kind::Ack { id: 7, args: args.into() });
    assert_eq!(attachments, [&[1, 2][..]]);

    server.handle.services().bus.broadcast(router_core::ns("ws"), "world.reply", &5).await.unwrap();
    let (kind, _) = next(&mut client).await;
    assert_eq!(kind, Kind::Event { id: None, name: "world.reply".into(), args: "5".into() });

    let wrong = Outgoing::event(&ROOT, Some(8), "test.lines", "1");
    send(&mut client, wrong, &[]).await;
    let (Kind::Ack { id: 8, args }, _) = next(&mut client).await else { panic!("no answer") };
    assert!(args.contains("bad_payload"), "{args}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_is_confirmed_by_message_pack() {
    let cluster = Cluster::new();
    let server = serve(&cluster).await;
    let nsp = Nsp::new("/in").unwrap();
    let auth = format!(r#"{{"ws_token":"{}"}}"#, cluster.fresh_token().await);
    let mut client = Client::open(server.addr()).await;
    send(&mut client, Outgoing::open(&nsp, &auth), &[]).await;
    assert!(matches!(next(&mut client).await.0, Kind::Connect { .. }));
    let (Kind::Event { name, .. }, _) = next(&mut client).await else { panic!("no accept") };
    assert_eq!(name, "whisk.auth.accept");
    // A wrong one is refused in the same form.
    let mut client = Client::open(server.addr()).await;
    send(&mut client, Outgoing::open(&nsp, r#"{"ws_token":"x"}"#), &[]).await;
    let (Kind::ConnectError { error }, _) = next(&mut client).await else { panic!("no refusal") };
    assert!(error.contains("session_refused"), "{error}");
    assert_eq!(soon(client.ended()).await.code, Some(4101));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn message_pack_goes_over_long_polling_too() {
    let cluster = Cluster::new();
    let server = serve(&cluster).await;
    let mut poller = Poller::open(server.addr()).await;
    let open = Outgoing::open(&ROOT, "").to_msgpack(&[]).unwrap();
    let echo = Outgoing::event(&ROOT, Some(1), "test.echo", "9").to_msgpack(&[]).unwrap();
    poller.post(&payload::encode(&[Packet::Binary(open), Packet::Binary(echo)])).await.ok();
    let mut kinds = Vec::new();
    while kinds.len() < 2 {
        let body = poller.packet().await;
        let packets = payload::decode(&body.into(), &payload::PayloadLimits::default()).unwrap();
        let [Packet::Binary(message)] = &packets[..] else { panic!("{packets:?}") };
        kinds.push(decode(message).0);
    }
    assert!(matches!(kinds[0], Kind::Connect { .. }));
    assert_eq!(kinds[1], Kind::Ack { id: 1, args: "9".into() });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn text_and_broken_message_pack_close_the_one_connection() {
    let cluster = Cluster::new();
    let server = serve(&cluster).await;
    let mut neighbour = Client::open(server.addr()).await;
    send(&mut neighbour, Outgoing::open(&ROOT, ""), &[]).await;
    next(&mut neighbour).await;
    let nested = [&[0x84, 0xa4][..], b"data", &[0x91; 50]].concat();
    for bytes in [frames::text("40"), frames::binary(&[0xc1]), frames::binary(&nested)] {
        let mut client = Client::open(server.addr()).await;
        client.raw(&bytes).await;
        let code = soon(client.ended()).await.code.unwrap();
        assert!(matches!(code, 1007 | 1009), "{code}");
    }
    send(&mut neighbour, Outgoing::event(&ROOT, Some(1), "test.echo", "1"), &[]).await;
    assert_eq!(next(&mut neighbour).await.0, Kind::Ack { id: 1, args: "1".into() });
}
