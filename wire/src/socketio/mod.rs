//! Socket.IO 5: packets for the sockets of one connection, each in its own nsp.
//!
//! Arguments are never decoded here: a received packet holds slices of the received text, and
//! an outgoing one is put together around JSON text that its caller already has.

mod assembler;
mod decode;
mod encode;
mod packet;

pub use assembler::{Assembler, AssemblyError};
pub use decode::{DecodeError, Limits, decode};
pub use encode::{Outgoing, connect_error_json};
pub use packet::{Kind, MAX_ACK_ID, Nsp, Packet};
