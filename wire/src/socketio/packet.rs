//! What a received Socket.IO packet says.

use std::fmt;

use bytestring::ByteString;

/// The largest acknowledgement id: the largest integer that a JavaScript client counts
/// exactly, 2^53 - 1.
pub const MAX_ACK_ID: u64 = (1 << 53) - 1;

/// A received packet. Texts are slices of the received one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// The nsp whose socket it is for.
    pub nsp: Nsp,
    /// How many binary messages follow and belong to it. Not zero only for an event or an
    /// acknowledgement, which is then not whole before an [`Assembler`](super::Assembler) has
    /// them.
    pub attachments: usize,
    /// The rest, by type.
    pub kind: Kind,
}

/// The types of packets. The two binary types are the plain ones with
/// [`attachments`](Packet::attachments).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `0`: a client wants into the nsp.
    Connect {
        /// The client's `auth`: the text of a JSON object.
        auth: Option<ByteString>,
    },
    /// `1`: the client leaves the nsp.
    Disconnect,
    /// `2` and `5`: an event.
    Event {
        /// The id under which the sender awaits an acknowledgement.
        id: Option<u64>,
        /// Its name, unescaped; never one of the reserved names.
        name: ByteString,
        /// The arguments after the name, as valid JSON texts with commas between, without the
        /// brackets: `{"a":1},2`. Empty when there are none.
        args: ByteString,
    },
    /// `3` and `6`: the acknowledgement of an event.
    Ack {
        /// The id that the event had.
        id: u64,
        /// The arguments, in the form of [`Event::args`](Self::Event::args).
        args: ByteString,
    },
    /// `4`: a server refuses the nsp; never meant for a server.
    ConnectError {
        /// The text of a JSON object or string.
        error: ByteString,
    },
}

/// The name of a Socket.IO namespace: `/`, or `/` and more.
///
/// It holds no comma and no query, so that it can be written into a packet as it is. The root
/// is written as nothing.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Nsp(ByteString);

impl Nsp {
    /// `/`, where every client begins.
    pub const ROOT: Self = Self(ByteString::from_static("/"));

    /// Takes a name, without a query if it has one; `None` if it does not begin with `/`, or
    /// has a comma.
    pub fn new(name: impl Into<ByteString>) -> Option<Self> {
        let name = name.into();
        let end = memchr::memchr2(b'?', b',', name.as_bytes()).unwrap_or(name.len());
        if !name.starts_with('/') || name[end..].contains(',') {
            return None;
        }
        Some(Self(name.slice_ref(&name[..end])))
    }

    /// The name, with its `/`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is `/`.
    pub fn is_root(&self) -> bool {
        self.0.len() == 1
    }

    /// The name and the comma after it, as they stand in a packet.
    pub(super) fn parts(&self) -> (&str, &'static str) {
        if self.is_root() { ("", "") } else { (self.as_str(), ",") }
    }
}

impl Default for Nsp {
    fn default() -> Self {
        Self::ROOT
    }
}

impl fmt::Debug for Nsp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Nsp({:?})", self.as_str())
    }
}

impl fmt::Display for Nsp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nsp_is_a_path_without_query_or_comma() {
        assert_eq!(Nsp::new("/").unwrap(), Nsp::ROOT);
        assert_eq!(Nsp::new("/admin?token=1&a=b").unwrap().as_str(), "/admin");
        assert_eq!(Nsp::new("/?a").unwrap(), Nsp::ROOT);
        for name in ["", "admin", "?", ",", "/a,b", "/a?b,c"] {
            assert!(Nsp::new(name).is_none(), "{name}");
        }
    }
}
