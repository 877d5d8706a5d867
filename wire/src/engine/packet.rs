//! Packets of Engine.IO 4 as they travel in the text frames of a WebSocket. A binary frame is
//! a message without a type byte (Engine.IO protocol, "Packet encoding").

use bytes::Bytes;
use bytestring::ByteString;

use crate::ws::encode;

/// A packet. Text is a slice of what was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packet {
    /// `0`: the handshake, JSON; only a server sends it.
    Open(ByteString),
    /// `1`: the session ends.
    Close,
    /// `2`: a heartbeat, which in revision 4 the server begins; `probe` when a client tries a
    /// WebSocket before it moves a polling session there.
    Ping(ByteString),
    /// `3`: the answer to a ping, with its text.
    Pong(ByteString),
    /// `4`: a text for the layer above.
    Message(ByteString),
    /// `5`: the session moves to the transport on which this arrives.
    Upgrade,
    /// `6`: nothing, to release a waiting poll.
    Noop,
    /// A binary message.
    Binary(Bytes),
}

/// Why a text is no packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum PacketError {
    /// Not even a type.
    #[error("an empty packet")]
    Empty,
    /// The first character is no digit from 0 to 6.
    #[error("unknown packet type")]
    UnknownType,
    /// In a polling body: bytes that are not UTF-8.
    #[error("a payload is not UTF-8")]
    InvalidUtf8,
    /// In a polling body: base64 that cannot be read.
    #[error("a binary message is not base64")]
    InvalidBase64,
    /// In a polling body: over the bound on its bytes.
    #[error("a payload is too large")]
    TooLarge,
    /// In a polling body: over the bound on its packets.
    #[error("a payload has too many packets")]
    TooManyPackets,
}

impl PacketError {
    /// A short name for metrics and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::UnknownType => "unknown_type",
            Self::InvalidUtf8 => "invalid_utf8",
            Self::InvalidBase64 => "invalid_base64",
            Self::TooLarge => "too_large",
            Self::TooManyPackets => "too_many_packets",
        }
    }
}

impl Packet {
    /// Reads a text frame. What follows a type that has no data is ignored, as the reference
    /// parser does.
    ///
    /// # Errors
    ///
    /// [`PacketError::Empty`] or [`PacketError::UnknownType`]; the reference server closes
    /// the transport at either.
    pub fn decode(text: &ByteString) -> Result<Self, PacketError> {
        let Some(&kind) = text.as_bytes().first() else {
            return Err(PacketError::Empty);
        };
        // Every type is one byte, so that the slice is at a character.
        let data = || text.slice_ref(&text[1..]);
        Ok(match kind {
            b'0' => Self::Open(data()),
            b'1' => Self::Close,
            b'2' => Self::Ping(data()),
            b'3' => Self::Pong(data()),
            b'4' => Self::Message(data()),
            b'5' => Self::Upgrade,
            b'6' => Self::Noop,
            _ => return Err(PacketError::UnknownType),
        })
    }

    /// The finished WebSocket frame.
    pub fn to_frame(&self) -> Bytes {
        match self {
            Self::Binary(payload) => encode::binary(payload),
            packet => {
                let (kind, data) = packet.parts();
                encode::text_of(&[kind, data])
            }
        }
    }

    /// The type and the text of a packet that is not binary.
    pub(super) fn parts(&self) -> (&'static str, &str) {
        match self {
            Self::Open(data) => ("0", data),
            Self::Close => ("1", ""),
            Self::Ping(data) => ("2", data),
            Self::Pong(data) => ("3", data),
            Self::Message(data) => ("4", data),
            Self::Upgrade => ("5", ""),
            Self::Noop => ("6", ""),
            Self::Binary(_) => ("b", ""),
        }
    }
}

/// The finished WebSocket frames of packets that never change: they cost nothing to send.
pub mod frames {
    use bytes::Bytes;

    /// A heartbeat, `2`.
    pub const PING: Bytes = Bytes::from_static(b"\x81\x012");
    /// The answer to a heartbeat, `3`.
    pub const PONG: Bytes = Bytes::from_static(b"\x81\x013");
    /// The answer to a client's probe, `3probe`.
    pub const PONG_PROBE: Bytes = Bytes::from_static(b"\x81\x063probe");
    /// The end of the session, `1`.
    pub const CLOSE: Bytes = Bytes::from_static(b"\x81\x011");
    /// Nothing, `6`.
    pub const NOOP: Bytes = Bytes::from_static(b"\x81\x016");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(text: &'static str) -> Result<Packet, PacketError> {
        Packet::decode(&ByteString::from_static(text))
    }

    #[test]
    fn the_examples_of_the_protocol_are_read_and_written() {
        let cases = [
            ("2", Packet::Ping("".into())),
            ("2probe", Packet::Ping("probe".into())),
            ("3", Packet::Pong("".into())),
            ("3probe", Packet::Pong("probe".into())),
            ("4hello", Packet::Message("hello".into())),
            ("4€", Packet::Message("€".into())),
            ("1", Packet::Close),
            ("5", Packet::Upgrade),
            ("6", Packet::Noop),
            ("0{}", Packet::Open("{}".into())),
        ];
        for (text, packet) in cases {
            assert_eq!(decode(text).unwrap(), packet);
            assert_eq!(packet.to_frame(), encode::text(text));
        }
        assert_eq!(
            Packet::Binary(Bytes::from_static(&[1, 2])).to_frame(),
            &b"\x82\x02\x01\x02"[..]
        );
    }

    #[test]
    fn what_is_no_packet_is_refused() {
        assert_eq!(decode(""), Err(PacketError::Empty));
        for text in ["7", "b", "bAQID", "-1", " 4", "é", "\u{0}"] {
            assert_eq!(decode(text), Err(PacketError::UnknownType), "{text}");
        }
    }

    #[test]
    fn constant_frames_equal_encoded_ones() {
        assert_eq!(frames::PING, Packet::Ping("".into()).to_frame());
        assert_eq!(frames::PONG, Packet::Pong("".into()).to_frame());
        assert_eq!(frames::PONG_PROBE, Packet::Pong("probe".into()).to_frame());
        assert_eq!(frames::CLOSE, Packet::Close.to_frame());
        assert_eq!(frames::NOOP, Packet::Noop.to_frame());
    }
}
