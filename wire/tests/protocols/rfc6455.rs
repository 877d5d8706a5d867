//! The sections of the Autobahn test suite that concern a codec (1 to 7, 9 and 10), named as
//! there. Method: frames as a client writes them, cut in three ways, one outcome.

use bytes::Bytes;
use wire::CloseCode;
use wire::ws::{Message, Opcode, Violation, client, encode};

use crate::support::{KEY, begin, close, last, messages, more, outcome, text, violation, whole};

#[test]
fn section_1_messages_of_every_length_encoding_arrive_whole() {
    for length in [0, 1, 125, 126, 127, 128, 65_535, 65_536, 200_000] {
        let payload = "*".repeat(length);
        assert_eq!(messages(&[client::text(&payload)]), [text(&*payload)]);
        let binary = Bytes::from(vec![0xfe; length]);
        assert_eq!(messages(&[client::binary(&binary)]), [Message::Binary(binary)]);
    }
}

#[test]
fn section_2_pings_and_pongs_carry_any_125_bytes() {
    for payload in [&b""[..], b"Hello, world!", &[0, 0xff, 0xfe, 0xfd, 0xfc, 0], &[0xfe; 125]] {
        let payload = Bytes::copy_from_slice(payload);
        assert_eq!(messages(&[client::ping(&payload)]), [Message::Ping(payload.clone())]);
        assert_eq!(messages(&[client::pong(&payload)]), [Message::Pong(payload)]);
    }
    for opcode in [Opcode::Ping, Opcode::Pong, Opcode::Close] {
        for length in [126, 65_536] {
            let frame = client::fragment(opcode, true, &vec![0xfe; length], KEY);
            assert_eq!(violation(&[frame]), Some(Violation::LongControl));
        }
    }
    let ten: Vec<Bytes> = (0..10).map(|index| client::ping(&[index])).collect();
    assert_eq!(messages(&ten).len(), 10);
}

#[test]
fn section_3_reserved_bits_are_refused_on_every_frame() {
    for opcode in [1, 2, 8, 9, 10] {
        for bits in 1..8_u8 {
            let frames = [whole("before"), client::raw(0x80 | bits << 4 | opcode, b"x", KEY)];
            assert_eq!(outcome(&frames), (vec![text("before")], Some(Violation::ReservedBits)));
        }
    }
}

#[test]
fn section_4_unknown_opcodes_are_refused() {
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        let frames = [whole("before"), client::raw(0x80 | opcode, b"", KEY), client::ping(b"")];
        assert_eq!(outcome(&frames), (vec![text("before")], Some(Violation::UnknownOpcode)));
    }
}

#[test]
fn section_5_fragments_are_joined_and_control_frames_pass_between() {
    assert_eq!(messages(&[begin("frag"), last("ment")]), [text("fragment")]);
    assert_eq!(
        messages(&[
            begin("a"),
            client::ping(b"1"),
            more("b"),
            client::pong(b"2"),
            more("c"),
            client::ping(b"3"),
            last("d"),
            whole("next"),
        ]),
        [
            Message::Ping(Bytes::from_static(b"1")),
            Message::Pong(Bytes::from_static(b"2")),
            Message::Ping(Bytes::from_static(b"3")),
            text("abcd"),
            text("next"),
        ]
    );
    let binary = client::fragment(Opcode::Binary, false, &[0xff], KEY);
    assert_eq!(
        messages(&[binary, last([0xfe])]),
        [Message::Binary(Bytes::from_static(&[0xff, 0xfe]))]
    );
}

#[test]
fn section_5_fragments_out_of_order_are_refused() {
    let ping = client::fragment(Opcode::Ping, false, b"x", KEY);
    let pong = client::fragment(Opcode::Pong, false, b"x", KEY);
    let shut = client::fragment(Opcode::Close, false, b"", KEY);
    let cases = [
        (vec![ping], Violation::FragmentedControl),
        (vec![pong, last("x")], Violation::FragmentedControl),
        (vec![shut], Violation::FragmentedControl),
        (vec![last("x")], Violation::StrayContinuation),
        (vec![more("x"), last("y")], Violation::StrayContinuation),
        (vec![begin("x"), whole("y")], Violation::InterruptedMessage),
        (vec![begin("x"), begin("y")], Violation::InterruptedMessage),
        (vec![begin("x"), more("y"), client::binary(b"z")], Violation::InterruptedMessage),
    ];
    for (frames, expected) in cases {
        assert_eq!(violation(&frames), Some(expected));
    }
    let frames = [begin("a"), last("b"), more("c"), whole("d")];
    assert_eq!(outcome(&frames), (vec![text("ab")], Some(Violation::StrayContinuation)));
}

