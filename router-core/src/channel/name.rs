//! Names of channels, and what they are called in stores and on the bus.

use std::fmt;

use bytestring::ByteString;
use serde::{Deserialize, Serialize};

use crate::{
    backend::bus::Subject,
    session::{Site, UserId},
};

/// The name of a channel: 1 to 255 bytes of `A-Z a-z 0-9 - _ . : /`, not beginning with `_`.
///
/// ```
/// use router_core::channel::ChannelName;
///
/// assert!("exam:42/notices".parse::<ChannelName>().is_ok());
/// assert!("_user".parse::<ChannelName>().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "ByteString", into = "ByteString")]
pub struct ChannelName(ByteString);

impl ChannelName {
    /// The longest name, in bytes.
    pub const MAX: usize = 255;

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name's own text, shared.
    pub(crate) fn text(&self) -> ByteString {
        self.0.clone()
    }
}

/// A text that names no channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a channel's name is 1 to 255 characters of A-Z, a-z, 0-9, '-', '_', '.', ':' and '/', and does \
     not begin with '_'"
)]
pub struct ChannelNameError;

impl TryFrom<ByteString> for ChannelName {
    type Error = ChannelNameError;

    fn try_from(name: ByteString) -> Result<Self, ChannelNameError> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:/".contains(&byte);
        let length = (1..=Self::MAX).contains(&name.len());
        if length && !name.starts_with('_') && name.bytes().all(fits) {
            Ok(Self(name))
        } else {
            Err(ChannelNameError)
        }
    }
}

impl std::str::FromStr for ChannelName {
    type Err = ChannelNameError;

    fn from_str(name: &str) -> Result<Self, ChannelNameError> {
        ByteString::from(name).try_into()
    }
}

impl TryFrom<&str> for ChannelName {
    type Error = ChannelNameError;

    fn try_from(name: &str) -> Result<Self, ChannelNameError> {
        name.parse()
    }
}

impl From<ChannelName> for ByteString {
    fn from(name: ChannelName) -> Self {
        name.0
    }
}

impl fmt::Display for ChannelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a channel is called where sites share a store and a bus: `chan:SITE:NAME`, or
/// `user:SITE:USER` for the private one of a user, which no client can name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelKey(ByteString);

impl From<ChannelKey> for ByteString {
    fn from(key: ChannelKey) -> Self {
        key.0
    }
}

impl ChannelKey {
    /// The key of a site's channel.
    pub fn new(site: &Site, name: &ChannelName) -> Self {
        Self(format!("chan:{}:{name}", site.as_str()).into())
    }

    /// The key of a user's private channel, on which also what is for one of the user's sessions is
    /// said.
    pub fn of_user(site: &Site, user: &UserId) -> Self {
        Self(format!("user:{}:{user}", site.as_str()).into())
    }

    /// A key that a store gives back as it was written there.
    pub fn from_stored(key: impl Into<ByteString>) -> Self {
        Self(key.into())
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The channel of this site that has this text as its key.
    pub(crate) fn name_of(site: &Site, text: &ByteString) -> Option<ChannelName> {
        let name = text.strip_prefix("chan:")?.strip_prefix(site.as_str())?.strip_prefix(':')?;
        text.slice_ref(name).try_into().ok()
    }

    /// Where nodes listen to it.
    pub fn subject(&self) -> Subject {
        Subject::Channel(self.0.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_of_a_few_characters_and_bounded() {
        let name = |text: &str| text.parse::<ChannelName>();
        for good in ["a", "A-Z_0.9:/", "-x", "private", &"x".repeat(255)] {
            assert!(name(good).is_ok(), "{good}");
        }
        for bad in ["", "_x", "a b", "a,b", "ä", "a\0", "a*", &"x".repeat(256)] {
            assert_eq!(name(bad), Err(ChannelNameError), "{bad}");
        }
        assert!(serde_json::from_str::<ChannelName>(r#""_user""#).is_err());
    }

    #[test]
    fn no_two_channels_share_a_key() {
        let site = |name: &str| Site::try_from(ByteString::from(name)).unwrap();
        let user = UserId::new("b:c").unwrap();
        let keys = [
            ChannelKey::new(&site("a"), &"b:c".parse().unwrap()),
            ChannelKey::new(&site("a"), &"c".parse().unwrap()),
            ChannelKey::of_user(&site("a"), &user),
            ChannelKey::of_user(&site("b"), &user),
        ];
        let name = |key: &ChannelKey| ChannelKey::name_of(&site("a"), &key.0);
        assert_eq!(name(&keys[0]), "b:c".parse().ok());
        assert_eq!(
            (name(&keys[2]), name(&ChannelKey::new(&site("b"), &"c".parse().unwrap()))),
            (None, None)
        );
        let distinct: std::collections::HashSet<_> = keys.iter().collect();
        assert_eq!(distinct.len(), keys.len());
    }
}
