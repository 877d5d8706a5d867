//! Issued tokens: set with a time to live, taken by `GETDEL` (Redis 6.2).

use std::time::Duration;

use bytes::Bytes;
use redis::Value;
use router_core::backend::{
    BackendError, BoxFuture,
    tokens::{TokenKey, TokenStore},
};

use crate::{commands::Commands, error::Fault, keys::millis};

impl TokenStore for Commands {
    fn issue<'a>(
        &'a self,
        key: &'a TokenKey,
        body: Bytes,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<(), BackendError>> {
        Box::pin(async move {
            let key = self.keys().token(key);
            let mut issue = redis::cmd("SET");
            issue.arg(&key).arg(&body[..]).arg("PX").arg(millis(ttl));
            self.call(&key, &issue).await?;
            Ok(())
        })
    }

    fn take<'a>(&'a self, key: &'a TokenKey) -> BoxFuture<'a, Result<Option<Bytes>, BackendError>> {
        Box::pin(async move {
            let key = self.keys().token(key);
            let mut take = redis::cmd("GETDEL");
            take.arg(&key);
            match self.call(&key, &take).await? {
                Value::BulkString(body) => Ok(Some(body.into())),
                Value::Nil => Ok(None),
                _ => Err(Fault::Unexpected("a token").into()),
            }
        })
    }
}
