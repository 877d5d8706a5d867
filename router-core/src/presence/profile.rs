//! What a client says of itself: a label and some JSON. Nobody checks whether it is true.

use bytestring::ByteString;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::value::RawValue;

/// A short text that a client shows itself under: at most 128 bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "ByteString", into = "ByteString")]
pub struct Label(ByteString);

/// Any JSON of at most 2 KiB, kept as the text in which it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meta(ByteString);

/// Why a profile is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProfileError {
    /// The label is too long.
    #[error("a label is at most {} bytes", Label::MAX)]
    Label,
    /// The meta is too long.
    #[error("meta is at most {} bytes of JSON", Meta::MAX)]
    Meta,
    /// The meta is no JSON.
    #[error("meta is no JSON")]
    Json,
}

impl Label {
    /// The longest label, in bytes.
    pub const MAX: usize = 128;

    /// The label as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<ByteString> for Label {
    type Error = ProfileError;

    fn try_from(label: ByteString) -> Result<Self, ProfileError> {
        if label.len() <= Self::MAX { Ok(Self(label)) } else { Err(ProfileError::Label) }
    }
}

impl TryFrom<&str> for Label {
    type Error = ProfileError;

    fn try_from(label: &str) -> Result<Self, ProfileError> {
        ByteString::from(label).try_into()
    }
}

impl From<Label> for ByteString {
    fn from(label: Label) -> Self {
        label.0
    }
}

impl Meta {
    /// The longest meta, in bytes of its JSON text.
    pub const MAX: usize = 2048;

    /// Meta out of its JSON text.
    ///
    /// # Errors
    /// [`ProfileError`] when it is too long, or no JSON.
    pub fn parse(json: &str) -> Result<Self, ProfileError> {
        if json.len() > Self::MAX {
            return Err(ProfileError::Meta);
        }
        serde_json::from_str::<&RawValue>(json).map_err(|_| ProfileError::Json)?;
        Ok(Self(json.into()))
    }

    /// A text that was checked before it was stored.
    pub(super) fn from_stored(json: &str) -> Self {
        Self(json.into())
    }

    /// The JSON text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Serialize for Meta {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw: &RawValue = serde_json::from_str(&self.0).map_err(serde::ser::Error::custom)?;
        raw.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Meta {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        if raw.get().len() > Self::MAX {
            return Err(de::Error::custom(ProfileError::Meta));
        }
        Ok(Self(raw.get().into()))
    }
}

/// What a client says of itself. As JSON: `{label?, meta?}`.
///
/// ```
/// use router_core::presence::Profile;
///
/// let profile: Profile = serde_json::from_str(r#"{"label":"Ann","meta":{"seat":[]}}"#)?;
/// assert_eq!(profile.label.unwrap().as_str(), "Ann");
/// assert_eq!(profile.meta.unwrap().as_str(), r#"{"seat":[]}"#);
/// # Ok::<_, serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Profile {
    /// A short text to show.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<Label>,
    /// Anything else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_bounded() {
        let read = |label: usize, meta: usize| {
            let (label, meta) = ("l".repeat(label), "m".repeat(meta.saturating_sub(2)));
            let json = format!(r#"{{"label":"{label}","meta":"{meta}"}}"#);
            serde_json::from_str::<Profile>(&json).is_ok()
        };
        assert!(read(Label::MAX, Meta::MAX));
        assert!(!read(Label::MAX + 1, 2));
        assert!(!read(1, Meta::MAX + 1));
        assert_eq!(Meta::parse("{"), Err(ProfileError::Json));
        assert_eq!(Meta::parse(&" ".repeat(Meta::MAX + 1)), Err(ProfileError::Meta));
    }

    #[test]
    fn a_profile_is_written_as_it_was_read() {
        let json = r#"{"label":"a\nb","meta":{"list":[],"n":12345678901234567890}}"#;
        let profile: Profile = serde_json::from_str(json).unwrap();
        assert_eq!(serde_json::to_string(&profile).unwrap(), json);
        assert_eq!(serde_json::from_str::<Profile>("{}").unwrap(), Profile::default());
        assert!(serde_json::from_str::<Profile>(r#"{"client":"x"}"#).is_err());
    }
}
