//! What must hold of each decoder for any input at all.

use bytes::{Bytes, BytesMut};
use bytestring::ByteString;
use serde_json::Value;
use wire::engine::payload::{self, PayloadLimits};
use wire::engine::{self, OpenRequest};
use wire::socketio::{self, ArgsError, Assembler, DecodeError, Kind, Limits, Outgoing, Packet};
use wire::socketio::{check_placeholders, msgpack};
use wire::ws::handshake::UpgradeRequest;
use wire::ws::{DecodeLimits, Decoder, Message, Violation, client, encode};

/// Small enough that the seeds reach each bound.
const FRAMES: DecodeLimits =
    DecodeLimits { max_payload: 300, max_fragments: 6, fragment_charge: 16, max_held: 350 };

/// Of a packet with its attachments.
const MAX_BYTES: usize = 2048;

fn text_of(input: &[u8]) -> ByteString {
    String::from_utf8_lossy(input).into_owned().into()
}

/// All that a decoder makes of a stream that comes in pieces of `size`.
fn feed(mut decoder: Decoder, stream: &[u8], size: usize) -> (Vec<Message>, Option<Violation>) {
    let mut buffer = BytesMut::new();
    let mut messages = Vec::new();
    for piece in stream.chunks(size) {
        buffer.extend_from_slice(piece);
        loop {
            match decoder.decode(&mut buffer) {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(violation) => return (messages, Some(violation)),
            }
        }
        assert!(decoder.held() <= FRAMES.max_held);
        // The buffer grows by what comes, and never by what is announced.
        assert!(buffer.capacity() <= 2 * stream.len() + 64, "{}", buffer.capacity());
    }
    (messages, None)
}

pub(crate) fn client_frames(input: &[u8]) {
    let whole = feed(Decoder::new(FRAMES), input, usize::MAX);
    assert_eq!(whole, feed(Decoder::new(FRAMES), input, 1), "byte by byte");
    assert_eq!(whole, feed(Decoder::new(FRAMES), input, 7), "in pieces");
    let again: Vec<u8> = whole.0.iter().flat_map(client_frame).collect();
    assert_eq!(feed(Decoder::new(FRAMES), &again, usize::MAX), (whole.0, None));
}

pub(crate) fn server_frames(input: &[u8]) {
    let whole = feed(client::decoder(FRAMES), input, usize::MAX);
    assert_eq!(whole, feed(client::decoder(FRAMES), input, 1), "byte by byte");
    let again: Vec<u8> = whole.0.iter().flat_map(server_frame).collect();
    assert_eq!(feed(client::decoder(FRAMES), &again, usize::MAX), (whole.0, None));
}

fn client_frame(message: &Message) -> Bytes {
    match message {
        Message::Text(text) => client::text(text),
        Message::Binary(data) => client::binary(data),
        Message::Ping(data) => client::ping(data),
        Message::Pong(data) => client::pong(data),
        Message::Close(close) => {
            let server = close_frame(close.as_ref());
            client::fragment(wire::ws::Opcode::Close, true, &server[2..], [1, 2, 3, 4])
        }
    }
}

fn server_frame(message: &Message) -> Bytes {
    match message {
        Message::Text(text) => encode::text(text),
        Message::Binary(data) => encode::binary(data),
        Message::Ping(data) => encode::ping(data),
        Message::Pong(data) => encode::pong(data),
        Message::Close(close) => close_frame(close.as_ref()),
    }
}

fn close_frame(close: Option<&(wire::CloseCode, ByteString)>) -> Bytes {
    match close {
        Some((code, reason)) => encode::close(*code, &wire::CloseReason::new(reason.to_string())),
        None => encode::close(wire::CloseCode::NO_CODE, &wire::CloseReason::default()),
    }
}

