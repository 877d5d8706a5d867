//! One frame: its header, its mask, and everything that can be wrong with it
//! (RFC 6455 section 5).

use crate::CloseCode;

/// The longest payload of a control frame, in bytes (RFC 6455 section 5.5).
pub(super) const MAX_CONTROL: u64 = 125;

/// What a frame is (RFC 6455 section 11.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Opcode {
    /// More of a fragmented message.
    Continuation = 0,
    /// A text message, or its first fragment.
    Text = 1,
    /// A binary message, or its first fragment.
    Binary = 2,
    /// The end of the connection.
    Close = 8,
    /// A heartbeat.
    Ping = 9,
    /// The answer to a heartbeat.
    Pong = 10,
}

impl Opcode {
    /// Close, ping and pong: short, never fragmented, allowed between fragments.
    pub const fn is_control(self) -> bool {
        self as u8 >= 8
    }

    const fn from_bits(bits: u8) -> Option<Self> {
        match bits {
            0 => Some(Self::Continuation),
            1 => Some(Self::Text),
            2 => Some(Self::Binary),
            8 => Some(Self::Close),
            9 => Some(Self::Ping),
            10 => Some(Self::Pong),
            _ => None,
        }
    }
}

/// How a peer broke the framing. Each kind closes the connection with its
/// [`close_code`](Self::close_code); none can be recovered from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// RSV1, 2 or 3 is set though no extension was negotiated (section 5.2).
    #[error("a reserved bit is set")]
    ReservedBits,
    /// Opcode 3-7 or 11-15 (section 5.2).
    #[error("unknown opcode")]
    UnknownOpcode,
    /// A client's frame without a mask (section 5.1).
    #[error("a client's frame is not masked")]
    Unmasked,
    /// A server's frame with a mask (section 5.1).
    #[error("a server's frame is masked")]
    Masked,
    /// A control frame without FIN (section 5.5).
    #[error("a control frame is fragmented")]
    FragmentedControl,
    /// A control frame of more than 125 bytes (section 5.5).
    #[error("a control frame is over 125 bytes")]
    LongControl,
    /// A continuation while no message is open (section 5.4).
    #[error("a continuation without a beginning")]
    StrayContinuation,
    /// A new text or binary frame while a message is open (section 5.4).
    #[error("a new message inside a fragmented one")]
    InterruptedMessage,
    /// A length in more bytes than it needs (section 5.2).
    #[error("a length is not encoded in the fewest bytes")]
    LongLength,
    /// The top bit of a 64-bit length is set (section 5.2).
    #[error("a length has its top bit set")]
    NegativeLength,
    /// Text that is not UTF-8 (section 8.1).
    #[error("a text message is not UTF-8")]
    InvalidUtf8,
    /// A close frame of one byte (section 5.5.1).
    #[error("a close frame has half a code")]
    HalfCloseCode,
    /// A close code that may not travel (section 7.4).
    #[error("a close frame has a code that may not travel")]
    InvalidCloseCode,
    /// A close reason that is not UTF-8 (section 5.5.1).
    #[error("a close reason is not UTF-8")]
    InvalidCloseReason,
    /// A frame or message over `max_payload`, seen from its header.
    #[error("a message is over the bound")]
    TooLarge,
    /// More fragments than `max_fragments`, or more memory charged for them than `max_held`.
    #[error("a message has too many fragments")]
    TooManyFragments,
}

impl Violation {
    /// The code to close the connection with (RFC 6455 sections 7.4.1 and 8.1).
    pub const fn close_code(self) -> CloseCode {
        match self {
            Self::InvalidUtf8 | Self::InvalidCloseReason => CloseCode::INVALID_PAYLOAD,
            Self::TooLarge | Self::TooManyFragments => CloseCode::TOO_LARGE,
            Self::ReservedBits
            | Self::UnknownOpcode
            | Self::Unmasked
            | Self::Masked
            | Self::FragmentedControl
            | Self::LongControl
            | Self::StrayContinuation
            | Self::InterruptedMessage
            | Self::LongLength
            | Self::NegativeLength
            | Self::HalfCloseCode
            | Self::InvalidCloseCode => CloseCode::PROTOCOL_ERROR,
        }
    }

