//! The client's side of the framing, for tests, fuzzers and load generators.

use bytes::{Bytes, BytesMut};

use super::decode::{DecodeLimits, Decoder};
use super::encode;
use super::frame::{self, Opcode};
use crate::close::{CloseCode, CloseReason};

/// A decoder of what a server sends: unmasked frames.
pub const fn decoder(limits: DecodeLimits) -> Decoder {
    Decoder::of_server(limits)
}

/// Any masked frame, also a faulty one: nothing about it is judged. `first` is its first byte
/// (FIN, reserved bits and opcode); the length is encoded in the fewest bytes.
pub fn raw(first: u8, payload: &[u8], key: [u8; 4]) -> Bytes {
    let server = encode::binary(payload);
    let (header, payload) = server.split_at(frame::length_end(payload.len() as u64));
    let mut out = BytesMut::with_capacity(server.len() + key.len());
    out.extend_from_slice(header);
    out[0] = first;
    out[1] |= 0x80;
    out.extend_from_slice(&key);
    let start = out.len();
    out.extend_from_slice(payload);
    frame::mask(&mut out[start..], key);
    out.freeze()
}

/// A masked frame of a message; `fin` is false for every fragment but the last.
pub fn fragment(opcode: Opcode, fin: bool, payload: &[u8], key: [u8; 4]) -> Bytes {
    raw(u8::from(fin) << 7 | opcode as u8, payload, key)
}

/// A key for callers that do not care. RFC 6455 asks browsers for fresh ones against caches
/// in between, which tests and load generators do not meet.
const KEY: [u8; 4] = [0x5a, 0xc3, 0x17, 0x8e];

/// A whole text message.
pub fn text(text: &str) -> Bytes {
    fragment(Opcode::Text, true, text.as_bytes(), KEY)
}

/// A whole binary message.
pub fn binary(payload: &[u8]) -> Bytes {
    fragment(Opcode::Binary, true, payload, KEY)
}

/// A ping.
pub fn ping(payload: &[u8]) -> Bytes {
    fragment(Opcode::Ping, true, payload, KEY)
}

/// A pong.
pub fn pong(payload: &[u8]) -> Bytes {
    fragment(Opcode::Pong, true, payload, KEY)
}

/// A close frame.
pub fn close(code: CloseCode, reason: &CloseReason) -> Bytes {
    let server = encode::close(code, reason);
    fragment(Opcode::Close, true, &server[2..], KEY)
}
