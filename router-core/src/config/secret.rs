//! Texts that are not printed.

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

/// What a masked secret is printed as.
const MASK: &str = "***";

/// A text that neither logs nor `--print-config` show. Of a URL, only the password is masked.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// The text itself.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The text as it may be shown.
    pub fn masked(&self) -> String {
        let Some((scheme, rest)) = self.0.split_once("://") else {
            return MASK.to_owned();
        };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        match authority.rsplit_once('@') {
            Some((credentials, host)) => {
                let user = credentials.split(':').next().unwrap_or_default();
                format!("{scheme}://{user}:{MASK}@{host}{path}")
            }
            None => self.0.clone(),
        }
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.masked())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked())
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_url_only_the_password_is_masked() {
        let masked = |text: &str| Secret::from(text.to_owned()).masked();
        assert_eq!(masked("redis://:pa@ss@h:1/0"), "redis://:***@h:1/0");
        assert_eq!(masked("redis://user:pass@h:1"), "redis://user:***@h:1");
        assert_eq!(masked("memory:"), "***");
        assert_eq!(masked("redis://h:1"), "redis://h:1");
    }
}