/// The lines of an input: method, version of HTTP, and four headers, which an empty or missing
/// line leaves out.
pub(crate) fn upgrade_requests(input: &[u8]) {
    let text = text_of(input);
    let mut lines = text.split('\n');
    let method = lines.next().unwrap_or_default();
    let minor = lines.next().and_then(|line| line.parse().ok()).unwrap_or_default();
    let mut header = || lines.next().filter(|line| !line.is_empty());
    let request = UpgradeRequest {
        method,
        http_version: (1, minor),
        upgrade: header(),
        connection: header(),
        key: header(),
        version: header(),
    };
    match request.check() {
        Ok(accept) => {
            let response = accept.response();
            assert!(response.starts_with(b"HTTP/1.1 101 ") && response.ends_with(b"\r\n\r\n"));
            assert_eq!(response.split(|byte| *byte == b'\n').count(), 6, "no line slips in");
        }
        Err(refusal) => assert!((400..=426).contains(&refusal.status())),
    }
}

pub(crate) fn queries(input: &[u8]) {
    let query = text_of(input);
    let Ok(request) = OpenRequest::parse(&query) else { return };
    assert!(query.contains(request.transport.name()));
    assert!(request.sid.is_none_or(|sid| !sid.is_empty() && query.contains(sid)));
    for method in ["GET", "POST", "OPTIONS", "DELETE", ""] {
        for upgrade in [false, true] {
            match request.action(method, upgrade) {
                Ok(engine::Action::Open(transport)) => {
                    assert_eq!((transport, request.sid), (request.transport, None));
                }
                Ok(engine::Action::Preflight) => assert_eq!(method, "OPTIONS"),
                Ok(
                    engine::Action::Poll(sid)
                    | engine::Action::Push(sid)
                    | engine::Action::Upgrade(sid),
                ) => assert_eq!(request.sid, Some(sid)),
                Err(error) => assert!(matches!(error.code(), 2 | 3)),
            }
        }
    }
}

pub(crate) fn engine_packets(input: &[u8]) {
    let Ok(packet) = engine::Packet::decode(&text_of(input)) else { return };
    let mut frame = BytesMut::from(&packet.to_frame()[..]);
    let read = client::decoder(DecodeLimits::OFF).decode(&mut frame);
    let Ok(Some(Message::Text(text))) = read else { unreachable!("{read:?}") };
    assert_eq!(engine::Packet::decode(&text), Ok(packet));
}

pub(crate) fn polling_bodies(input: &[u8]) {
    let limits = PayloadLimits { max_payload: 1024, max_packets: 20 };
    let Ok(packets) = payload::decode_body(Bytes::copy_from_slice(input), &limits) else { return };
    assert!(input.len() <= limits.max_payload && packets.len() <= limits.max_packets);
    assert!(packets.capacity() <= 32);
    let body = payload::encode(&packets);
    assert!(body.len() <= input.len() + 2 * packets.len(), "only padding may be added");
    let off = PayloadLimits { max_payload: usize::MAX, ..limits };
    assert_eq!(payload::decode(&body.into(), &off), Ok(packets));
}

/// A packet that is relayed as it was received.
fn outgoing(packet: &Packet) -> Outgoing<'_> {
    let nsp = &packet.nsp;
    match &packet.kind {
        Kind::Connect { auth } => Outgoing::open(nsp, auth.as_deref().unwrap_or_default()),
        Kind::Disconnect => Outgoing::disconnect(nsp),
        Kind::Event { id, name, args } => Outgoing::event(nsp, *id, name, args),
        Kind::Ack { id, args } => Outgoing::ack(nsp, *id, args),
        Kind::ConnectError { error } => Outgoing::connect_error(nsp, error),
    }
    .with_attachments(packet.attachments)
}

/// What is promised of any packet: JSON of bounded depth, and few attachments.
fn judge(packet: &Packet) {
    let limits = Limits::default();
    assert!(packet.attachments <= limits.max_attachments);
    let json = match &packet.kind {
        Kind::Connect { auth } => auth.as_deref().unwrap_or("{}").to_owned(),
        Kind::Disconnect => return,
        Kind::Event { args, .. } | Kind::Ack { args, .. } => format!("[{args}]"),
        Kind::ConnectError { error } => error.to_string(),
    };
    let value: Result<serde::de::IgnoredAny, _> = serde_json::from_str(&json);
    assert!(value.is_ok(), "{json}");
    let again = socketio::decode(&outgoing(packet).to_text().into(), &limits);
    // A packet with attachments is binary, one without is not; but for that it is the same.
    assert_eq!(again.ok().as_ref(), Some(packet));
}

