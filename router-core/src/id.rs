//! Random identifiers, from the operating system's generator.

use std::sync::atomic::{AtomicU64, Ordering};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bytestring::ByteString;
use serde::{Deserialize, Serialize};

/// The operating system gave no randomness; nothing that must be unguessable can be made.
#[derive(Debug, thiserror::Error)]
#[error("the operating system's random generator failed")]
pub struct RandomError(#[from] getrandom::Error);

/// `N` random bytes as URL-safe base64 without padding.
///
/// # Errors
/// [`RandomError`] when the operating system has none.
pub fn random_text<const N: usize>() -> Result<ByteString, RandomError> {
    let mut bytes = [0u8; N];
    getrandom::fill(&mut bytes)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes).into())
}

/// A uniformly random number below 2^64, for jitter and for ids that need not be secret.
pub fn random_u64() -> u64 {
    getrandom::u64().unwrap_or_else(|_| {
        // Jitter only needs to differ between processes; the address of a local does that.
        let local = 0u8;
        std::ptr::from_ref(&local).addr() as u64
    })
}

/// Identifies one message on the bus. Unique, not secret.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MessageId(ByteString);

impl MessageId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Makes message ids: a random prefix of this generator's own, and a count.
#[derive(Debug)]
pub struct MessageIds {
    prefix: u64,
    count: AtomicU64,
}

impl MessageIds {
    /// A generator whose ids no other generator makes (64 random bits apart).
    pub fn new() -> Self {
        Self { prefix: random_u64(), count: AtomicU64::new(0) }
    }

    /// The next id.
    pub fn next(&self) -> MessageId {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        MessageId(format!("{:016x}{count:x}", self.prefix).into())
    }
}

impl Default for MessageIds {
    fn default() -> Self {
        Self::new()
    }
}
