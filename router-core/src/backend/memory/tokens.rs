//! Issued tokens in memory.

use std::time::Duration;

use bytes::Bytes;

use super::{MemoryHub, expiring::Expiring};
use crate::backend::{
    BackendError, BoxFuture,
    tokens::{TokenKey, TokenStore},
};

pub(super) type Tokens = Expiring<TokenKey, Bytes>;

impl TokenStore for MemoryHub {
    fn issue<'a>(
        &'a self,
        key: &'a TokenKey,
        body: Bytes,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<(), BackendError>> {
        Box::pin(async move {
            self.reach()?.tokens.insert(key.clone(), body, ttl);
            Ok(())
        })
    }

    fn take<'a>(&'a self, key: &'a TokenKey) -> BoxFuture<'a, Result<Option<Bytes>, BackendError>> {
        Box::pin(async move { Ok(self.reach()?.tokens.remove(key)) })
    }
}