/// Texts at the edges of UTF-8: the first and last of each length, what surrounds the
/// surrogates, and noncharacters, which are allowed.
const VALID: &[&str] = &[
    "",
    "Hello-µ@ßöäüàá-UTF-8!!",
    "κόσμε",
    "\u{0}",
    "\u{7f}",
    "\u{80}",
    "\u{7ff}",
    "\u{800}",
    "\u{d7ff}",
    "\u{e000}",
    "\u{fffd}",
    "\u{fffe}",
    "\u{ffff}",
    "\u{10000}",
    "\u{1fffe}",
    "\u{10ffff}",
];

/// What can never become UTF-8 by further bytes.
const INVALID: &[&[u8]] = &[
    b"\x80",
    b"\xbf",
    b"\x80\xbf\x80",
    b"\xc0\xaf",
    b"\xc1\xbf",
    b"\xe0\x80\xaf",
    b"\xe0\x9f\xbf",
    b"\xf0\x80\x80\xaf",
    b"\xf0\x8f\xbf\xbf",
    b"\xed\xa0\x80",
    b"\xed\xbf\xbf",
    b"\xed\xa0\x80\xed\xb0\x80",
    b"\xf4\x90\x80\x80",
    b"\xf5\x80\x80\x80",
    b"\xf8\x88\x80\x80\x80",
    b"\xfc\x84\x80\x80\x80\x80",
    b"\xfe",
    b"\xff",
    b"\xc3 ",
    b"\xe2\x82 ",
    b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80\x65\x64\x69\x74\x65\x64",
];

/// What is UTF-8 but for its end.
const CUT: &[&[u8]] = &[b"\xce", b"\xe1\xbd", b"\xf0\x9d", b"\xf4\x8f\xbf", b"abc\xe2\x82"];

#[test]
fn section_6_valid_utf8_passes_whole_and_in_fragments_of_a_byte() {
    for valid in VALID {
        assert_eq!(messages(&[whole(valid)]), [text(*valid)]);
        let mut frames = vec![begin("")];
        frames.extend(valid.bytes().map(|byte| more([byte])));
        frames.push(last(""));
        assert_eq!(messages(&frames), [text(*valid)]);
    }
    assert_eq!(messages(&[begin(""), more(""), last("")]), [text("")]);
    assert_eq!(messages(&[begin(""), more("middle"), last("")]), [text("middle")]);
}

#[test]
fn section_6_invalid_utf8_is_refused_whole_and_in_fragments_of_a_byte() {
    for invalid in INVALID {
        let refused = Some(Violation::InvalidUtf8);
        assert_eq!(violation(&[whole(invalid)]), refused, "{invalid:x?}");
        // No last frame: it is refused before the message ends.
        let mut frames = vec![begin("κόσμε")];
        frames.extend(invalid.iter().map(|byte| more([*byte])));
        assert_eq!(violation(&frames), refused, "{invalid:x?}");
    }
}

#[test]
fn section_6_a_cut_character_is_refused_at_the_end_and_not_before() {
    for cut in CUT {
        assert_eq!(violation(&[whole(cut)]), Some(Violation::InvalidUtf8));
        assert_eq!(violation(&[begin(cut), more("")]), None);
        assert_eq!(violation(&[begin(cut), last("")]), Some(Violation::InvalidUtf8));
    }
}

#[test]
fn section_6_4_text_fails_at_the_fragment_that_makes_it_certain() {
    assert_eq!(violation(&[begin("κόσμε"), more(b"\xf4\x90")]), Some(Violation::InvalidUtf8));
    // The first byte of the sequence alone may still go on well.
    assert_eq!(violation(&[begin("κόσμε"), more(b"\xf4")]), None);
    assert_eq!(
        violation(&[begin("κόσμε"), more(b"\xf4"), more(b"\x90")]),
        Some(Violation::InvalidUtf8)
    );
}

#[test]
fn section_7_nothing_is_decoded_after_a_close() {
    let normal = || Message::Close(Some((CloseCode::NORMAL, "".into())));
    for after in [close([3, 232]), client::ping(b""), whole("late"), Bytes::from_static(b"\xff")] {
        assert_eq!(outcome(&[close([3, 232]), after]), (vec![normal()], None));
    }
    // Autobahn 7.1.5: the close comes through though a message is open.
    assert_eq!(messages(&[begin("open"), close([3, 232]), last("late")]), [normal()]);
}

