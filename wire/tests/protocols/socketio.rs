//! The packets of Socket.IO 5: the protocol's own examples, and every way to break them.

use bytestring::ByteString;
use wire::socketio::{self, DecodeError, Kind, Limits, Nsp, Outgoing, Packet};
use wire::{CloseCode, ws};

pub(crate) fn decode(text: &str) -> Result<Packet, DecodeError> {
    socketio::decode(&ByteString::from(text), &Limits::default())
}

#[expect(clippy::unwrap_used, reason = "a row of a table names a valid nsp")]
fn packet(nsp: &str, kind: Kind) -> Packet {
    Packet { nsp: Nsp::new(nsp).unwrap(), attachments: 0, kind }
}

fn event(id: Option<u64>, name: &str, args: &str) -> Kind {
    Kind::Event { id, name: name.into(), args: args.into() }
}

#[test]
fn the_examples_of_the_protocol_are_read() {
    let auth = |text: &str| Kind::Connect { auth: Some(text.into()) };
    let ack = |id, args: &str| Kind::Ack { id, args: args.into() };
    let refusal = |text: &str| Kind::ConnectError { error: text.into() };
    let cases = [
        ("0", packet("/", Kind::Connect { auth: None })),
        ("0/admin,", packet("/admin", Kind::Connect { auth: None })),
        ("0/admin", packet("/admin", Kind::Connect { auth: None })),
        (r#"0{"token":"123"}"#, packet("/", auth(r#"{"token":"123"}"#))),
        (r#"0/admin,{"token":"123"}"#, packet("/admin", auth(r#"{"token":"123"}"#))),
        (r#"0/admin?a=b&c,{"token":1}"#, packet("/admin", auth(r#"{"token":1}"#))),
        ("1", packet("/", Kind::Disconnect)),
        ("1/admin,", packet("/admin", Kind::Disconnect)),
        (r#"2["foo"]"#, packet("/", event(None, "foo", ""))),
        (r#"2/admin,["bar"]"#, packet("/admin", event(None, "bar", ""))),
        (r#"212["foo"]"#, packet("/", event(Some(12), "foo", ""))),
        (r#"2/admin,13["bar",1]"#, packet("/admin", event(Some(13), "bar", "1"))),
        ("313[]", packet("/", ack(13, ""))),
        (r#"3/admin,13["bar",[]]"#, packet("/admin", ack(13, r#""bar",[]"#))),
        ("30[1]", packet("/", ack(0, "1"))),
        (r#"4{"message":"No"}"#, packet("/", refusal(r#"{"message":"No"}"#))),
        (r#"4/admin,"No""#, packet("/admin", refusal(r#""No""#))),
    ];
    for (text, expected) in cases {
        assert_eq!(decode(text).unwrap(), expected, "{text}");
    }
}

#[test]
fn binary_packets_say_how_many_attachments_follow() {
    let placeholder = r#"{"_placeholder":true,"num":0}"#;
    let cases = [
        (format!(r#"51-["baz",{placeholder}]"#), "/", 1, event(None, "baz", placeholder)),
        (
            format!(r#"52-/admin,4["baz",{placeholder}]"#),
            "/admin",
            2,
            event(Some(4), "baz", placeholder),
        ),
        (
            format!("61-/admin,15[{placeholder}]"),
            "/admin",
            1,
            Kind::Ack { id: 15, args: placeholder.into() },
        ),
        (r#"510-["most"]"#.to_owned(), "/", 10, event(None, "most", "")),
        // Whole at once, as the reference parser has it.
        (r#"50-["none"]"#.to_owned(), "/", 0, event(None, "none", "")),
    ];
    for (text, nsp, attachments, kind) in cases {
        assert_eq!(decode(&text).unwrap(), Packet { attachments, ..packet(nsp, kind) }, "{text}");
    }
}

#[test]
fn arguments_are_the_text_between_the_name_and_the_bracket() {
    let cases = [
        (r#"2["world.say",{"a":1},2]"#, "world.say", r#"{"a":1},2"#),
        (r#"2[ "a" , 1 , [2] ]"#, "a", "1 , [2]"),
        ("2[\t\"a\"\r\n]\n", "a", ""),
        (r#"2["a",",]\"}"]"#, "a", r#"",]\"}""#),
        (r#"2["quo\"te\\","x"]"#, "quo\"te\\", r#""x""#),
        (r#"2["\u00e9\ud83d\ude00",null]"#, "é😀", "null"),
        (r#"2["",1]"#, "", "1"),
        (r#"2["a",1e400,12345678901234567890123]"#, "a", "1e400,12345678901234567890123"),
    ];
    for (text, name, args) in cases {
        assert_eq!(decode(text).unwrap(), packet("/", event(None, name, args)), "{text}");
    }
}

#[test]
fn texts_are_slices_of_what_was_received() {
    let text = ByteString::from(r#"2/chat,7["world.say",{"message":"hi"}]"#);
    let memory = text.as_bytes().as_ptr_range();
    let packet = socketio::decode(&text, &Limits::default()).unwrap();
    let Kind::Event { name, args, .. } = packet.kind else { panic!("an event") };
    for slice in [packet.nsp.as_str(), &name, &args] {
        assert!(memory.contains(&slice.as_ptr()), "{slice}");
    }
}

/// `matches!` for a table: the pattern of each row is a name.
macro_rules! assert_refused {
    ($($text:expr => $kind:pat,)+) => {$(
        let text = $text;
        let refused = decode(&text);
        assert!(matches!(refused, Err($kind)), "{text:.60} gave {refused:?}");
    )+};
}

#[test]
fn packets_that_are_none_are_refused() {
    assert_refused! {
        "" => DecodeError::Empty,
        "7" => DecodeError::UnknownType,
        "9[]" => DecodeError::UnknownType,
        "abc" => DecodeError::UnknownType,
        " 2[\"a\"]" => DecodeError::UnknownType,
        "é" => DecodeError::UnknownType,
        "999" => DecodeError::UnknownType,
        // Data that the type has not, or has in another shape.
        r#"0"token""# => DecodeError::BadShape,
        "0[1]" => DecodeError::BadShape,
        "0null" => DecodeError::BadShape,
        "05" => DecodeError::Unexpected,
        "1{}" => DecodeError::Unexpected,
        "1[]" => DecodeError::Unexpected,
        "13" => DecodeError::Unexpected,
        "4" => DecodeError::BadShape,
        "4[]" => DecodeError::BadShape,
        "2" => DecodeError::BadShape,
        "2/admin" => DecodeError::BadShape,
        "2{}" => DecodeError::BadShape,
        r#"2"foo""# => DecodeError::BadShape,
        "3" => DecodeError::MissingAckId,
        "31{}" => DecodeError::BadShape,
        "3[]" => DecodeError::MissingAckId,
        // Text that is not JSON.
        "2[" => DecodeError::BadJson(_),
        "2[\"a\"" => DecodeError::BadJson(_),
        "2[\"a\"]]" => DecodeError::BadJson(_),
        "2[\"a\",]" => DecodeError::BadJson(_),
        "2[\"a\" 1]" => DecodeError::BadJson(_),
        "2[\"a]" => DecodeError::BadJson(_),
        "2[\"\\x\"]" => DecodeError::BadJson(_),
        "2[\"a\",{a:1}]" => DecodeError::BadJson(_),
        "2[\"a\",NaN]" => DecodeError::BadJson(_),
        "2[\"a\",01]" => DecodeError::BadJson(_),
        "2[\"a\nb\"]" => DecodeError::BadJson(_),
        "0{\"token\"" => DecodeError::BadJson(_),
        "2-1[\"a\"]" => DecodeError::BadJson(_),
    }
}

#[test]
fn names_and_ids_and_attachments_are_judged() {
    assert_refused! {
        "2[]" => DecodeError::BadEventName,
        "2[1]" => DecodeError::BadEventName,
        "2[null,\"a\"]" => DecodeError::BadEventName,
        "2[[\"a\"]]" => DecodeError::BadEventName,
        "2[{\"a\":\"b\"}]" => DecodeError::BadEventName,
        r#"2["\ud800"]"# => DecodeError::BadEventName,
        r#"2["connect"]"# => DecodeError::ReservedEventName,
        r#"2["connect_error"]"# => DecodeError::ReservedEventName,
        r#"2["disconnect","x"]"# => DecodeError::ReservedEventName,
        r#"2["disconnecting"]"# => DecodeError::ReservedEventName,
        r#"2["newListener"]"# => DecodeError::ReservedEventName,
        r#"51-["removeListener"]"# => DecodeError::ReservedEventName,
        r#"2["\u0063onnect"]"# => DecodeError::ReservedEventName,
        r#"29007199254740992["a"]"# => DecodeError::BadAckId,
        r#"299999999999999999999999["a"]"# => DecodeError::BadAckId,
        r#"207["a"]"# => DecodeError::BadAckId,
        r#"5["a"]"# => DecodeError::BadAttachments,
        r#"5-["a"]"# => DecodeError::BadAttachments,
        r#"51["a"]"# => DecodeError::BadAttachments,
        r#"5-1-["a"]"# => DecodeError::BadAttachments,
        r#"51.5-["a"]"# => DecodeError::BadAttachments,
        r#"51e9-["a"]"# => DecodeError::BadAttachments,
        r#"5+1-["a"]"# => DecodeError::BadAttachments,
        "5" => DecodeError::BadAttachments,
        "61" => DecodeError::BadAttachments,
        r#"511-["a"]"# => DecodeError::TooManyAttachments,
        r#"51000000000-["a"]"# => DecodeError::TooManyAttachments,
        r#"599999999999999999999999999-["a"]"# => DecodeError::TooManyAttachments,
        r#"61000000000-1["a"]"# => DecodeError::TooManyAttachments,
    }
    let largest = format!(r#"2{}["a"]"#, socketio::MAX_ACK_ID);
    assert!(matches!(
        decode(&largest).unwrap().kind,
        Kind::Event { id: Some(9007199254740991), .. }
    ));
}

#[test]
fn placeholders_beyond_the_attachments_are_refused() {
    assert_refused! {
        r#"51-["a",{"_placeholder":true,"num":1}]"# => DecodeError::BadPlaceholder,
        r#"51-["a",{"_placeholder":true,"num":-1}]"# => DecodeError::BadPlaceholder,
        r#"51-["a",{"_placeholder":true,"num":"0"}]"# => DecodeError::BadPlaceholder,
        r#"51-["a",{"_placeholder":true}]"# => DecodeError::BadPlaceholder,
        r#"52-["a",{"b":[{"num":2,"_placeholder":true}]}]"# => DecodeError::BadPlaceholder,
        r#"50-["a",{"_placeholder":true,"num":0}]"# => DecodeError::BadPlaceholder,
        r#"61-/a,1[{"_placeholder":true,"num":1000000000}]"# => DecodeError::BadPlaceholder,
    }
    // A type that has no attachments has no placeholders: such an object is the user's own.
    assert!(decode(r#"2["a",{"_placeholder":true,"num":7}]"#).is_ok());
    assert!(decode(r#"31[{"_placeholder":true,"num":7}]"#).is_ok());
}

#[test]
fn depth_is_bounded_before_anything_is_parsed() {
    let nested =
        |depth: usize| format!("2[\"a\",{}{}]", "[".repeat(depth - 1), "]".repeat(depth - 1));
    assert!(decode(&nested(32)).is_ok());
    assert!(matches!(decode(&nested(33)), Err(DecodeError::TooDeep)));
    assert!(matches!(decode(&nested(20_000)), Err(DecodeError::TooDeep)));
    assert!(matches!(decode(&format!("2{}", "[".repeat(20_000))), Err(DecodeError::TooDeep)));
    assert!(matches!(
        decode(&format!("0{}", r#"{"a":"#.repeat(20_000))),
        Err(DecodeError::TooDeep)
    ));
    // Brackets in strings are no depth, and a quote that is escaped ends no string.
    assert!(decode(&format!(r#"2["a","\"{}"]"#, "[{".repeat(1000))).is_ok());
    // Nor is the number of siblings.
    assert!(decode(&format!("2[\"a\"{}]", ",[]".repeat(1000))).is_ok());
    // With the bound off, depth costs no stack.
    let off = Limits { max_depth: usize::MAX, ..Limits::default() };
    assert!(socketio::decode(&nested(1_000_000).into(), &off).is_ok());
}

#[test]
fn refused_packets_close_with_1007_or_1009() {
    assert_eq!(decode("7").unwrap_err().close_code(), CloseCode::INVALID_PAYLOAD);
    assert_eq!(decode("599-[]").unwrap_err().close_code(), CloseCode::TOO_LARGE);
    assert_eq!(
        decode(&"[".repeat(99).replacen('[', "2[", 1)).unwrap_err().close_code(),
        CloseCode::TOO_LARGE
    );
}

#[test]
fn outgoing_packets_are_written_as_the_protocol_shows_them() {
    let (root, admin) = (Nsp::ROOT, Nsp::new("/admin").unwrap());
    let refusal = socketio::connect_error_json("say \"please\"", "session_refused");
    let cases = [
        (Outgoing::connect(&root, "oSO0OpakMV_3jnilAAAA"), r#"0{"sid":"oSO0OpakMV_3jnilAAAA"}"#),
        (Outgoing::connect(&admin, "w"), r#"0/admin,{"sid":"w"}"#),
        (
            Outgoing::connect_error(&admin, &refusal),
            r#"4/admin,{"message":"say \"please\"","data":{"code":"session_refused"}}"#,
        ),
        (Outgoing::disconnect(&root), "1"),
        (Outgoing::disconnect(&admin), "1/admin,"),
        (Outgoing::event(&root, None, "foo", ""), r#"2["foo"]"#),
        (Outgoing::event(&root, Some(12), "foo", "1,2"), r#"212["foo",1,2]"#),
        (Outgoing::event(&admin, Some(0), "b\"r", "{}"), r#"2/admin,0["b\"r",{}]"#),
        (Outgoing::event(&admin, None, "x", "[]").with_attachments(3), r#"53-/admin,["x",[]]"#),
        (Outgoing::ack(&root, 12, ""), "312[]"),
        (Outgoing::ack(&admin, 13, r#"{"a":1}"#), r#"3/admin,13[{"a":1}]"#),
        (Outgoing::ack(&root, 15, "1").with_attachments(1), "61-15[1]"),
        (Outgoing::open(&root, ""), "0"),
        (Outgoing::open(&admin, r#"{"ws_token":"t"}"#), r#"0/admin,{"ws_token":"t"}"#),
    ];
    let mut appended = bytes::BytesMut::new();
    let mut frames = Vec::new();
    for (packet, text) in cases {
        assert_eq!(packet.to_text(), text);
        assert_eq!(packet.to_message(), format!("4{text}"));
        assert_eq!(packet.to_frame(), ws::encode::text(&format!("4{text}")));
        packet.append_frame(&mut appended);
        frames.extend_from_slice(&packet.to_frame());
    }
    assert_eq!(appended, frames);
}
