//! Keys that sign tokens, resume credentials and cookies: two live ones, so that they can be
//! changed without a moment at which something valid is refused.

use std::{fmt, str::FromStr};

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::id::{RandomError, random_text};

/// The shortest secret, in bytes: the output size of the hash (RFC 2104, section 3).
pub const SECRET_MIN: usize = 32;

/// A named secret, written `id:secret`.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    id: String,
    secret: String,
}

/// A text that is no key, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// No `id:` before the secret, or an id of other characters than `A-Z a-z 0-9 - _`.
    #[error("a key is written id:secret, its id of 1 to 32 characters of A-Z, a-z, 0-9, '-', '_'")]
    Form,
    /// The secret is shorter than [`SECRET_MIN`].
    #[error("a key's secret is at least 32 characters; `openssl rand -base64 36` makes one")]
    Short,
    /// Two keys share an id, so that a signature does not tell which one made it.
    #[error("the current and the previous key have the same id")]
    SameId,
}

impl Key {
    /// A new random key (288 bits).
    ///
    /// # Errors
    /// [`RandomError`] when the operating system gives no randomness.
    pub fn random(id: &str) -> Result<Self, RandomError> {
        Ok(Self { id: id.to_owned(), secret: random_text::<36>()?.to_string() })
    }

    /// The key's name, which is no secret.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The key in the form that [`FromStr`] reads. Whoever has this text has the key.
    pub fn reveal(&self) -> String {
        format!("{}:{}", self.id, self.secret)
    }

    /// A secret of 256 bits for one purpose. What is signed for one purpose means nothing for
    /// another, though one key is configured.
    pub fn derive(&self, purpose: &str) -> [u8; 32] {
        // HMAC takes keys of any length, so this cannot fail; an empty array would only refuse.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(self.secret.as_bytes()) else {
            return [0; 32];
        };
        mac.update(purpose.as_bytes());
        mac.finalize().into_bytes().into()
    }
}

impl FromStr for Key {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let (id, secret) = text.trim().split_once(':').ok_or(KeyError::Form)?;
        let named = (1..=32).contains(&id.len())
            && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        if !named {
            return Err(KeyError::Form);
        }
        if secret.len() < SECRET_MIN {
            return Err(KeyError::Short);
        }
        Ok(Self { id: id.to_owned(), secret: secret.to_owned() })
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({}:***)", self.id)
    }
}

/// The key that signs, and the one before it, which is still believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRing {
    current: Key,
    previous: Option<Key>,
}

impl KeyRing {
    /// A ring that signs with `current` and also believes `previous`.
    ///
    /// # Errors
    /// [`KeyError::SameId`] when both have the same id.
    pub fn new(current: Key, previous: Option<Key>) -> Result<Self, KeyError> {
        if previous.as_ref().is_some_and(|previous| previous.id == current.id) {
            return Err(KeyError::SameId);
        }
        Ok(Self { current, previous })
    }

    /// The key that signs.
    pub fn current(&self) -> &Key {
        &self.current
    }

    /// The live key of this id.
    pub fn find(&self, id: &str) -> Option<&Key> {
        self.live().find(|key| key.id == id)
    }

    /// All live keys, the signing one first.
    pub fn live(&self) -> impl Iterator<Item = &Key> {
        std::iter::once(&self.current).chain(&self.previous)
    }
}

/// A signature over `parts`, as text that is safe in a URL.
pub fn sign(secret: &[u8; 32], parts: &[&str]) -> Option<String> {
    Some(URL_SAFE_NO_PAD.encode(mac(secret, parts)?.finalize().into_bytes()))
}

/// Whether `signature` is [`sign`]'s over `parts`, in constant time.
pub fn verify(secret: &[u8; 32], parts: &[&str], signature: &str) -> bool {
    let Ok(signature) = URL_SAFE_NO_PAD.decode(signature) else {
        return false;
    };
    mac(secret, parts).is_some_and(|mac| mac.verify_slice(&signature).is_ok())
}

fn mac(secret: &[u8; 32], parts: &[&str]) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).ok()?;
    for part in parts {
        // The length first, so that no two lists of parts read alike.
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part.as_bytes());
    }
    Some(mac)
}

/// Fingerprints a secret for logs and comparison without telling it.
pub fn fingerprint(text: &str) -> String {
    use sha2::Digest;
    STANDARD.encode(&Sha256::digest(text.as_bytes())[..6])
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn a_key_is_named_and_long() {
        assert!(format!("2026-11:{SECRET}").parse::<Key>().is_ok());
        assert_eq!(SECRET.parse::<Key>(), Err(KeyError::Form));
        assert_eq!(format!("a b:{SECRET}").parse::<Key>(), Err(KeyError::Form));
        assert_eq!("a:short".parse::<Key>(), Err(KeyError::Short));
    }

    #[test]
    fn a_key_never_prints_its_secret() {
        let key: Key = format!("a:{SECRET}").parse().unwrap();
        assert!(!format!("{key:?}").contains(SECRET));
        assert_eq!(key.reveal().parse(), Ok(key));
    }

    #[test]
    fn a_ring_of_two_equal_ids_is_refused() {
        let key = Key::random("a").unwrap();
        assert_eq!(KeyRing::new(key.clone(), Some(key)), Err(KeyError::SameId));
    }

    #[test]
    fn a_signature_is_over_the_parts_and_not_their_concatenation() {
        let secret = Key::random("a").unwrap().derive("test");
        let signature = sign(&secret, &["ab", "c"]).unwrap();
        assert!(verify(&secret, &["ab", "c"], &signature));
        assert!(!verify(&secret, &["a", "bc"], &signature));
        assert!(!verify(&Key::random("a").unwrap().derive("test"), &["ab", "c"], &signature));
        assert!(!verify(&secret, &["ab", "c"], "%"));
    }
}
