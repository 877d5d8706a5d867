//! The message-pack parser: what the reference parser wrote is read, and written again byte
//! for byte; and every way to break a message.

use bytes::{BufMut, Bytes, BytesMut};
use bytestring::ByteString;
use wire::CloseCode;
use wire::socketio::msgpack::{self, FormatError};
use wire::socketio::{ArgsError, DecodeError, Kind, Limits, Nsp, Outgoing, Packet};
use wire::ws::{DecodeLimits, Message, client};

/// Packets as the reference parser writes them.
const VECTORS: &str = include_str!("msgpack_vectors.tsv");

/// Room for any packet of these tests.
const MAX_BYTES: usize = 1 << 20;

struct Vector {
    name: &'static str,
    is_written_alike: bool,
    message: Bytes,
    packet: Packet,
    attachments: Vec<Bytes>,
}

fn hex(text: &str) -> Bytes {
    let digits: Vec<u8> =
        text.chars().filter_map(|digit| digit.to_digit(16)).map(|digit| digit as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

#[expect(
    clippy::expect_used,
    clippy::panic,
    reason = "the rows of a file that is part of the test"
)]
fn vectors() -> impl Iterator<Item = Vector> {
    VECTORS.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let row: Vec<&str> = line.split('\t').collect();
        let [name, form, message, text, attachments] = row[..] else { panic!("{line}") };
        Vector {
            name,
            is_written_alike: form == "both",
            message: hex(message),
            packet: crate::socketio::decode(text).expect(name),
            attachments: match attachments {
                "-" => Vec::new(),
                list => list.split(',').map(hex).collect(),
            },
        }
    })
}

fn decode(message: impl Into<Bytes>) -> Result<(Packet, Vec<Bytes>), DecodeError> {
    msgpack::decode(&message.into(), &Limits::default(), MAX_BYTES)
}

/// The message of a received packet, as if it were relayed.
fn encode(packet: &Packet, attachments: &[Bytes]) -> Result<Bytes, ArgsError> {
    let nsp = &packet.nsp;
    match &packet.kind {
        Kind::Connect { auth } => Outgoing::open(nsp, auth.as_deref().unwrap_or_default()),
        Kind::Disconnect => Outgoing::disconnect(nsp),
        Kind::Event { id, name, args } => Outgoing::event(nsp, *id, name, args),
        Kind::Ack { id, args } => Outgoing::ack(nsp, *id, args),
        Kind::ConnectError { error } => Outgoing::connect_error(nsp, error),
    }
    .to_msgpack(attachments)
}

/// A packet of any fields, each a name and the message-pack of its value.
fn fields(fields: &[(&str, &[u8])]) -> Bytes {
    let mut out = vec![0x80 | fields.len() as u8];
    for (key, value) in fields {
        out.push(0xa0 | key.len() as u8);
        out.extend_from_slice(key.as_bytes());
        out.extend_from_slice(value);
    }
    out.into()
}

/// An event whose arguments are the given bytes, `len` values.
fn event(len: u8, args: &[u8]) -> Bytes {
    let data = [&[0x90 | (len + 1), 0xa1, b'a'], args].concat();
    fields(&[("type", &[2]), ("nsp", b"\xa1/"), ("data", &data)])
}

fn args_of(len: u8, args: &[u8]) -> Result<ByteString, DecodeError> {
    match decode(event(len, args))?.0.kind {
        Kind::Event { args, .. } => Ok(args),
        _ => Err(DecodeError::UnknownType),
    }
}

#[test]
fn packets_of_the_reference_parser_are_read_in_the_form_of_text() {
    for vector in vectors() {
        let (packet, attachments) = decode(vector.message).unwrap();
        assert_eq!(packet, vector.packet, "{}", vector.name);
        assert_eq!(attachments, vector.attachments, "{}", vector.name);
    }
}

#[test]
fn packets_are_written_as_the_reference_parser_writes_them() {
    for vector in vectors().filter(|vector| vector.is_written_alike) {
        let written = encode(&vector.packet, &vector.attachments).unwrap();
        assert_eq!(written, vector.message, "{}", vector.name);
    }
    let answer = Outgoing::connect(&Nsp::ROOT, "oSO0OpakMV_3jnilAAAA").to_msgpack(&[]).unwrap();
    let expected = vectors().find(|vector| vector.name == "connect-answer").unwrap();
    assert_eq!(answer, expected.message);
}

