//! What holds for any bytes. Method: streams are generated, valid, spoiled and random; a
//! failure prints the smallest one.

use bytes::{Bytes, BytesMut};
use bytestring::ByteString;
use proptest::prelude::*;
use proptest::sample::Index;
use wire::engine::{self, payload};
use wire::socketio::{Kind, Limits, Nsp, Outgoing, msgpack};
use wire::ws::{DecodeLimits, Message, Opcode, client, encode};
use wire::{CloseCode, CloseReason};

use crate::socketio::decode;
use crate::support::feed;

/// Small enough that generated streams reach them.
const LIMITS: DecodeLimits =
    DecodeLimits { max_payload: 300, max_fragments: 6, fragment_charge: 16, max_held: 350 };

/// A message, and the places at which its payload is cut into fragments.
type Cut = (Message, Vec<Index>);

fn any_message() -> impl Strategy<Value = Cut> {
    let data = prop::collection::vec(any::<u8>(), 0..290);
    let short = prop::collection::vec(any::<u8>(), 0..=125);
    let message = prop_oneof![
        4 => "\\PC{0,70}".prop_map(|text| Message::Text(text.into())),
        2 => data.prop_map(|data| Message::Binary(data.into())),
        1 => short.clone().prop_map(|data| Message::Ping(data.into())),
        1 => short.prop_map(|data| Message::Pong(data.into())),
    ];
    (message, prop::collection::vec(any::<Index>(), 0..4))
}

/// The frames that a client sends for a message; pings may be cut by nobody.
fn frames((message, cuts): &Cut, key: [u8; 4], out: &mut Vec<u8>) {
    let (opcode, payload): (_, &[u8]) = match message {
        Message::Text(text) => (Opcode::Text, text.as_ref()),
        Message::Binary(data) => (Opcode::Binary, data),
        Message::Ping(data) => return out.extend_from_slice(&client::ping(data)),
        Message::Pong(data) => return out.extend_from_slice(&client::pong(data)),
        Message::Close(_) => return,
    };
    let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(payload.len() + 1)).collect();
    ends.push(payload.len());
    ends.sort_unstable();
    let mut start = 0;
    for (index, end) in ends.iter().enumerate() {
        let opcode = if index == 0 { opcode } else { Opcode::Continuation };
        let fin = index + 1 == ends.len();
        out.extend_from_slice(&client::fragment(opcode, fin, &payload[start..*end], key));
        start = *end;
    }
}

fn stream(messages: &[Cut], key: [u8; 4]) -> Vec<u8> {
    let mut out = Vec::new();
    for message in messages {
        frames(message, key, &mut out);
    }
    out
}

/// Argument lists that are valid JSON: the text of any JSON values.
fn any_args() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        any::<String>().prop_map(Into::into),
    ];
    let value = leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            prop::collection::btree_map(any::<String>(), inner, 0..4)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    });
    prop::collection::vec(value, 0..4).prop_map(|values| {
        let text = serde_json::Value::from(values).to_string();
        text[1..text.len() - 1].to_owned()
    })
}

/// Whether texts of arguments are what is promised of them.
fn is_list(args: &str) -> bool {
    serde_json::from_str::<Vec<serde::de::IgnoredAny>>(&format!("[{args}]")).is_ok()
}

