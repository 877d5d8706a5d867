//! Versioned documents in memory.

use std::time::Duration;

use bytes::Bytes;

use super::{MemoryHub, expiring::Expiring};
use crate::backend::{
    BackendError, BoxFuture,
    records::{Record, RecordKey, RecordStore, WriteError},
};

pub(super) type Records = Expiring<RecordKey, Record>;

impl RecordStore for MemoryHub {
    fn load<'a>(
        &'a self,
        key: &'a RecordKey,
    ) -> BoxFuture<'a, Result<Option<Record>, BackendError>> {
        Box::pin(async move { Ok(self.reach()?.records.get(key).cloned()) })
    }

    fn write<'a>(
        &'a self,
        key: &'a RecordKey,
        expected: Option<u64>,
        body: Bytes,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<u64, WriteError>> {
        Box::pin(async move {
            let mut state = self.reach()?;
            if state.records.get(key).map(|record| record.version) != expected {
                return Err(WriteError::Conflict);
            }
            let version = state.next_number();
            state.records.insert(key.clone(), Record { version, body }, ttl);
            Ok(version)
        })
    }

    fn touch<'a>(
        &'a self,
        key: &'a RecordKey,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<bool, BackendError>> {
        Box::pin(async move { Ok(self.reach()?.records.touch(key, ttl)) })
    }

    fn remove<'a>(&'a self, key: &'a RecordKey) -> BoxFuture<'a, Result<bool, BackendError>> {
        Box::pin(async move { Ok(self.reach()?.records.remove(key).is_some()) })
    }
}
