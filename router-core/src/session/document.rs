//! What a session holds.

use bytestring::ByteString;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    address::Address,
    id::{RandomError, random_text},
};

/// A session's id: 192 random bits, made by Whisk. It is a secret of server and cookie; clients are
/// known to each other by their sockets' ids.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SessionId(ByteString);

impl SessionId {
    /// A new id.
    ///
    /// # Errors
    /// [`RandomError`] when the operating system gives no randomness.
    pub fn random() -> Result<Self, RandomError> {
        random_text::<24>().map(Self)
    }

    /// An id out of a cookie or token whose signature was checked.
    pub fn from_signed(id: impl Into<ByteString>) -> Self {
        Self(id.into())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn text(&self) -> ByteString {
        self.0.clone()
    }
}

/// A user's id, the application's own; any text of at most 256 bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UserId(ByteString);

impl UserId {
    /// The longest user id, in bytes.
    pub const MAX: usize = 256;

    /// A user's id. `None` when it is empty or longer than [`UserId::MAX`].
    pub fn new(id: impl Into<ByteString>) -> Option<Self> {
        let id = id.into();
        (1..=Self::MAX).contains(&id.len()).then_some(Self(id))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for UserId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// A tenant application with its own keys and origins. Every key in every store carries it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "ByteString", into = "ByteString")]
pub struct Site(ByteString);

impl Site {
    /// The site of a system that has only one.
    pub fn main() -> Self {
        Self(ByteString::from_static("main"))
    }

    /// The site's name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn text(&self) -> ByteString {
        self.0.clone()
    }
}

/// A site's name is 1 to 64 bytes of `a-z 0-9 -`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a site is 1 to 64 characters of a-z, 0-9 and '-'")]
pub struct SiteError;

impl TryFrom<ByteString> for Site {
    type Error = SiteError;

    fn try_from(name: ByteString) -> Result<Self, SiteError> {
        let fits = (1..=64).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if fits { Ok(Self(name)) } else { Err(SiteError) }
    }
}

impl From<Site> for ByteString {
    fn from(site: Site) -> Self {
        site.0
    }
}

/// The record that web and socket share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionDocument {
    /// Who it belongs to; a session may exist before anybody logged in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<UserId>,
    /// The addresses of its living sockets; at most [`SessionDocument::SOCKETS_MAX`], the oldest
    /// dropped first, since a node that dies cannot take its own away.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sockets: Vec<Address>,
    /// The user's store: what handlers read as a type and change by [`Update`](super::Update)s.
    #[serde(default)]
    pub store: Map<String, Value>,
    /// When its user logged in, in milliseconds since 1970: it is revoked with all that are older than
    /// a revocation of the user.
    #[serde(default)]
    pub(crate) since_ms: u64,
    /// The session goes on under another id; this record leads nowhere and is about to go.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) moved: bool,
}

impl SessionDocument {
    /// How many sockets' addresses are kept.
    pub const SOCKETS_MAX: usize = 64;

    /// A session of this user, or of nobody yet.
    pub fn new(user_id: Option<UserId>) -> Self {
        Self { user_id, sockets: Vec::new(), store: Map::new(), since_ms: 0, moved: false }
    }

    /// Notes a socket that came.
    pub fn add_socket(&mut self, address: Address) {
        self.sockets.retain(|known| *known != address);
        if self.sockets.len() >= Self::SOCKETS_MAX {
            self.sockets.remove(0);
        }
        self.sockets.push(address);
    }

    /// Forgets a socket that went.
    pub fn remove_socket(&mut self, address: &Address) {
        self.sockets.retain(|known| known != address);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_sockets_make_room() {
        let mut document = SessionDocument::new(None);
        for n in 0..70 {
            document.add_socket(format!("ws/0/s{n}").parse().unwrap());
        }
        assert_eq!(document.sockets.len(), SessionDocument::SOCKETS_MAX);
        assert_eq!(document.sockets[0].to_string(), "ws/0/s6");
        document.remove_socket(&"ws/0/s6".parse().unwrap());
        assert_eq!(document.sockets[0].to_string(), "ws/0/s7");
    }
}
