//! Shared secrets in memory.

use std::time::Duration;

use bytestring::ByteString;

use super::{MemoryHub, expiring::Expiring};
use crate::backend::{BackendError, BoxFuture, secrets::SharedSecrets};

pub(super) type Secrets = Expiring<Box<str>, ByteString>;

impl SharedSecrets for MemoryHub {
    fn share<'a>(
        &'a self,
        name: &'a str,
        candidate: ByteString,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<ByteString, BackendError>> {
        Box::pin(async move {
            let mut state = self.reach()?;
            let secret = state.secrets.get(name).cloned().unwrap_or(candidate);
            state.secrets.insert(name.into(), secret.clone(), ttl);
            Ok(secret)
        })
    }
}