    /// A short name for metrics and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ReservedBits => "reserved_bits",
            Self::UnknownOpcode => "unknown_opcode",
            Self::Unmasked => "unmasked",
            Self::Masked => "masked",
            Self::FragmentedControl => "fragmented_control",
            Self::LongControl => "long_control",
            Self::StrayContinuation => "stray_continuation",
            Self::InterruptedMessage => "interrupted_message",
            Self::LongLength => "long_length",
            Self::NegativeLength => "negative_length",
            Self::InvalidUtf8 => "invalid_utf8",
            Self::HalfCloseCode => "half_close_code",
            Self::InvalidCloseCode => "invalid_close_code",
            Self::InvalidCloseReason => "invalid_close_reason",
            Self::TooLarge => "too_large",
            Self::TooManyFragments => "too_many_fragments",
        }
    }
}

/// Which end wrote the frames that are read. It decides about the mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sender {
    Client,
    Server,
}

/// The first byte of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Start {
    pub(super) fin: bool,
    pub(super) opcode: Opcode,
}

impl Start {
    /// Judges what the first byte alone says, so that a faulty frame is refused from it.
    pub(super) fn parse(byte: u8) -> Result<Self, Violation> {
        if byte & 0x70 != 0 {
            return Err(Violation::ReservedBits);
        }
        let fin = byte & 0x80 != 0;
        let opcode = Opcode::from_bits(byte & 0x0f).ok_or(Violation::UnknownOpcode)?;
        if opcode.is_control() && !fin {
            return Err(Violation::FragmentedControl);
        }
        Ok(Self { fin, opcode })
    }
}

/// The length of a frame, as the bytes after the first one tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Length {
    /// Bytes of payload that are announced.
    pub(super) payload: u64,
    /// Where the mask begins if there is one, else the payload.
    pub(super) end: usize,
}

impl Length {
    /// Reads the length of the frame at the front of `bytes`; `None` while it is not all there.
    pub(super) fn parse(
        bytes: &[u8],
        opcode: Opcode,
        sender: Sender,
    ) -> Result<Option<Self>, Violation> {
        let Some(&second) = bytes.get(1) else {
            return Ok(None);
        };
        match (sender, second & 0x80 != 0) {
            (Sender::Client, false) => return Err(Violation::Unmasked),
            (Sender::Server, true) => return Err(Violation::Masked),
            (Sender::Client, true) | (Sender::Server, false) => {}
        }
        let short = u64::from(second & 0x7f);
        // The long forms are over 125 whatever follows.
        if opcode.is_control() && short > MAX_CONTROL {
            return Err(Violation::LongControl);
        }
        let length = match short {
            126 => {
                let Some(field) = bytes[2..].first_chunk() else {
                    return Ok(None);
                };
                Self { payload: u16::from_be_bytes(*field).into(), end: 4 }
            }
            127 => {
                let Some(field) = bytes[2..].first_chunk() else {
                    return Ok(None);
                };
                Self { payload: u64::from_be_bytes(*field), end: 10 }
            }
            payload => Self { payload, end: 2 },
        };
        if length.payload >> 63 != 0 {
            return Err(Violation::NegativeLength);
        }
        if length.end != length_end(length.payload) {
            return Err(Violation::LongLength);
        }
        Ok(Some(length))
    }
}

/// Where the length of a frame with `payload` bytes ends.
pub(super) const fn length_end(payload: u64) -> usize {
    match payload {
        0..=125 => 2,
        126..=0xffff => 4,
        _ => 10,
    }
}

/// Applies or removes the mask, which are the same (RFC 6455 section 5.3).
///
/// Eight bytes a step: the loop has no branches, so that the compiler can widen it to the
/// machine's vectors.
pub(super) fn mask(payload: &mut [u8], key: [u8; 4]) {
    let [a, b, c, d] = key;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, rest) = payload.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mask_equals_its_definition_at_every_length() {
        let key = [0x37, 0xfa, 0x21, 0x3d];
        for length in 0..70_u8 {
            let plain: Vec<u8> = (0..length).collect();
            let mut masked = plain.clone();
            mask(&mut masked, key);
            let expected: Vec<u8> =
                plain.iter().enumerate().map(|(i, byte)| byte ^ key[i % 4]).collect();
            assert_eq!(masked, expected);
            mask(&mut masked, key);
            assert_eq!(masked, plain);
        }
    }
}
