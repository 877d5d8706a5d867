//! Long-polling bodies: packets with a separator between them, binary messages as base64
//! (Engine.IO protocol, "HTTP long-polling").
//!
//! JSONP is not served: revision 4 has no client that asks for it.

use std::borrow::Cow;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use bytestring::ByteString;

use super::packet::{Packet, PacketError};
use crate::ws::Opcode;

/// The record separator between two packets of a body.
const SEPARATOR: u8 = 0x1e;

/// Written with padding; read without it too, as the reference server does.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Bounds on a received body. `usize::MAX` switches a bound off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PayloadLimits {
    /// Bytes of the whole body, as it stands on the wire.
    pub max_payload: usize,
    /// Packets in it. Official clients send all that waits in one body, as far as it fits, so
    /// that this bounds a burst.
    pub max_packets: usize,
}

impl Default for PayloadLimits {
    /// 256 KiB, 4,096 packets.
    fn default() -> Self {
        Self { max_payload: 256 * 1024, max_packets: 4096 }
    }
}

/// Reads a whole body as it came.
///
/// # Errors
///
/// As [`decode`], and [`PacketError::InvalidUtf8`]: size, encoding, number of packets and each
/// packet are judged in this order.
pub fn decode_body(body: Bytes, limits: &PayloadLimits) -> Result<Vec<Packet>, PacketError> {
    if body.len() > limits.max_payload {
        return Err(PacketError::TooLarge);
    }
    let body = ByteString::try_from(body).map_err(|_| PacketError::InvalidUtf8)?;
    decode(&body, limits)
}

/// Reads a whole body that is known to be text. Texts are slices of it.
///
/// # Errors
///
/// The bounds are judged before anything is decoded ([`PacketError::TooLarge`],
/// [`PacketError::TooManyPackets`]); then the first packet that cannot be read refuses the
/// body as a whole, so that no part of a broken body takes effect. A body without packets, and
/// nothing between two separators, is [`PacketError::Empty`].
pub fn decode(body: &ByteString, limits: &PayloadLimits) -> Result<Vec<Packet>, PacketError> {
    if body.len() > limits.max_payload {
        return Err(PacketError::TooLarge);
    }
    let count = memchr::memchr_iter(SEPARATOR, body.as_ref()).count() + 1;
    if count > limits.max_packets {
        return Err(PacketError::TooManyPackets);
    }
    // Grows by what is read: where the bound is off, separators alone would announce much.
    let mut packets = Vec::with_capacity(count.min(16));
    for packet in body.split(char::from(SEPARATOR)) {
        packets.push(match packet.strip_prefix('b') {
            Some(base64) => binary(base64)?,
            None => Packet::decode(&body.slice_ref(packet))?,
        });
    }
    Ok(packets)
}

/// Writes packets as one body, in one allocation.
pub fn encode<'a, P>(packets: P) -> String
where
    P: IntoIterator<Item = &'a Packet>,
    P::IntoIter: Clone,
{
    let packets = packets.into_iter();
    let len = packets.clone().map(|packet| encoded_len(packet) + 1).sum();
    let mut body = String::with_capacity(len);
    for (index, packet) in packets.enumerate() {
        if index > 0 {
            body.push(char::from(SEPARATOR));
        }
        let (kind, data) = packet.parts();
        body.push_str(kind);
        match packet {
            Packet::Binary(payload) => BASE64.encode_string(payload, &mut body),
            _ => body.push_str(data),
        }
    }
    body
}

/// How many bytes a packet takes in a body, its separator not counted. The bodies of a poll
/// are filled by it up to a bound.
pub fn encoded_len(packet: &Packet) -> usize {
    match packet {
        Packet::Binary(payload) => 1 + payload.len().div_ceil(3) * 4,
        packet => {
            let (kind, data) = packet.parts();
            kind.len() + data.len()
        }
    }
}

/// Appends finished frames of a server to a body, so that what was encoded once for WebSockets
/// serves polling sessions too. Binary frames become base64; control frames have no place in a
/// body and are left out. Frames are whole, and not masked, as [`ws::encode`](crate::ws::encode)
/// makes them; a piece that ends inside a frame is cut there.
pub fn append_frames(body: &mut Vec<u8>, mut frames: &[u8]) {
    while let Some((kind, payload, rest)) = split_frame(frames) {
        frames = rest;
        if kind != Opcode::Text as u8 && kind != Opcode::Binary as u8 {
            continue;
        }
        if !body.is_empty() {
            body.push(SEPARATOR);
        }
        if kind == Opcode::Text as u8 {
            body.extend_from_slice(payload);
        } else {
            body.push(b'b');
            body.extend_from_slice(BASE64.encode(payload).as_bytes());
        }
    }
}

/// The opcode and the payload of the first frame, and what follows it.
fn split_frame(frames: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[head, short], rest) = frames.split_first_chunk::<2>()?;
    let (length, rest) = match short {
        126 => {
            let (length, rest) = rest.split_first_chunk::<2>()?;
            (u64::from(u16::from_be_bytes(*length)), rest)
        }
        127 => {
            let (length, rest) = rest.split_first_chunk::<8>()?;
            (u64::from_be_bytes(*length), rest)
        }
        short => (u64::from(short), rest),
    };
    let (payload, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    Some((head & 0x0f, payload, rest))
}

