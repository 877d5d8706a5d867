//! Secrets that the processes of an example share, so that a first run needs no configuration.

use std::{fmt::Debug, time::Duration};

use bytestring::ByteString;

use super::{BackendError, BoxFuture};

/// Lets several processes agree on a secret that the first of them made up.
///
/// For examples on loopback only: whoever reads the store has the keys.
pub trait SharedSecrets: Debug + Send + Sync {
    /// The secret under `name`: `candidate`, if nobody left one before, in one atomic step. It
    /// lives for `ttl` from now.
    fn share<'a>(
        &'a self,
        name: &'a str,
        candidate: ByteString,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<ByteString, BackendError>>;
}