/// Message-pack and back: the first way may change numbers and number attachments anew, the
/// second changes nothing.
fn through_msgpack(packet: &Packet, attachments: &[Bytes]) {
    let Ok(first) = outgoing(packet).to_msgpack(attachments) else {
        unreachable!("what was read can be written: {packet:?}")
    };
    let (packet, attachments) = match msgpack::decode(&first, &Limits::default(), MAX_BYTES) {
        Ok(read) => read,
        // Attachments that were named twice are two, and escapes may have grown.
        Err(DecodeError::TooManyAttachments | DecodeError::TooLarge) => return,
        Err(error) => unreachable!("{error:?} of {packet:?}"),
    };
    let second = outgoing(&packet).to_msgpack(&attachments).unwrap_or_default();
    let again = msgpack::decode(&second, &Limits::default(), MAX_BYTES);
    assert_eq!(again.ok(), Some((packet, attachments)));
}

pub(crate) fn text_packets(input: &[u8]) {
    let text = text_of(input);
    let Ok(packet) = socketio::decode(&text, &Limits::default()) else { return };
    judge(&packet);
    let attachments: Vec<Bytes> =
        (0..packet.attachments).map(|index| vec![7; index].into()).collect();
    through_msgpack(&packet, &attachments);
}

pub(crate) fn msgpack_packets(input: &[u8]) {
    let message = Bytes::copy_from_slice(input);
    let Ok((packet, attachments)) = msgpack::decode(&message, &Limits::default(), MAX_BYTES) else {
        return;
    };
    assert_eq!(packet.attachments, attachments.len());
    let json = match &packet.kind {
        Kind::Event { args: json, .. } | Kind::Ack { args: json, .. } => json.len(),
        Kind::ConnectError { error } => error.len(),
        Kind::Connect { auth } => auth.as_ref().map_or(0, |auth| auth.len()),
        Kind::Disconnect => 0,
    };
    assert!(json + attachments.iter().map(Bytes::len).sum::<usize>() <= MAX_BYTES);
    judge(&packet);
    through_msgpack(&packet, &attachments);
}

pub(crate) fn placeholders(input: &[u8]) {
    let args = text_of(input);
    for count in 0..3 {
        let checked = check_placeholders(&args, count);
        // What a parser makes a tree of is judged by the tree.
        if let Ok(tree) = serde_json::from_str::<Value>(&format!("[{args}]")) {
            let expected =
                if has_only(&tree, count) { Ok(()) } else { Err(ArgsError::BadPlaceholder) };
            assert_eq!(checked, expected);
        }
    }
}

fn has_only(value: &Value, count: usize) -> bool {
    match value {
        Value::Array(values) => values.iter().all(|value| has_only(value, count)),
        Value::Object(map) => {
            let is_placeholder = map.get("_placeholder") == Some(&Value::Bool(true));
            let num = map.get("num").and_then(Value::as_u64);
            (!is_placeholder || num.is_some_and(|num| num < count as u64))
                && map.values().all(|value| has_only(value, count))
        }
        _ => true,
    }
}

/// A polling body, all the way up to packets with their attachments.
pub(crate) fn assemblies(input: &[u8]) {
    let body = Bytes::copy_from_slice(input);
    let Ok(packets) = payload::decode_body(body, &PayloadLimits::default()) else { return };
    let mut assembler = Assembler::new(512);
    for packet in packets {
        let whole = match packet {
            engine::Packet::Message(text) => {
                let Ok(packet) = socketio::decode(&text, &Limits::default()) else { return };
                assembler.packet(packet, text.len()).map(|packet| packet.map(|it| (it, vec![])))
            }
            engine::Packet::Binary(bytes) => assembler.attachment(bytes),
            _ => continue,
        };
        match whole {
            Ok(None) => assert!(assembler.is_waiting()),
            Ok(Some((packet, attachments))) => {
                assert!(!assembler.is_waiting());
                assert_eq!(packet.attachments, attachments.len());
                let bytes = attachments.iter().map(Bytes::len).sum::<usize>();
                assert!(bytes <= 512);
                through_msgpack(&packet, &attachments);
            }
            Err(_) => return,
        }
    }
}