fn binary(base64: &str) -> Result<Packet, PacketError> {
    // Encoders of the mail world break lines after 76 characters; Java clients have such.
    let wrapped = memchr::memchr2(b'\r', b'\n', base64.as_bytes()).is_some();
    let base64 = match wrapped {
        true => Cow::Owned(base64.replace(['\r', '\n'], "")),
        false => Cow::Borrowed(base64),
    };
    let payload = BASE64.decode(&*base64).map_err(|_| PacketError::InvalidBase64)?;
    Ok(Packet::Binary(payload.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Result<Vec<Packet>, PacketError> {
        decode(&ByteString::from(body), &PayloadLimits::default())
    }

    #[test]
    fn the_examples_of_the_protocol_are_read_and_written() {
        let cases = [
            (
                "4hello\u{1e}2\u{1e}4world",
                vec![
                    Packet::Message("hello".into()),
                    Packet::Ping("".into()),
                    Packet::Message("world".into()),
                ],
            ),
            (
                "4hello\u{1e}bAQIDBA==",
                vec![
                    Packet::Message("hello".into()),
                    Packet::Binary(Bytes::from_static(&[1, 2, 3, 4])),
                ],
            ),
            ("4€", vec![Packet::Message("€".into())]),
            ("b", vec![Packet::Binary(Bytes::new())]),
        ];
        for (body, packets) in cases {
            assert_eq!(read(body).unwrap(), packets);
            assert_eq!(encode(&packets), body);
            let lens: usize = packets.iter().map(|packet| encoded_len(packet) + 1).sum();
            assert_eq!(lens, body.len() + 1);
        }
    }

    #[test]
    fn a_broken_body_is_refused_as_a_whole() {
        let cases = [
            ("", PacketError::Empty),
            ("4a\u{1e}", PacketError::Empty),
            ("\u{1e}4a", PacketError::Empty),
            ("4a\u{1e}9", PacketError::UnknownType),
            ("abc", PacketError::UnknownType),
            ("\u{1e}", PacketError::Empty),
            ("4a\u{1e}\u{1e}4b", PacketError::Empty),
            ("b???", PacketError::InvalidBase64),
            ("bA", PacketError::InvalidBase64),
            ("bAQ=A", PacketError::InvalidBase64),
            // Bits that stand for nothing, and the alphabet of URLs.
            ("bAR==", PacketError::InvalidBase64),
            ("b-_-_", PacketError::InvalidBase64),
            ("b4a", PacketError::InvalidBase64),
        ];
        for (body, error) in cases {
            assert_eq!(read(body), Err(error), "{body:?}");
        }
    }

    #[test]
    fn base64_may_lack_its_padding_and_have_line_breaks() {
        let read = |body: &str| read(body).unwrap();
        let one_byte = [Packet::Binary(Bytes::from_static(&[1]))];
        assert_eq!(read("bAQ=="), one_byte);
        assert_eq!(read("bAQ"), one_byte);
        assert_eq!(read("bAQ==\r\n"), one_byte);
        assert_eq!(read("bA\nQ"), one_byte);
    }

    #[test]
    fn a_body_as_it_came_is_judged_by_its_bytes_first() {
        let limits = PayloadLimits { max_payload: 4, max_packets: 9 };
        let read = |body: &'static [u8]| decode_body(Bytes::from_static(body), &limits);
        assert_eq!(read("4€".as_bytes()), Ok(vec![Packet::Message("€".into())]));
        assert_eq!(read("4€a".as_bytes()), Err(PacketError::TooLarge));
        assert_eq!(read(b"\xff\xff\xff\xff\xff"), Err(PacketError::TooLarge));
        assert_eq!(read(b"4\xff"), Err(PacketError::InvalidUtf8));
        assert_eq!(read(b"4\x1e2"), Ok(vec![Packet::Message("".into()), Packet::Ping("".into())]));
        assert_eq!(read(b""), Err(PacketError::Empty));
    }

    #[test]
    fn finished_frames_become_the_same_packets() {
        let long = Packet::Message("é".repeat(40_000).into());
        let middle = Packet::Message("x".repeat(300).into());
        let packets = [
            Packet::Message("a".into()),
            middle,
            Packet::Binary(Bytes::from_static(&[1, 2])),
            long,
        ];
        let mut frames = Vec::new();
        for packet in &packets {
            frames.extend_from_slice(&packet.to_frame());
            frames.extend_from_slice(&crate::ws::encode::ping(b"left out"));
        }
        let mut body = Vec::new();
        append_frames(&mut body, &frames);
        assert_eq!(String::from_utf8(body.clone()).unwrap(), encode(&packets));
        append_frames(&mut body, &frames[..2]);
        append_frames(&mut body, b"\x81\x05ab");
        assert_eq!(body.len(), encode(&packets).len(), "a cut frame is left out");
    }

    #[test]
    fn bounds_are_judged_before_anything_is_decoded() {
        let limits = PayloadLimits { max_payload: 8, max_packets: 2 };
        let read = |body: &'static str| decode(&ByteString::from_static(body), &limits);
        assert_eq!(read("9\u{1e}9\u{1e}9\u{1e}9\u{1e}9"), Err(PacketError::TooLarge));
        assert_eq!(read("9\u{1e}9\u{1e}9"), Err(PacketError::TooManyPackets));
        assert_eq!(read("4\u{1e}4").map(|packets| packets.len()), Ok(2));
    }
}