proptest! {
    #[test]
    fn messages_survive_any_fragments_and_any_cuts_of_the_stream(
        messages in prop::collection::vec(any_message(), 0..8),
        key: [u8; 4],
        sizes in prop::collection::vec(1..400_usize, 1..8),
    ) {
        let limits = DecodeLimits::default();
        let stream = stream(&messages, key);
        let expected: Vec<Message> = messages.into_iter().map(|(message, _)| message).collect();
        for sizes in [&[usize::MAX][..], &[1], &sizes] {
            prop_assert_eq!(&feed(limits, &stream, sizes), &(expected.clone(), None));
        }
    }

    #[test]
    fn a_spoiled_stream_ends_the_same_however_it_is_cut(
        messages in prop::collection::vec(any_message(), 1..8),
        key: [u8; 4],
        spoils in prop::collection::vec((any::<Index>(), any::<u8>()), 0..6),
        end: Index,
        sizes in prop::collection::vec(1..400_usize, 1..8),
    ) {
        let mut stream = stream(&messages, key);
        for (at, byte) in spoils {
            let at = at.index(stream.len());
            stream[at] = byte;
        }
        stream.truncate(end.index(stream.len() + 1));
        let whole = feed(LIMITS, &stream, &[usize::MAX]);
        prop_assert_eq!(&whole, &feed(LIMITS, &stream, &[1]));
        prop_assert_eq!(&whole, &feed(LIMITS, &stream, &sizes));
    }

    #[test]
    fn garbage_ends_the_same_however_it_is_cut(
        stream in prop::collection::vec(any::<u8>(), 0..600),
    ) {
        let whole = feed(LIMITS, &stream, &[usize::MAX]);
        prop_assert_eq!(&whole, &feed(LIMITS, &stream, &[1]));
    }

    #[test]
    fn what_a_server_writes_a_client_reads(
        text in ".*",
        data in prop::collection::vec(any::<u8>(), 0..70_000),
        code in prop_oneof![Just(1000_u16), 1007..=1014_u16, 3000..5000_u16],
        reason in ".*",
    ) {
        let code = CloseCode::from_wire(code).unwrap();
        let reason = CloseReason::new(reason);
        let mut buffer = BytesMut::new();
        buffer.extend_from_slice(&encode::text(&text));
        buffer.extend_from_slice(&encode::binary(&data));
        buffer.extend_from_slice(&encode::close(code, &reason));
        let mut reader = client::decoder(DecodeLimits::OFF);
        prop_assert_eq!(reader.decode(&mut buffer), Ok(Some(Message::Text(text.into()))));
        prop_assert_eq!(reader.decode(&mut buffer), Ok(Some(Message::Binary(data.into()))));
        let close = Message::Close(Some((code, reason.as_str().into())));
        prop_assert_eq!(reader.decode(&mut buffer), Ok(Some(close)));
    }

    #[test]
    fn events_come_back_as_they_were_written(
        nsp in "(/|/[a-z/._-]{1,12})",
        id in prop::option::of(0..=wire::socketio::MAX_ACK_ID),
        name: String,
        args in any_args(),
        attachments in 0..=10_usize,
    ) {
        let nsp = Nsp::new(nsp).unwrap();
        let outgoing = Outgoing::event(&nsp, id, &name, &args).with_attachments(attachments);
        let packet = decode(&outgoing.to_text()).unwrap();
        prop_assert_eq!(&packet.nsp, &nsp);
        prop_assert_eq!(packet.attachments, attachments);
        let expected = Kind::Event { id, name: name.into(), args: args.into() };
        prop_assert_eq!(packet.kind, expected);
    }

    #[test]
    fn events_come_back_from_message_pack_as_they_were_written(
        nsp in "(/|/[a-z/._-]{1,12})",
        id in prop::option::of(0..=wire::socketio::MAX_ACK_ID),
        name in ".{0,40}",
        args in any_args(),
        data in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..=10),
    ) {
        let nsp = Nsp::new(nsp).unwrap();
        let attachments: Vec<Bytes> = data.into_iter().map(Bytes::from).collect();
        // The arguments, and after them an array of all attachments.
        let places: Vec<String> = (0..attachments.len())
            .map(|num| format!(r#"{{"_placeholder":true,"num":{num}}}"#))
            .collect();
        let comma = if args.is_empty() { "" } else { "," };
        let args = format!("{args}{comma}[{}]", places.join(","));
        let message = Outgoing::event(&nsp, id, &name, &args).to_msgpack(&attachments).unwrap();
        let (packet, back) = msgpack::decode(&message, &Limits::default(), usize::MAX).unwrap();
        prop_assert_eq!(&packet.nsp, &nsp);
        prop_assert_eq!(packet.attachments, attachments.len());
        prop_assert_eq!(back, attachments);
        let expected = Kind::Event { id, name: name.into(), args: args.into() };
        prop_assert_eq!(packet.kind, expected);
    }

    #[test]
    fn acknowledgements_come_back_as_they_were_written(
        id in 0..=wire::socketio::MAX_ACK_ID,
        args in any_args(),
    ) {
        let text = Outgoing::ack(&Nsp::ROOT, id, &args).to_text();
        prop_assert_eq!(decode(&text).unwrap().kind, Kind::Ack { id, args: args.into() });
    }

    #[test]
    fn any_text_is_a_packet_or_is_refused(text in r#"[0-6]?[0-9]{0,3}-?(/[a-z]{0,3},?)?\PC{0,30}"#) {
        // What is taken holds valid JSON: its arguments between brackets parse.
        if let Ok(packet) = decode(&text)
            && let Kind::Event { args, .. } | Kind::Ack { args, .. } = packet.kind
        {
            prop_assert!(is_list(&args), "{}", args);
        }
    }

    #[test]
    fn spoiled_packets_are_packets_or_are_refused(
        args in any_args(),
        at: Index,
        spoil in prop_oneof![Just('"'), Just('['), Just(']'), Just('\\'), Just(','), any::<char>()],
    ) {
        let mut text: Vec<char> = format!(r#"2/a,1["world.say",{args}]"#).chars().collect();
        let at = at.index(text.len());
        text[at] = spoil;
        let text: String = text.into_iter().collect();
        if let Ok(packet) = decode(&text)
            && let Kind::Event { args, .. } | Kind::Ack { args, .. } = packet.kind
        {
            prop_assert!(is_list(&args), "{}", args);
        }
    }

    #[test]
    fn polling_bodies_come_back_as_they_were_written(
        texts in prop::collection::vec("[^\u{1e}]{0,20}", 1..6),
        data in prop::collection::vec(any::<u8>(), 0..50),
    ) {
        let mut packets: Vec<engine::Packet> =
            texts.into_iter().map(|text| engine::Packet::Message(text.into())).collect();
        packets.push(engine::Packet::Binary(Bytes::from(data)));
        let body = ByteString::from(payload::encode(&packets));
        let limits = payload::PayloadLimits::default();
        prop_assert_eq!(payload::decode(&body, &limits), Ok(packets));
    }

    #[test]
    fn any_query_is_read_or_refused(query in "((EIO|transport|sid|t)=?[a-z0-9]{0,9}&?|\\PC{0,5}){0,5}") {
        if let Ok(request) = engine::OpenRequest::parse(&query) {
            prop_assert!(query.contains(request.transport.name()));
        }
    }
}
