//! Engine.IO 4: what lies between the frames of a transport and the packets of Socket.IO.

mod handshake;
mod packet;
pub mod payload;
mod query;

pub use handshake::Handshake;
pub use packet::{Packet, PacketError, frames};
pub use query::{Action, OpenError, OpenRequest, Transport};
