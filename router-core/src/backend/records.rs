//! Versioned documents: what a session and a family of resume credentials are stored as.

use std::{fmt::Debug, time::Duration};

use bytes::Bytes;
use bytestring::ByteString;

use super::{BackendError, BoxFuture};

/// Names a record: what it is, whose it is, and which.
///
/// The site is part of every key, so that no tenant application meets another's records.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RecordKey {
    /// What kind of record it is.
    pub kind: RecordKind,
    /// The tenant application.
    pub site: ByteString,
    /// The record's own id; random and made by Whisk, but for the kinds that say otherwise. Never a
    /// text that a client chose.
    pub id: ByteString,
}

/// The kinds of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RecordKind {
    /// A session.
    Session,
    /// A family of resume credentials.
    Resume,
    /// Since when a user's sessions are revoked; the id is the user's, the application's own text.
    Revoked,
}

/// A record as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Rises with every write; a write names the version that it replaces.
    pub version: u64,
    /// The document, opaque to the store.
    pub body: Bytes,
}

/// A store of versioned documents that expire.
pub trait RecordStore: Debug + Send + Sync {
    /// The record, if it lives.
    fn load<'a>(
        &'a self,
        key: &'a RecordKey,
    ) -> BoxFuture<'a, Result<Option<Record>, BackendError>>;

    /// Writes `body` in one atomic step if the record's version is `expected` (`None`: if there is
    /// no such record), and lets it live for `ttl` from now. Returns the new version.
    fn write<'a>(
        &'a self,
        key: &'a RecordKey,
        expected: Option<u64>,
        body: Bytes,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<u64, WriteError>>;

    /// Lets the record live for `ttl` from now. `false` if there is none.
    fn touch<'a>(
        &'a self,
        key: &'a RecordKey,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<bool, BackendError>>;

    /// Removes the record, whatever its version. `false` if there was none.
    fn remove<'a>(&'a self, key: &'a RecordKey) -> BoxFuture<'a, Result<bool, BackendError>>;
}

/// Why a write did not succeed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The record has another version by now, or is gone, or was there already.
    #[error("the record was changed by someone else")]
    Conflict,
    /// The backend failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
}
