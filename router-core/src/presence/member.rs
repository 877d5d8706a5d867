//! Who is on a roster: a client, what it says of itself, and what became of it.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytestring::ByteString;
use serde::{Deserialize, Serialize, Serializer, ser::SerializeStruct};
use sha2::{Digest as _, Sha256};

use super::{Millis, Profile, Serial};
use crate::{
    address::{Address, AddressError, TenantId},
    backend::registry::Lease,
    session::{Site, UserId},
};

/// A client's public id: 1 to 64 bytes of `A-Z a-z 0-9 - _ . :`. It names a member of a roster to the
/// others; a client that comes back with the same one is the same member.
///
/// Made by the server, never a client's own text.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "ByteString", into = "ByteString")]
pub struct ClientId(ByteString);

impl ClientId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id of a client that shows a secret text of its own, which it keeps while it comes back:
    /// nobody who knows the id finds the text. Of two users with the same text it is not the same.
    pub fn of_secret(site: &Site, user: Option<&UserId>, secret: &str) -> Self {
        let user = user.map(UserId::as_str).unwrap_or_default();
        let mut hash = Sha256::new();
        for part in ["whisk client", site.as_str(), user, secret] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        let digest = hash.finalize();
        let short = digest.get(..16).unwrap_or_default();
        Self(URL_SAFE_NO_PAD.encode(short).into())
    }

    /// What comes before every id: itself none.
    pub(crate) const fn least() -> Self {
        Self(ByteString::new())
    }
}

impl TryFrom<ByteString> for ClientId {
    type Error = AddressError;

    fn try_from(id: ByteString) -> Result<Self, AddressError> {
        TenantId::try_from(id).map(Self::from)
    }
}

impl From<TenantId> for ClientId {
    fn from(tid: TenantId) -> Self {
        Self(tid.into())
    }
}

impl From<ClientId> for ByteString {
    fn from(client: ClientId) -> Self {
        client.0
    }
}

impl std::str::FromStr for ClientId {
    type Err = AddressError;

    fn from_str(id: &str) -> Result<Self, AddressError> {
        ByteString::from(id).try_into()
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Its socket is there, or was until a moment ago.
    Connected,
    /// Its socket was not heard for the disconnect threshold.
    Disconnected,
}

/// What a socket brings when its client comes on a roster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coming {
    /// The client.
    pub client: ClientId,
    /// Whose it is, where that is known.
    pub user: Option<UserId>,
    /// The socket.
    pub address: Address,
    /// What it says of itself: the client's own words, which nobody has checked.
    pub profile: Profile,
}

/// One entry of a roster.
///
/// As JSON it is what clients see:
/// `{client, user?, label?, meta?, state, first_seen, last_seen, version}`. `label` and `meta` are the
/// client's own words; `client` and `user` are the server's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Who it is, and by which socket.
    pub coming: Coming,
    /// What it is.
    pub state: State,
    /// When it came on the roster.
    pub first_seen: Millis,
    /// When the store last had word of it: while it is connected, the time of its entering.
    pub last_seen: Millis,
    /// The roster's version at its last change that was told.
    pub version: u64,
    /// How long after `last_seen` it stays on the roster: its channel's removal threshold.
    pub kept: Millis,
    /// The node's life that is responsible for its next change.
    pub owner: Lease,
    /// Which of the owner's requests changed it last; 0 if it was adopted.
    pub serial: Serial,
}

impl Serialize for Member {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Coming { client, user, profile, .. } = &self.coming;
        let mut shown = serializer.serialize_struct("Member", 8)?;
        shown.serialize_field("client", client)?;
        match user {
            Some(user) => shown.serialize_field("user", user)?,
            None => shown.skip_field("user")?,
        }
        match &profile.label {
            Some(label) => shown.serialize_field("label", label)?,
            None => shown.skip_field("label")?,
        }
        match &profile.meta {
            Some(meta) => shown.serialize_field("meta", meta)?,
            None => shown.skip_field("meta")?,
        }
        shown.serialize_field("state", &self.state)?;
        shown.serialize_field("first_seen", &self.first_seen)?;
        shown.serialize_field("last_seen", &self.last_seen)?;
        shown.serialize_field("version", &self.version)?;
        shown.end()
    }
}