#[test]
fn long_values_have_the_headers_of_the_reference_parser() {
    let text = format!("\"{}\"", "é".repeat(32_768));
    let array = format!("[{}]", vec!["1"; 65_536].join(","));
    let cases = [
        ("t", text, "83a47479706502a36e7370a12fa46461746192a174db00010000c3a9c3a9"),
        ("a", array, "83a47479706502a36e7370a12fa46461746192a161dd0001000001010101"),
    ];
    for (name, args, start) in cases {
        let message = Outgoing::event(&Nsp::ROOT, None, name, &args).to_msgpack(&[]).unwrap();
        assert_eq!((&message[..30], message.len()), (&hex(start)[..], 65_562));
        let Kind::Event { args: back, .. } = decode(message).unwrap().0.kind else { panic!() };
        assert_eq!(back, args);
    }
}

#[test]
fn frames_carry_the_message_at_every_length() {
    let nsp = Nsp::ROOT;
    for len in [0, 90, 200, 65_000, 66_000] {
        let args = format!("\"{}\"", "x".repeat(len));
        let packet = Outgoing::event(&nsp, Some(1), "a", &args);
        let mut frame = BytesMut::from(&packet.to_msgpack_frame(&[]).unwrap()[..]);
        let read = client::decoder(DecodeLimits::OFF).decode(&mut frame);
        assert_eq!(read, Ok(Some(Message::Binary(packet.to_msgpack(&[]).unwrap()))));
        assert!(frame.is_empty());
    }
}

#[test]
fn keys_may_come_in_any_order_and_unknown_ones_are_passed_over() {
    let message = fields(&[
        ("more", b"\x92\x81\xa1x\xc4\x01\xff\xd4\x00\x00"),
        ("id", &[5]),
        ("data", b"\x92\xa1a\xc0"),
        ("nsp", b"\xa6/b?q=1"),
        ("type", &[2]),
    ]);
    let kind = Kind::Event { id: Some(5), name: "a".into(), args: "null".into() };
    let nsp = Nsp::new("/b").unwrap();
    assert_eq!(decode(message).unwrap(), (Packet { nsp, attachments: 0, kind }, vec![]));
    // As Python's client leaves.
    let message = fields(&[("type", &[1]), ("data", &[0xc0]), ("nsp", b"\xa1/"), ("id", &[0xc0])]);
    assert_eq!(decode(message).unwrap().0.kind, Kind::Disconnect);
}

#[test]
fn names_and_attachments_are_slices_of_the_message() {
    let message = event(1, b"\xc4\x03abc");
    let memory = message.as_ptr_range();
    let (packet, attachments) = decode(message.clone()).unwrap();
    let Kind::Event { name, .. } = packet.kind else { panic!("an event") };
    assert!(memory.contains(&name.as_ptr()) && memory.contains(&attachments[0].as_ptr()));
}

