//! Socket.IO 5: packets for the sockets of one connection, each in its own nsp.
//!
//! In text, with binary messages after it, or each a binary message ([`msgpack`]): a received
//! packet has the same form. Arguments are never decoded here: a received packet holds slices of the received text, and
//! an outgoing one is put together around JSON text that its caller already has.

mod assembler;
mod decode;
mod encode;
mod json;
pub mod msgpack;
mod packet;
mod placeholder;

pub use assembler::{Assembler, AssemblyError};
pub use decode::{DecodeError, Limits, decode};
pub use encode::{Outgoing, connect_error_json};
pub use json::ArgsError;
pub use packet::{Kind, MAX_ACK_ID, Nsp, Packet};
pub use placeholder::check_placeholders;
