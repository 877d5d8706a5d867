//! The id of an Engine.IO session: whose it is, and a secret.
//!
//! It says node, incarnation and shard, so that any process can tell the owner of a session from
//! its id alone. Whoever knows the whole id may read and write the session; it is never logged.

use std::fmt;

use router_core::{Incarnation, NodeId, id::random_text};

/// Characters of the secret: 144 random bits in URL-safe base64.
const SECRET: usize = 24;

/// The part of an id that cannot be guessed.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Secret([u8; SECRET]);

/// An id, as text `nid.incarnation.shard.secret` with the numbers in hexadecimal. No character of
/// it is escaped in a query string.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Sid {
    /// The node that has the session.
    pub(crate) nid: NodeId,
    /// The node's life in which the session began.
    pub(crate) incarnation: Incarnation,
    /// The node's shard that has it.
    pub(crate) shard: usize,
    /// What only the client knows.
    pub(crate) secret: Secret,
}

impl Sid {
    /// A new id of this owner; `None` when the system has no randomness.
    pub(crate) fn new(nid: NodeId, incarnation: Incarnation, shard: usize) -> Option<Self> {
        let secret = Secret::parse(&random_text::<18>().ok()?)?;
        Some(Self { nid, incarnation, shard, secret })
    }

    /// Reads an id as strictly as it is written: there is one text for each id.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let sid = Self {
            nid: NodeId(u32::try_from(hex(parts.next()?)?).ok()?),
            incarnation: Incarnation(hex(parts.next()?)?),
            shard: usize::try_from(hex(parts.next()?)?).ok()?,
            secret: Secret::parse(parts.next()?)?,
        };
        parts.next().is_none().then_some(sid)
    }
}

impl fmt::Display for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { nid, incarnation, shard, secret } = self;
        let secret = std::str::from_utf8(&secret.0).unwrap_or_default();
        write!(f, "{:x}.{:x}.{shard:x}.{secret}", nid.0, incarnation.0)
    }
}

impl Secret {
    fn parse(text: &str) -> Option<Self> {
        let known = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let bytes: [u8; SECRET] = text.as_bytes().try_into().ok()?;
        bytes.iter().all(known).then_some(Self(bytes))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// A number in lower-case hexadecimal, without a sign or zeros in front.
fn hex(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let shortest = text.len() == 1 || !text.starts_with('0');
    if plain && shortest { u64::from_str_radix(text, 16).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_tells_its_owner_and_has_one_text() {
        let sid = Sid::new(NodeId(255), Incarnation(u64::MAX), 0).unwrap();
        let text = sid.to_string();
        assert!(text.starts_with("ff.ffffffffffffffff.0."), "{text}");
        assert_eq!(Sid::parse(&text), Some(sid));
        assert_ne!(Sid::new(NodeId(255), Incarnation(u64::MAX), 0), Some(sid));
        assert_eq!(format!("{:?}", sid.secret), "Secret");
    }

    #[test]
    fn what_is_not_written_so_is_no_id() {
        let secret = "abcdefghijklmnopqrstuvwx";
        assert!(Sid::parse(&format!("1.a.0.{secret}")).is_some());
        for text in [
            String::new(),
            "1.a.0".to_owned(),
            format!("1.a.0.{}", &secret[1..]),
            format!("1.a.0.{secret}."),
            format!("1.A.0.{secret}"),
            format!("01.a.0.{secret}"),
            format!("+1.a.0.{secret}"),
            format!(".a.0.{secret}"),
            format!("100000000.a.0.{secret}"),
            format!("1.10000000000000000.0.{secret}"),
            format!("1.a.0.{}%", &secret[1..]),
        ] {
            assert_eq!(Sid::parse(&text), None, "{text}");
        }
    }
}