#[test]
fn values_become_what_javascript_makes_of_them_in_json() {
    let cases: &[(u8, &[u8], &str)] = &[
        (1, b"\xca\x3f\x00\x00\x00", "0.5"),
        (1, b"\xca\x7f\xc0\x00\x00", "null"),
        (1, b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff", "18446744073709551615"),
        (1, b"\xd3\x80\x00\x00\x00\x00\x00\x00\x00", "-9223372036854775808"),
        // Longer than it has to be.
        (1, b"\xd3\x00\x00\x00\x00\x00\x00\x00\x07", "7"),
        (1, b"\xdb\x00\x00\x00\x01x", r#""x""#),
        (1, b"\xdd\x00\x00\x00\x01\xc3", "[true]"),
        (1, b"\xdf\x00\x00\x00\x01\xa1k\xc2", r#"{"k":false}"#),
        (1, b"\x83\x01\x02\xff\x03\xa1\"\x04", r#"{"1":2,"-1":3,"\"":4}"#),
        (1, b"\x82\xa1a\xd4\x00\x00\xa1b\xd4\x00\x00", "{}"),
        (1, b"\xd7\x00\x7f\xff\xff\xff\xff\xff\xff\xff", "null"),
        (3, b"\xc7\x00\x00\xc4\x00\xc0", PLACEHOLDERS),
    ];
    const PLACEHOLDERS: &str =
        r#"{"_placeholder":true,"num":0},{"_placeholder":true,"num":1},null"#;
    for (len, args, json) in cases {
        assert_eq!(args_of(*len, args).unwrap(), *json);
    }
}

/// `matches!` for a table: the pattern of each row is a name.
macro_rules! assert_refused {
    ($($message:expr => $kind:pat,)+) => {$(
        let message = Bytes::from($message);
        let refused = decode(message.clone());
        assert!(matches!(refused, Err($kind)), "{message:?} gave {refused:?}");
    )+};
}

#[test]
fn packets_that_are_none_are_refused() {
    let packet = |kind: &[u8], rest: &[(&str, &[u8])]| {
        fields(&[&[("type", kind), ("nsp", &b"\xa1/"[..])], rest].concat())
    };
    let data = |data: &'static [u8]| [("data", data)];
    assert_refused! {
        b"".to_vec() => DecodeError::Empty,
        b"\x02".to_vec() => DecodeError::BadShape,
        b"\xa2hi".to_vec() => DecodeError::BadShape,
        b"\x92\x02\x01".to_vec() => DecodeError::BadShape,
        b"\x80".to_vec() => DecodeError::UnknownType,
        fields(&[("nsp", b"\xa1/")]) => DecodeError::UnknownType,
        packet(&[5], &data(b"\x91\xa1a")) => DecodeError::UnknownType,
        packet(&[6], &data(b"\x90")) => DecodeError::UnknownType,
        packet(&[0xff], &[]) => DecodeError::UnknownType,
        packet(b"\xa12", &data(b"\x91\xa1a")) => DecodeError::UnknownType,
        packet(b"\xcb\x40\0\0\0\0\0\0\0", &data(b"\x91\xa1a")) => DecodeError::UnknownType,
        fields(&[("type", &[0])]) => DecodeError::BadShape,
        fields(&[("type", &[0]), ("nsp", &[0xc0])]) => DecodeError::BadShape,
        fields(&[("type", &[0]), ("nsp", b"\xa5admin")]) => DecodeError::BadShape,
        fields(&[("type", &[0]), ("nsp", b"\xa4/a,b")]) => DecodeError::BadShape,
        // Data that the type has not, or has in another shape.
        packet(&[0], &data(b"\xa1x")) => DecodeError::BadShape,
        packet(&[0], &data(b"\x90")) => DecodeError::BadShape,
        packet(&[0], &data(b"\x81\xa1x\xc4\x01x")) => DecodeError::TooManyAttachments,
        packet(&[0], &[("id", &[1])]) => DecodeError::Unexpected,
        packet(&[1], &data(b"\x80")) => DecodeError::Unexpected,
        packet(&[4], &[]) => DecodeError::BadShape,
        packet(&[4], &data(b"\x90")) => DecodeError::BadShape,
        packet(&[2], &[]) => DecodeError::BadShape,
        packet(&[2], &data(b"\x80")) => DecodeError::BadShape,
        packet(&[3], &data(b"\x90")) => DecodeError::MissingAckId,
        // Names and ids.
        packet(&[2], &data(b"\x90")) => DecodeError::BadEventName,
        packet(&[2], &data(b"\x91\x01")) => DecodeError::BadEventName,
        packet(&[2], &data(b"\x91\xa7connect")) => DecodeError::ReservedEventName,
        packet(&[2], &data(b"\x91\xaddisconnecting")) => DecodeError::ReservedEventName,
        packet(&[3], &[("data", b"\x90"), ("id", &[0xff])]) => DecodeError::BadAckId,
        packet(&[3], &[("data", b"\x90"), ("id", b"\xa11")]) => DecodeError::BadAckId,
        packet(&[3], &[("data", b"\x90"), ("id", b"\xcf\x00\x20\0\0\0\0\0\0")]) => DecodeError::BadAckId,
        packet(&[3], &[("data", b"\x90"), ("id", &[0xcf; 9])]) => DecodeError::BadAckId,
        // Attachments.
        event(11, &[0xc4, 0].repeat(11)) => DecodeError::TooManyAttachments,
        event(2, b"\xc4\x00\x82\xac_placeholder\xc3\xa3num\x01") => DecodeError::BadPlaceholder,
    }
}

#[test]
fn messages_that_are_no_message_pack_are_refused() {
    use FormatError::*;
    let packet = |rest: &[u8]| [b"\x83\xa4type\x02\xa3nsp\xa1/".as_slice(), rest].concat();
    assert_refused! {
        packet(b"") => DecodeError::BadMessagePack(Truncated),
        packet(b"\xa4data\x91\xa1") => DecodeError::BadMessagePack(Truncated),
        packet(b"\xa4data\x91\xa1a\x00") => DecodeError::BadMessagePack(Trailing),
        packet(b"\xa4data\x91\xc1") => DecodeError::BadMessagePack(ReservedMarker),
        packet(b"\x01\x01") => DecodeError::BadMessagePack(BadKey),
        packet(b"\xa4type\x02") => DecodeError::BadMessagePack(RepeatedKey),
        event(1, b"\xa1\xff") => DecodeError::BadMessagePack(InvalidUtf8),
        event(1, b"\x81\xa1\xff\x01") => DecodeError::BadMessagePack(InvalidUtf8),
        event(1, b"\x81\xc0\x01") => DecodeError::BadMessagePack(BadKey),
        event(1, b"\x81\x90\x01") => DecodeError::BadMessagePack(BadKey),
        event(1, b"\xd4\x01\x00") => DecodeError::BadMessagePack(UnknownExtension),
        event(1, b"\xd6\xff\x00\x00\x00\x00") => DecodeError::BadMessagePack(UnknownExtension),
        event(1, b"\xc7\x01\x05x") => DecodeError::BadMessagePack(UnknownExtension),
        fields(&[("type", &[0]), ("nsp", b"\xa2/\xff")]) => DecodeError::BadMessagePack(InvalidUtf8),
        fields(&[("type", &[2]), ("nsp", b"\xa1/"), ("data", b"\x91\xa1\xff")])
            => DecodeError::BadMessagePack(InvalidUtf8),
    }
}

#[test]
fn announced_lengths_are_not_believed() {
    // What follows a header is no value: whoever looks at it before the length says so.
    let is_truncated = |args: &[u8]| {
        matches!(decode(event(1, args)), Err(DecodeError::BadMessagePack(FormatError::Truncated)))
    };
    for marker in [0xc6, 0xdb, 0xdd, 0xdf] {
        for len in [u32::MAX, 1 << 31, 4] {
            let mut value = vec![marker];
            value.put_u32(len);
            value.extend_from_slice(&[0xc1; 3]);
            assert!(is_truncated(&value), "{marker:x} {len}");
        }
    }
    assert!(is_truncated(b"\xc9\xff\xff\xff\xff\x00\xc1"));
    // A pair takes two bytes.
    assert!(is_truncated(b"\xdf\x00\x00\x00\x02\xc1\xc1\xc1"));
    // Each of these has what it announces, and all together owe more than there is.
    assert!(is_truncated(&[&b"\xdc\x00\x20".repeat(20)[..], &[0xc1; 40]].concat()));
}

#[test]
fn depth_and_size_are_bounded() {
    let nested = |depth: usize| [&vec![0x91; depth - 1][..], &[0xc0]].concat();
    assert_eq!(args_of(1, &nested(32)).unwrap().len(), 31 * 2 + 4);
    assert!(matches!(args_of(1, &nested(33)), Err(DecodeError::TooDeep)));
    assert!(matches!(args_of(1, &nested(20_000)), Err(DecodeError::TooDeep)));
    // A placeholder is an object of the text.
    let binary = |depth: usize| [&vec![0x91; depth - 2][..], &[0xc4, 0]].concat();
    assert!(args_of(1, &binary(32)).is_ok());
    assert!(matches!(args_of(1, &binary(33)), Err(DecodeError::TooDeep)));
    // What is passed over costs neither stack nor memory.
    let deep = [&vec![0x91; 1_000_000][..], &[0xc0]].concat();
    let message = fields(&[("type", &[1]), ("nsp", b"\xa1/"), ("options", &deep)]);
    assert!(decode(message).is_ok());
    let off = Limits { max_depth: usize::MAX, ..Limits::default() };
    assert!(msgpack::decode(&event(1, &deep), &off, usize::MAX).is_ok());
    // Control characters become six times as long; attachments count too.
    let text = [&[0xda, 0x01, 0x00][..], &[1; 256]].concat();
    let bounded = |message: &Bytes, max| msgpack::decode(message, &Limits::default(), max);
    assert!(bounded(&event(1, &text), 6 * 256 + 2).is_ok());
    let refused = bounded(&event(1, &text), 6 * 256 + 1);
    assert!(matches!(refused, Err(DecodeError::TooLarge)));
    assert_eq!(refused.unwrap_err().close_code(), CloseCode::TOO_LARGE);
    let binary = [&[0xc5, 0x01, 0x00][..], &[1; 256]].concat();
    assert!(bounded(&event(1, &binary), 256 + 29).is_ok());
    assert!(matches!(bounded(&event(1, &binary), 256 + 28), Err(DecodeError::TooLarge)));
}

#[test]
fn arguments_that_cannot_be_written_are_refused() {
    let write = |args: &str, attachments: &[Bytes]| {
        Outgoing::event(&Nsp::ROOT, None, "a", args).to_msgpack(attachments)
    };
    for args in ["[", "1,", "{\"a\"}", "\"\\x\"", "tru", "-inf", "1a", "-"] {
        assert_eq!(write(args, &[]), Err(ArgsError::Malformed), "{args}");
    }
    let one = [Bytes::from_static(b"x")];
    assert_eq!(write(r#"{"_placeholder":true,"num":1}"#, &one), Err(ArgsError::BadPlaceholder));
    assert_eq!(write(r#"{"_placeholder":true}"#, &one), Err(ArgsError::BadPlaceholder));
    assert_eq!(Outgoing::open(&Nsp::ROOT, "{},{}").to_msgpack(&[]), Err(ArgsError::Malformed));
    // Beyond 64 bits a number is a float, as it is in JavaScript; `-0` is 0.
    assert_eq!(write("18446744073709551616", &[]).unwrap()[21..], *b"\xcb\x43\xf0\0\0\0\0\0\0");
    assert_eq!(write("-0,1.0", &[]).unwrap()[21..], *b"\x00\xcb\x3f\xf0\0\0\0\0\0\0");
}
