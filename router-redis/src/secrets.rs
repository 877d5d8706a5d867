//! Shared secrets: the first candidate stays, in one script.

use std::time::Duration;

use bytestring::ByteString;
use redis::Value;
use router_core::backend::{BackendError, BoxFuture, secrets::SharedSecrets};

use crate::{commands::Commands, error::Fault, keys::millis, scripts::SHARE};

impl SharedSecrets for Commands {
    fn share<'a>(
        &'a self,
        name: &'a str,
        candidate: ByteString,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<ByteString, BackendError>> {
        Box::pin(async move {
            let ttl = millis(ttl).to_string();
            let args = [candidate.as_bytes(), ttl.as_bytes()];
            let wrong = || BackendError::from(Fault::Unexpected("a secret"));
            match self.run(&SHARE, &[self.keys().secret(name)], &args).await? {
                Value::BulkString(secret) => {
                    String::from_utf8(secret).map(ByteString::from).map_err(|_| wrong())
                }
                _ => Err(wrong()),
            }
        })
    }
}
