//! Long-polling bodies: packets with a separator between them, binary messages as base64
//! (Engine.IO protocol, "HTTP long-polling").

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytestring::ByteString;

use super::packet::{Packet, PacketError};

/// The record separator between two packets of a body.
const SEPARATOR: u8 = 0x1e;

/// Bounds on a received body. `usize::MAX` switches a bound off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PayloadLimits {
    /// Bytes of the whole body, as it stands on the wire.
    pub max_payload: usize,
    /// Packets in it.
    pub max_packets: usize,
}

impl Default for PayloadLimits {
    /// 256 KiB, 256 packets.
    fn default() -> Self {
        Self { max_payload: 256 * 1024, max_packets: 256 }
    }
}

/// Reads a whole body.
///
/// # Errors
///
/// The bounds are judged before anything is decoded ([`PacketError::TooLarge`],
/// [`PacketError::TooManyPackets`]); then the first packet that cannot be read refuses the
/// body as a whole, so that no part of a broken body takes effect.
pub fn decode(body: &ByteString, limits: &PayloadLimits) -> Result<Vec<Packet>, PacketError> {
    if body.len() > limits.max_payload {
        return Err(PacketError::TooLarge);
    }
    let count = memchr::memchr_iter(SEPARATOR, body.as_ref()).count() + 1;
    if count > limits.max_packets {
        return Err(PacketError::TooManyPackets);
    }
    let mut packets = Vec::with_capacity(count);
    for packet in body.split(char::from(SEPARATOR)) {
        packets.push(match packet.strip_prefix('b') {
            Some(base64) => binary(base64)?,
            None => Packet::decode(&body.slice_ref(packet))?,
        });
    }
    Ok(packets)
}

/// Writes packets as one body.
pub fn encode<'a>(packets: impl IntoIterator<Item = &'a Packet>) -> String {
    let mut body = String::new();
    for (index, packet) in packets.into_iter().enumerate() {
        if index > 0 {
            body.push(char::from(SEPARATOR));
        }
        let (kind, data) = packet.parts();
        body.push_str(kind);
        match packet {
            Packet::Binary(payload) => BASE64_STANDARD.encode_string(payload, &mut body),
            _ => body.push_str(data),
        }
    }
    body
}

fn binary(base64: &str) -> Result<Packet, PacketError> {
    let payload = BASE64_STANDARD.decode(base64).map_err(|_| PacketError::InvalidBase64)?;
    Ok(Packet::Binary(payload.into()))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

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
            ("b???", PacketError::InvalidBase64),
        ];
        for (body, error) in cases {
            assert_eq!(read(body), Err(error), "{body:?}");
        }
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