#[test]
fn section_7_close_payloads_are_judged() {
    let coded = |reason: &[u8]| close([&[3, 232], reason].concat());
    let said = |reason: String| Message::Close(Some((CloseCode::NORMAL, reason.into())));
    assert_eq!(messages(&[close("")]), [Message::Close(None)]);
    assert_eq!(messages(&[coded(b"Hello World!")]), [said("Hello World!".to_owned())]);
    assert_eq!(messages(&[coded(&[b'*'; 123])]), [said("*".repeat(123))]);
    assert_eq!(violation(&[coded(&[b'*'; 124])]), Some(Violation::LongControl));
    assert_eq!(violation(&[close("a")]), Some(Violation::HalfCloseCode));
    for invalid in INVALID.iter().chain(CUT) {
        assert_eq!(violation(&[coded(invalid)]), Some(Violation::InvalidCloseReason));
    }
}

#[test]
fn section_7_close_codes_that_may_not_travel_are_refused() {
    for number in 0..=u16::MAX {
        // As a table of Autobahn 7.7, 7.9 and 7.13, and the registry's 1012 to 1014.
        let valid = matches!(number, 1000..=1003 | 1007..=1014 | 3000..=4999);
        let (messages, violation) = crate::support::feed(
            wire::ws::DecodeLimits::default(),
            &close(number.to_be_bytes()),
            &[usize::MAX],
        );
        assert_eq!(messages.len(), usize::from(valid), "{number}");
        assert_eq!(violation, (!valid).then_some(Violation::InvalidCloseCode), "{number}");
    }
}

#[test]
fn sections_9_and_10_large_messages_pass_in_frames_of_any_size() {
    let payload: String = ('a'..='z').cycle().take(256 * 1024).collect();
    for size in [4096, 65_536, 100_000] {
        let pieces: Vec<&[u8]> = payload.as_bytes().chunks(size).collect();
        let mut frames = vec![begin(pieces[0])];
        frames.extend(pieces[1..].iter().map(more));
        let end = frames.len() - 1;
        frames[end] = last(pieces[end]);
        assert_eq!(messages(&frames), [text(&*payload)]);
    }
    let fragments: Vec<&str> = vec![&payload[..1300]; 51];
    let mut frames = vec![begin(fragments[0])];
    frames.extend(fragments[1..50].iter().map(more));
    frames.push(last(fragments[50]));
    assert_eq!(messages(&frames), [text(fragments.concat())]);
}

#[test]
fn masks_are_owed_by_clients_and_forbidden_to_servers() {
    assert_eq!(violation(&[encode::text("plain")]), Some(Violation::Unmasked));
    let mut reader = client::decoder(wire::ws::DecodeLimits::default());
    let mut buffer = bytes::BytesMut::from(&encode::text("plain")[..]);
    assert_eq!(reader.decode(&mut buffer), Ok(Some(text("plain"))));
    buffer.extend_from_slice(&client::text("masked"));
    assert_eq!(reader.decode(&mut buffer), Err(Violation::Masked));
}

#[test]
fn lengths_must_be_encoded_in_the_fewest_bytes() {
    let cases: [(&[u8], Violation); 6] = [
        (&[0x82, 0xfe, 0, 0], Violation::LongLength),
        (&[0x82, 0xfe, 0, 125], Violation::LongLength),
        (&[0x82, 0xff, 0, 0, 0, 0, 0, 0, 0, 1], Violation::LongLength),
        (&[0x82, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff], Violation::LongLength),
        (&[0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0], Violation::NegativeLength),
        (&[0x82, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], Violation::NegativeLength),
    ];
    for (header, expected) in cases {
        assert_eq!(violation(&[Bytes::from_static(header)]), Some(expected));
    }
}

#[test]
fn each_violation_closes_with_the_code_of_the_rfc() {
    for (violation, code) in [
        (Violation::ReservedBits, CloseCode::PROTOCOL_ERROR),
        (Violation::Unmasked, CloseCode::PROTOCOL_ERROR),
        (Violation::InvalidCloseCode, CloseCode::PROTOCOL_ERROR),
        (Violation::InvalidUtf8, CloseCode::INVALID_PAYLOAD),
        (Violation::InvalidCloseReason, CloseCode::INVALID_PAYLOAD),
        (Violation::TooLarge, CloseCode::TOO_LARGE),
        (Violation::TooManyFragments, CloseCode::TOO_LARGE),
    ] {
        assert_eq!(violation.close_code(), code);
        assert!(!code.comes_back(), "a broken peer stays away");
    }
}
