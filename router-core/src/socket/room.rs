//! Rooms by name, and the room that each socket is by itself.

use bytestring::ByteString;

use super::Socket;
use crate::address::Address;

/// The longest name of a room, in bytes.
pub const ROOM_NAME_MAX: usize = 255;

/// Whom an event can be for: the sockets on a named room, or one socket.
///
/// ```
/// use router_core::{Address, socket::Room};
///
/// let lobby = Room::from("lobby");
/// let somebody: Room = (&"ws/1/Xk2".parse::<Address>()?).into();
/// assert_ne!(lobby, somebody);
/// # Ok::<_, router_core::AddressError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Room {
    /// The sockets that joined this name.
    Named(ByteString),
    /// The socket of this address.
    Of(Address),
}

impl From<&str> for Room {
    fn from(name: &str) -> Self {
        Self::Named(name.into())
    }
}

impl From<String> for Room {
    fn from(name: String) -> Self {
        Self::Named(name.into())
    }
}

impl From<&String> for Room {
    fn from(name: &String) -> Self {
        Self::Named(name.as_str().into())
    }
}

impl From<ByteString> for Room {
    fn from(name: ByteString) -> Self {
        Self::Named(name)
    }
}

impl From<&Address> for Room {
    fn from(address: &Address) -> Self {
        Self::Of(address.clone())
    }
}

impl From<&Socket> for Room {
    fn from(socket: &Socket) -> Self {
        Self::Of(socket.address().clone())
    }
}

/// One name of a room, or several.
pub trait IntoRooms {
    /// The names.
    fn into_rooms(self) -> Vec<ByteString>;
}

impl IntoRooms for &str {
    fn into_rooms(self) -> Vec<ByteString> {
        vec![self.into()]
    }
}

impl IntoRooms for String {
    fn into_rooms(self) -> Vec<ByteString> {
        vec![self.into()]
    }
}

impl IntoRooms for &String {
    fn into_rooms(self) -> Vec<ByteString> {
        vec![self.as_str().into()]
    }
}

impl IntoRooms for ByteString {
    fn into_rooms(self) -> Vec<ByteString> {
        vec![self]
    }
}

impl<T: Into<ByteString>, const N: usize> IntoRooms for [T; N] {
    fn into_rooms(self) -> Vec<ByteString> {
        self.into_iter().map(Into::into).collect()
    }
}

impl<T: Into<ByteString>> IntoRooms for Vec<T> {
    fn into_rooms(self) -> Vec<ByteString> {
        self.into_iter().map(Into::into).collect()
    }
}

/// The channel of a room on the bus. A nsp has no comma, so no two rooms share one.
pub fn room_channel(nsp: &str, room: &str) -> ByteString {
    let mut name = String::with_capacity(6 + nsp.len() + room.len());
    name.extend(["room:", nsp, ",", room]);
    name.into()
}
