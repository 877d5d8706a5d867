//! Versioned documents: a hash of version and body, written by compare-version in one script.

use std::time::Duration;

use bytes::Bytes;
use redis::{Value, from_redis_value};
use router_core::backend::{
    BackendError, BoxFuture,
    records::{Record, RecordKey, RecordStore, WriteError},
};

use crate::{commands::Commands, error::Fault, keys::millis, scripts::WRITE};

const WRONG: Fault = Fault::Unexpected("a record");

impl RecordStore for Commands {
    fn load<'a>(
        &'a self,
        key: &'a RecordKey,
    ) -> BoxFuture<'a, Result<Option<Record>, BackendError>> {
        Box::pin(async move {
            let key = self.keys().record(key);
            let mut load = redis::cmd("HMGET");
            load.arg(&key).arg("version").arg("body");
            let Value::Array(fields) = self.call(&key, &load).await? else {
                return Err(WRONG.into());
            };
            match <[_; 2]>::try_from(fields) {
                Ok([Value::Nil, Value::Nil]) => Ok(None),
                Ok([version @ Value::BulkString(_), Value::BulkString(body)]) => {
                    let version = from_redis_value(version).map_err(|_| WRONG)?;
                    Ok(Some(Record { version, body: body.into() }))
                }
                _ => Err(WRONG.into()),
            }
        })
    }

    fn write<'a>(
        &'a self,
        key: &'a RecordKey,
        expected: Option<u64>,
        body: Bytes,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<u64, WriteError>> {
        Box::pin(async move {
            let expected = expected.map(|version| version.to_string()).unwrap_or_default();
            let ttl = millis(ttl).to_string();
            let args = [expected.as_bytes(), &body, ttl.as_bytes()];
            let written = self.run(&WRITE, &[self.keys().record(key)], &args).await;
            match written.map_err(BackendError::from)? {
                Value::Nil => Err(WriteError::Conflict),
                version => from_redis_value(version).map_err(|_| BackendError::from(WRONG).into()),
            }
        })
    }

    fn touch<'a>(
        &'a self,
        key: &'a RecordKey,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<bool, BackendError>> {
        Box::pin(async move {
            let key = self.keys().record(key);
            let mut touch = redis::cmd("PEXPIRE");
            touch.arg(&key).arg(millis(ttl));
            Ok(from_redis_value(self.call(&key, &touch).await?).map_err(|_| WRONG)?)
        })
    }

    fn remove<'a>(&'a self, key: &'a RecordKey) -> BoxFuture<'a, Result<bool, BackendError>> {
        Box::pin(async move {
            let key = self.keys().record(key);
            let mut remove = redis::cmd("DEL");
            remove.arg(&key);
            Ok(from_redis_value(self.call(&key, &remove).await?).map_err(|_| WRONG)?)
        })
    }
}
