//! What a peer may spend. Goal: no bound is passed and no memory is held for what was only
//! announced. Method: capacities are compared, which in this crate are all there is to hold.

use bytes::{Bytes, BytesMut};
use wire::ws::{DecodeLimits, Decoder, Message, Opcode, Violation, client, encode};
use wire::{CloseCode, CloseReason};

use crate::support::{begin, feed, last, more, text, whole};

fn limits(max_payload: usize) -> DecodeLimits {
    DecodeLimits::with_max_payload(max_payload)
}

#[test]
fn a_declared_tebibyte_is_refused_from_its_header_and_memory_does_not_move() {
    let tebibyte = (1_u64 << 40).to_be_bytes();
    for opcode in [0x01, 0x81, 0x02, 0x82] {
        let mut buffer = BytesMut::with_capacity(64);
        let capacity = buffer.capacity();
        let mut decoder = Decoder::new(DecodeLimits::default());
        // Not even the mask has come yet.
        buffer.extend_from_slice(&[opcode, 0xff]);
        buffer.extend_from_slice(&tebibyte);
        assert_eq!(decoder.decode(&mut buffer), Err(Violation::TooLarge));
        assert_eq!((buffer.capacity(), buffer.len(), decoder.held()), (capacity, 0, 0));
    }
}

#[test]
fn an_allowed_frame_reserves_nothing_before_it_comes() {
    let mut buffer = BytesMut::with_capacity(64);
    let capacity = buffer.capacity();
    let mut decoder = Decoder::new(DecodeLimits::default());
    buffer.extend_from_slice(&client::text(&"x".repeat(200_000))[..20]);
    assert_eq!(decoder.decode(&mut buffer), Ok(None));
    assert_eq!((buffer.capacity(), decoder.held()), (capacity, 0));
    assert!(decoder.is_mid_message(&buffer));
}

#[test]
fn max_payload_holds_for_a_frame_and_for_a_joined_message() {
    let run = |frames: &[Bytes]| feed(limits(10), &frames.concat(), &[usize::MAX]);
    assert_eq!(run(&[whole("0123456789")]).0, [text("0123456789")]);
    assert_eq!(run(&[whole("0123456789a")]).1, Some(Violation::TooLarge));
    assert_eq!(run(&[begin("01234"), last("56789")]).0, [text("0123456789")]);
    assert_eq!(run(&[begin("01234"), last("56789a")]).1, Some(Violation::TooLarge));
    // A control frame between is bounded by its own 125 bytes and counts for nothing.
    let ping = client::ping(b"01234567890123456789");
    assert_eq!(run(&[begin("01234"), ping, last("56789")]).0.len(), 2);
}

#[test]
fn the_fragment_over_the_bound_is_refused_from_its_header() {
    let mut stream = begin("01234").to_vec();
    stream.extend_from_slice(&more("56789a")[..2]);
    assert_eq!(feed(limits(10), &stream, &[1]).1, Some(Violation::TooLarge));
}

#[test]
fn a_message_has_at_most_64_fragments() {
    let mut frames = vec![begin("x")];
    frames.extend(vec![more("x"); 62]);
    let run = |frames: &[Bytes]| feed(limits(1000), &frames.concat(), &[usize::MAX]);
    assert_eq!(run(&[&frames[..], &[last("x")]].concat()).0, [text("x".repeat(64))]);
    frames.push(more("x"));
    assert_eq!(run(&frames).1, None);
    assert_eq!(run(&[&frames[..], &[last("x")]].concat()).1, Some(Violation::TooManyFragments));
}

#[test]
fn a_hundred_thousand_fragments_are_refused_by_count_or_by_charge() {
    let mut frames = vec![begin("")];
    frames.extend(vec![more(""); 100_000]);
    let stream = frames.concat();
    let counted = DecodeLimits::default();
    let charged = DecodeLimits { max_fragments: usize::MAX, ..counted };
    for limits in [counted, charged] {
        assert_eq!(feed(limits, &stream, &[8192]), (vec![], Some(Violation::TooManyFragments)));
    }
}

#[test]
fn bounds_that_are_off_bound_nothing() {
    let mut frames = vec![begin("x")];
    frames.extend(vec![more("x"); 5000]);
    frames.push(last("x".repeat(1 << 20)));
    let (messages, violation) = feed(DecodeLimits::OFF, &frames.concat(), &[65_536]);
    assert_eq!((messages, violation), (vec![text("x".repeat(5001 + (1 << 20)))], None));
}

#[test]
fn a_shell_can_tell_when_a_message_is_unfinished() {
    let mut decoder = Decoder::new(DecodeLimits::default());
    let mut buffer = BytesMut::new();
    let mut after = |bytes: &[u8]| {
        buffer.extend_from_slice(bytes);
        while decoder.decode(&mut buffer).unwrap().is_some() {}
        (decoder.is_mid_message(&buffer), decoder.held())
    };
    assert_eq!(after(b""), (false, 0));
    assert_eq!(after(&whole("x")[..3]), (true, 0));
    assert_eq!(after(&whole("x")[3..]), (false, 0));
    assert_eq!(after(&begin("abc")), (true, 131));
    assert_eq!(after(&client::ping(b"")), (true, 131));
    assert_eq!(after(&more("de")), (true, 261));
    assert_eq!(after(&last("")), (false, 0));
    assert_eq!(after(&begin("abc")), (true, 131));
    assert_eq!(after(&client::close(CloseCode::NORMAL, &CloseReason::default())), (false, 0));
}

#[test]
fn whole_messages_are_slices_of_what_was_read() {
    let mut buffer = BytesMut::from(&[client::text("one"), client::binary(b"two")].concat()[..]);
    let memory = buffer.as_ptr_range();
    let mut decoder = Decoder::new(DecodeLimits::default());
    let Ok(Some(Message::Text(one))) = decoder.decode(&mut buffer) else { panic!("a text") };
    let Ok(Some(Message::Binary(two))) = decoder.decode(&mut buffer) else { panic!("a binary") };
    assert_eq!((&*one, &*two), ("one", &b"two"[..]));
    assert!(memory.contains(&one.as_ptr()) && memory.contains(&two.as_ptr()));
}

#[test]
fn control_frames_that_are_sent_stay_inside_125_bytes() {
    assert_eq!(encode::ping(&[7; 300]).len(), 2 + 125);
    assert_eq!(encode::frame(Opcode::Pong, &[7; 300]), encode::pong(&[7; 125]));
    let reason = CloseReason::new("x".repeat(300));
    assert_eq!(encode::close(CloseCode::RESTART, &reason).len(), 2 + 125);
    // No code is said by an empty payload.
    for code in [CloseCode::NO_CODE, CloseCode::ABNORMAL] {
        assert_eq!(encode::close(code, &reason), &b"\x88\x00"[..]);
    }
}
