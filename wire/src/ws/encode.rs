//! Finished server frames: unmasked, unfragmented, each in one allocation.
//!
//! A message for many sockets is encoded once; the [`Bytes`] are then shared by reference.

use bytes::{BufMut, Bytes, BytesMut};

use super::frame::{self, Opcode};
use crate::close::{CloseCode, CloseReason};

/// The longest header of a server's frame, in bytes.
const MAX_HEADER: usize = 10;

/// Bytes to leave free in front of a payload for [`binary_in_place`].
pub(crate) const HEADER_ROOM: usize = MAX_HEADER;

/// A whole frame of any kind. A control payload over 125 bytes is cut to it, since a longer
/// one may not be sent.
pub fn frame(opcode: Opcode, payload: &[u8]) -> Bytes {
    let payload = match opcode.is_control() {
        true => &payload[..payload.len().min(frame::MAX_CONTROL as usize)],
        false => payload,
    };
    let mut out = Vec::with_capacity(frame_len(payload.len()));
    put_header(&mut out, opcode, payload.len());
    out.extend_from_slice(payload);
    out.into()
}

/// A text message.
pub fn text(text: &str) -> Bytes {
    frame(Opcode::Text, text.as_bytes())
}

/// A binary message.
pub fn binary(payload: &[u8]) -> Bytes {
    frame(Opcode::Binary, payload)
}

/// A ping; the payload is cut to 125 bytes.
pub fn ping(payload: &[u8]) -> Bytes {
    frame(Opcode::Ping, payload)
}

/// A pong; the payload is cut to 125 bytes.
pub fn pong(payload: &[u8]) -> Bytes {
    frame(Opcode::Pong, payload)
}

/// A close frame. A code that may not travel (1005, 1006) leaves the payload empty, which is
/// how the wire says it.
pub fn close(code: CloseCode, reason: &CloseReason) -> Bytes {
    if !code.may_travel() {
        return frame(Opcode::Close, b"");
    }
    let reason = reason.as_str().as_bytes();
    let mut out = Vec::with_capacity(frame_len(2 + reason.len()));
    put_header(&mut out, Opcode::Close, 2 + reason.len());
    out.extend_from_slice(&code.get().to_be_bytes());
    out.extend_from_slice(reason);
    out.into()
}

/// How many bytes a frame with `payload` bytes takes on the wire.
pub const fn frame_len(payload: usize) -> usize {
    frame::length_end(payload as u64) + payload
}

/// A text message out of parts, in one allocation.
pub(crate) fn text_of(parts: &[&str]) -> Bytes {
    let payload = parts.iter().map(|part| part.len()).sum();
    let mut out = Vec::with_capacity(frame_len(payload));
    put_header(&mut out, Opcode::Text, payload);
    for part in parts {
        out.extend_from_slice(part.as_bytes());
    }
    out.into()
}

/// Appends a text message out of parts to what a socket is about to be sent.
pub(crate) fn append_text_of(out: &mut BytesMut, parts: &[&str]) {
    let payload = parts.iter().map(|part| part.len()).sum();
    out.reserve(frame_len(payload));
    put_header(out, Opcode::Text, payload);
    for part in parts {
        out.extend_from_slice(part.as_bytes());
    }
}

/// Makes a binary message of a payload behind [`HEADER_ROOM`] free bytes, without a copy.
pub(crate) fn binary_in_place(mut buffer: Vec<u8>) -> Bytes {
    let payload = buffer.len().saturating_sub(HEADER_ROOM);
    let start = HEADER_ROOM - frame::length_end(payload as u64);
    let mut header = &mut buffer[start..HEADER_ROOM];
    put_header(&mut header, Opcode::Binary, payload);
    Bytes::from(buffer).slice(start..)
}

fn put_header(out: &mut impl BufMut, opcode: Opcode, payload: usize) {
    let mut header = [0; MAX_HEADER];
    header[0] = 0x80 | opcode as u8;
    let end = frame::length_end(payload as u64);
    match end {
        2 => header[1] = payload as u8,
        4 => {
            header[1] = 126;
            header[2..4].copy_from_slice(&(payload as u16).to_be_bytes());
        }
        _ => {
            header[1] = 127;
            header[2..].copy_from_slice(&(payload as u64).to_be_bytes());
        }
    }
    out.put_slice(&header[..end]);
}
