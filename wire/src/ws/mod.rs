//! WebSocket (RFC 6455): the opening handshake and the frames, from the server's side.
//!
//! No extension is ever negotiated, so the three reserved bits are always an error.

pub mod client;
mod decode;
pub mod encode;
mod frame;
pub mod handshake;

pub use decode::{DecodeLimits, Decoder, Message};
pub use frame::{Opcode, Violation};
