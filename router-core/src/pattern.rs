//! Names by pattern: of nsps and of channels.

use bytestring::ByteString;

/// One name, or with `*` at its end all names that begin so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(ByteString);

impl Pattern {
    /// The pattern of this text.
    pub fn new(text: impl Into<ByteString>) -> Self {
        Self(text.into())
    }

    /// Whether `name` is meant.
    pub fn fits(&self, name: &str) -> bool {
        match self.0.strip_suffix('*') {
            Some(begin) => name.starts_with(begin),
            None => *self.0 == *name,
        }
    }

    /// Whether every name is meant.
    pub fn is_everything(&self) -> bool {
        &*self.0 == "*"
    }

    /// Whether more than one name may be meant.
    pub fn is_open(&self) -> bool {
        self.0.ends_with('*')
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_one_name_or_a_beginning() {
        let fits = |pattern: &'static str, name| Pattern::new(pattern).fits(name);
        assert!(fits("/", "/") && !fits("/", "/a"));
        assert!(fits("/room-*", "/room-1") && fits("/room-*", "/room-"));
        assert!(!fits("/room-*", "/rooms") && fits("/*", "/any"));
        assert!(fits("*", "any") && fits("*", ""));
    }
}
