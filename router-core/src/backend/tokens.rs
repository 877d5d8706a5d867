//! Session-sync tokens that were issued and not yet used.

use std::{fmt::Debug, time::Duration};

use bytes::Bytes;
use bytestring::ByteString;

use super::{BackendError, BoxFuture};

/// Names an issued token.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TokenKey {
    /// The tenant application that issued it.
    pub site: ByteString,
    /// The token's `jti`, read out of a signature that was checked.
    pub jti: ByteString,
}

/// Remembers each token from issue to its one use. A store that lost its data fails closed: a token
/// that it does not know is refused.
pub trait TokenStore: Debug + Send + Sync {
    /// Records a token, with what it stands for, for `ttl`.
    fn issue<'a>(
        &'a self,
        key: &'a TokenKey,
        body: Bytes,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<(), BackendError>>;

    /// Takes a token: of any number of callers, on any node, exactly one gets the body.
    fn take<'a>(&'a self, key: &'a TokenKey) -> BoxFuture<'a, Result<Option<Bytes>, BackendError>>;
}
