//! Where a program's keys come from.

use std::{net::IpAddr, time::Duration};

use router_core::{
    backend::{BackendError, secrets::SharedSecrets},
    config::{KeysError, KeysSection},
    id::RandomError,
    keys::{Key, KeyError, KeyRing},
};

/// How long a shared key stays after the last process that asked for it.
const SHARED_TTL: Duration = Duration::from_secs(7 * 24 * 3600);

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RingError {
    /// None are configured.
    #[error(
        "no keys are configured: set WHISK_KEYS__CURRENT to name:secret, the same for every process \
         (`openssl rand -base64 36` makes a secret)"
    )]
    Missing,
    /// They are not well-formed.
    #[error(transparent)]
    Configured(#[from] KeysError),
    /// The shared one is not well-formed.
    #[error("the key that another process left in the store is no key: {0}")]
    Shared(#[from] KeyError),
    /// The store cannot be reached.
    #[error("the key that the processes share cannot be read; is the bus's URL right?")]
    Backend(#[from] BackendError),
    /// The operating system gave no randomness.
    #[error(transparent)]
    Random(#[from] RandomError),
}

/// The configured keys; a program without any does not start.
///
/// # Errors
/// [`RingError::Missing`], or [`RingError::Configured`].
pub fn configured(keys: &KeysSection) -> Result<KeyRing, RingError> {
    keys.ring()?.ok_or(RingError::Missing)
}

/// The configured keys, or, for an example that listens on loopback, one that its processes share
/// through the store: the first makes it up, and each warns.
///
/// # Errors
/// As [`configured`], also for an example that listens elsewhere; a failed store.
pub async fn configured_or_shared(
    keys: &KeysSection,
    name: &str,
    host: IpAddr,
    secrets: &dyn SharedSecrets,
) -> Result<KeyRing, RingError> {
    match configured(keys) {
        Err(RingError::Missing) if host.is_loopback() => {}
        decided => return decided,
    }
    let candidate = Key::random("shared")?.reveal();
    let shared = secrets.share(name, candidate.into(), SHARED_TTL).await?;
    tracing::warn!(
        "no keys are configured: using one that this example's processes share in the store. \
         Whoever reads the store has it; set WHISK_KEYS__CURRENT before anyone else can reach it"
    );
    Ok(KeyRing::new(shared.parse::<Key>()?, None)?)
}

#[cfg(test)]
mod tests {
    use router_core::backend::memory::MemoryHub;

    use super::*;

    const LOOPBACK: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[tokio::test]
    async fn an_examples_processes_on_loopback_share_a_key() {
        let secrets = MemoryHub::new().backend().secrets;
        let none = KeysSection::default();
        let first = configured_or_shared(&none, "example", LOOPBACK, &*secrets).await.unwrap();
        let second = configured_or_shared(&none, "example", LOOPBACK, &*secrets).await.unwrap();
        assert_eq!(first, second);
    }

    #[tokio::test]
    async fn without_keys_nothing_starts_that_others_can_reach() {
        let secrets = MemoryHub::new().backend().secrets;
        let none = KeysSection::default();
        let open = IpAddr::from([0, 0, 0, 0]);
        let outcome = configured_or_shared(&none, "example", open, &*secrets).await;
        assert!(matches!(outcome, Err(RingError::Missing)));
        assert!(matches!(configured(&none), Err(RingError::Missing)));
    }
}
