//! The sessions of a site: made, read, changed and ended.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{SessionDocument, SessionError, SessionId, Site, Update, UserId};
use crate::{
    args::PayloadError,
    backend::{
        BackendError, BackendErrorKind,
        records::{RecordKey, RecordKind, RecordStore, WriteError},
    },
    clock,
};

/// How often a change is tried against other writers before [`SessionError::Contention`].
const ATTEMPTS: u32 = 64;

/// By how much the clocks of two processes may differ: a login within this time after a revocation
/// counts as before it.
const SKEW_MS: u64 = 2_000;

/// How long sessions and their resume credentials live.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SessionSettings {
    /// A session that nobody uses ends after this time. 24 hours.
    #[serde(with = "humantime_serde")]
    pub ttl: Duration,
    /// A session-sync token is good for this time; at most 60 seconds. 10 seconds.
    #[serde(serialize_with = "humantime_serde::serialize", deserialize_with = "token_ttl")]
    pub token_ttl: Duration,
    /// A confirmed socket proves its session anew after this time, without a reconnect. By default it
    /// need not: a confirmation is good as long as the session lives.
    #[serde(with = "humantime_serde", skip_serializing_if = "Option::is_none")]
    pub confirmation_ttl: Option<Duration>,
    /// A resume credential that nobody uses is good for this time. 24 hours.
    #[serde(with = "humantime_serde")]
    pub resume_ttl: Duration,
}

impl SessionSettings {
    /// The longest life of a session-sync token.
    pub const TOKEN_TTL_MAX: Duration = Duration::from_secs(60);
}

/// Reads a token's life, and refuses what its bound would cut.
fn token_ttl<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let ttl: Duration = humantime_serde::deserialize(deserializer)?;
    if (Duration::from_secs(1)..=SessionSettings::TOKEN_TTL_MAX).contains(&ttl) {
        Ok(ttl)
    } else {
        Err(serde::de::Error::custom("a token lives for 1 to 60 seconds"))
    }
}

impl Default for SessionSettings {
    fn default() -> Self {
        Self {
            ttl: Duration::from_secs(24 * 3600),
            token_ttl: Duration::from_secs(10),
            confirmation_ttl: None,
            resume_ttl: Duration::from_secs(24 * 3600),
        }
    }
}

/// The sessions of one site. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Sessions {
    records: Arc<dyn RecordStore>,
    site: Site,
    settings: Arc<SessionSettings>,
}

impl Sessions {
    /// The sessions of `site` in `records`.
    pub fn new(records: Arc<dyn RecordStore>, site: Site, settings: SessionSettings) -> Self {
        Self { records, site, settings: Arc::new(settings) }
    }

    /// The site whose sessions these are.
    pub fn site(&self) -> &Site {
        &self.site
    }

    /// How long things live.
    pub fn settings(&self) -> &SessionSettings {
        &self.settings
    }

    pub(super) fn records(&self) -> &dyn RecordStore {
        &*self.records
    }

    fn key(&self, sid: &SessionId) -> RecordKey {
        RecordKey { kind: RecordKind::Session, site: self.site.text(), id: sid.text() }
    }

    /// Stores a new session and returns its id.
    ///
    /// # Errors
    /// When the backend or the random generator fails.
    pub async fn create(&self, document: &SessionDocument) -> Result<SessionId, SessionError> {
        let sid = SessionId::random()?;
        let mut document = document.clone();
        if document.since_ms == 0 {
            document.since_ms = now_ms();
        }
        match self.records.write(&self.key(&sid), None, body(&document)?, self.settings.ttl).await {
            Ok(_) => Ok(sid),
            Err(WriteError::Backend(error)) => Err(error.into()),
            Err(WriteError::Conflict) => Err(SessionError::Contention),
        }
    }

    /// Reads a session.
    ///
    /// # Errors
    /// When the backend fails, or holds something else under this name.
    pub async fn load(&self, sid: &SessionId) -> Result<Option<SessionDocument>, SessionError> {
        Ok(self.load_versioned(sid).await?.map(|(document, _)| document))
    }

    /// Reads a session, and ends it if its user was revoked since.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub async fn load_valid(
        &self,
        sid: &SessionId,
    ) -> Result<Option<SessionDocument>, SessionError> {
        let Some(document) = self.load(sid).await? else { return Ok(None) };
        let Some(user) = &document.user_id else { return Ok(Some(document)) };
        let Some(record) = self.records.load(&self.revoked_key(user)).await? else {
            return Ok(Some(document));
        };
        let revoked_ms: u64 = serde_json::from_slice(&record.body)
            .map_err(|error| BackendError::because(BackendErrorKind::Corrupt, error))?;
        if document.since_ms > revoked_ms.saturating_add(SKEW_MS) {
            return Ok(Some(document));
        }
        // Gone before its revocation is forgotten.
        self.end(sid).await?;
        Ok(None)
    }

    /// Revokes every session that a user has by now. Telling their living sockets is the caller's
    /// part: see [`Authority::revoke_user`](super::Authority::revoke_user).
    ///
    /// # Errors
    /// When the backend fails.
    pub(super) async fn revoke(&self, user: &UserId) -> Result<(), SessionError> {
        let key = self.revoked_key(user);
        let body = Bytes::from(now_ms().to_string());
        // Until the last session of the time before has run out.
        let ttl = self.settings.ttl.saturating_add(Duration::from_secs(3600));
        for _ in 0..ATTEMPTS {
            let version = self.records.load(&key).await?.map(|record| record.version);
            match self.records.write(&key, version, body.clone(), ttl).await {
                Ok(_) => return Ok(()),
                Err(WriteError::Conflict) => tokio::task::yield_now().await,
                Err(WriteError::Backend(error)) => return Err(error.into()),
            }
        }
        Err(SessionError::Contention)
    }

    fn revoked_key(&self, user: &UserId) -> RecordKey {
        let id = user.as_str().into();
        RecordKey { kind: RecordKind::Revoked, site: self.site.text(), id }
    }

    async fn load_versioned(
        &self,
        sid: &SessionId,
    ) -> Result<Option<(SessionDocument, u64)>, SessionError> {
        let Some(record) = self.records.load(&self.key(sid)).await? else {
            return Ok(None);
        };
        let document: SessionDocument = serde_json::from_slice(&record.body)
            .map_err(|error| BackendError::because(BackendErrorKind::Corrupt, error))?;
        Ok((!document.moved).then_some((document, record.version)))
    }

    /// Changes a session by `change`, which sees the newest document and may run several times:
    /// two writers lose nothing. Returns what `change` returned last.
    ///
    /// # Errors
    /// [`SessionError::NoSession`], what `change` refused with (nothing is then written),
    /// [`SessionError::Contention`], or a failed backend.
    pub async fn modify<R>(
        &self,
        sid: &SessionId,
        mut change: impl FnMut(&mut SessionDocument) -> Result<R, SessionError>,
    ) -> Result<R, SessionError> {
        for _ in 0..ATTEMPTS {
            let Some((mut document, version)) = self.load_versioned(sid).await? else {
                return Err(SessionError::NoSession);
            };
            let outcome = change(&mut document)?;
            let body = body(&document)?;
            match self.records.write(&self.key(sid), Some(version), body, self.settings.ttl).await {
                Ok(_) => return Ok(outcome),
                Err(WriteError::Conflict) => tokio::task::yield_now().await,
                Err(WriteError::Backend(error)) => return Err(error.into()),
            }
        }
        Err(SessionError::Contention)
    }

    /// Applies an update to a session's store and returns the session as it is then.
    ///
    /// # Errors
    /// As [`modify`](Self::modify); [`SessionError::Update`] when the update does not fit.
    pub async fn update(
        &self,
        sid: &SessionId,
        update: &Update,
    ) -> Result<SessionDocument, SessionError> {
        self.modify(sid, |document| {
            update.apply(&mut document.store)?;
            Ok(document.clone())
        })
        .await
    }

    /// Gives a session a new id, and a user if one logged in. The old id leads nowhere from then
    /// on: an id that somebody planted before the login is worth nothing after it.
    ///
    /// # Errors
    /// As [`modify`](Self::modify).
    pub async fn rotate(
        &self,
        old: &SessionId,
        user_id: Option<UserId>,
    ) -> Result<SessionId, SessionError> {
        for _ in 0..ATTEMPTS {
            let (former, version) =
                self.load_versioned(old).await?.ok_or(SessionError::NoSession)?;
            let mut document = former.clone();
            document.sockets.clear();
            if user_id.is_some() {
                // Somebody logged in now.
                (document.user_id, document.since_ms) = (user_id.clone(), 0);
            }
            let new = self.create(&document).await?;
            // Closed by version, so that an update in this moment is not lost with the old record.
            let closed = body(&SessionDocument { moved: true, ..former })?;
            let key = self.key(old);
            match self.records.write(&key, Some(version), closed, self.settings.ttl).await {
                Ok(_) => {
                    // The old record leads nowhere already, and runs out by itself; the new id is
                    // the caller's whether or not it can be removed now.
                    if let Err(error) = self.end(old).await {
                        tracing::debug!(%error, "the record of a former session id stays for a while");
                    }
                    return Ok(new);
                }
                Err(WriteError::Conflict) => {
                    self.end(&new).await?;
                }
                Err(WriteError::Backend(error)) => return Err(error.into()),
            }
        }
        Err(SessionError::Contention)
    }

    /// Lets a session live for its whole time from now. `false` if there is none.
    ///
    /// # Errors
    /// When the backend fails.
    pub async fn touch(&self, sid: &SessionId) -> Result<bool, SessionError> {
        Ok(self.records.touch(&self.key(sid), self.settings.ttl).await?)
    }

    /// Ends a session: its tokens and resume credentials lead nowhere from now on. `false` if there
    /// was none. Telling its living sockets is the caller's part.
    ///
    /// # Errors
    /// When the backend fails.
    pub async fn end(&self, sid: &SessionId) -> Result<bool, SessionError> {
        Ok(self.records.remove(&self.key(sid)).await?)
    }
}

fn now_ms() -> u64 {
    u64::try_from(clock::since_epoch().as_millis()).unwrap_or(u64::MAX)
}

fn body(document: &SessionDocument) -> Result<Bytes, SessionError> {
    serde_json::to_vec(document).map(Bytes::from).map_err(|error| {
        SessionError::Document(PayloadError { path: ".".into(), reason: error.to_string() })
    })
}

#[cfg(test)]
mod tests {
    use super::{super::inc, *};
    use crate::backend::memory::MemoryHub;

    fn sessions() -> Sessions {
        let backend = MemoryHub::new().backend();
        Sessions::new(backend.records, Site::main(), SessionSettings::default())
    }

    #[tokio::test]
    async fn two_writers_lose_nothing() {
        let sessions = sessions();
        let sid = sessions.create(&SessionDocument::new(None)).await.unwrap();
        let writer = |field: &'static str| {
            let (sessions, sid) = (sessions.clone(), sid.clone());
            tokio::spawn(async move {
                for _ in 0..200 {
                    sessions.update(&sid, &inc("both", 1).inc(field, 1)).await.unwrap();
                    tokio::task::yield_now().await;
                }
            })
        };
        let (first, second) = (writer("first"), writer("second"));
        first.await.unwrap();
        second.await.unwrap();
        let store = sessions.load(&sid).await.unwrap().unwrap().store;
        assert_eq!(
            (&store["both"], &store["first"], &store["second"]),
            (&400.into(), &200.into(), &200.into())
        );
    }

    #[tokio::test]
    async fn a_rotated_session_keeps_its_store_and_loses_its_old_id() {
        let sessions = sessions();
        let old = sessions.create(&SessionDocument::new(None)).await.unwrap();
        sessions.update(&old, &inc("n", 1)).await.unwrap();
        let new = sessions.rotate(&old, UserId::new("ann")).await.unwrap();
        let document = sessions.load(&new).await.unwrap().unwrap();
        assert_eq!((document.user_id, &document.store["n"]), (UserId::new("ann"), &1.into()));
        assert!(sessions.load(&old).await.unwrap().is_none());
        let gone = sessions.update(&old, &inc("n", 1)).await;
        assert!(matches!(gone, Err(SessionError::NoSession)));
    }

    #[tokio::test]
    async fn a_revocation_ends_what_was_before_it_and_nothing_after() {
        let sessions = sessions();
        let ann = SessionDocument::new(UserId::new("ann"));
        let before = sessions.create(&ann).await.unwrap();
        let other = sessions.create(&SessionDocument::new(UserId::new("bob"))).await.unwrap();
        let later = SessionDocument { since_ms: now_ms() + 60_000, ..ann.clone() };
        sessions.revoke(&UserId::new("ann").unwrap()).await.unwrap();
        let after = sessions.create(&later).await.unwrap();
        assert!(sessions.load_valid(&before).await.unwrap().is_none());
        // It is not only hidden.
        assert!(sessions.load(&before).await.unwrap().is_none());
        assert!(sessions.load_valid(&after).await.unwrap().is_some());
        assert!(sessions.load_valid(&other).await.unwrap().is_some());
        // A new id does not make an old login a new one.
        let moved = sessions.create(&ann).await.unwrap();
        let moved = sessions.rotate(&moved, None).await.unwrap();
        assert!(sessions.load_valid(&moved).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn an_update_during_a_rotation_is_kept_or_refused() {
        let sessions = sessions();
        for _ in 0..50 {
            let old = sessions.create(&SessionDocument::new(None)).await.unwrap();
            let (writer, sid) = (sessions.clone(), old.clone());
            let update = tokio::spawn(async move { writer.update(&sid, &inc("n", 1)).await });
            let new = sessions.rotate(&old, UserId::new("ann")).await.unwrap();
            let written = update.await.unwrap().is_ok();
            let store = sessions.load(&new).await.unwrap().unwrap().store;
            assert_eq!(store.contains_key("n"), written);
        }
    }

    #[test]
    fn a_tokens_life_is_bounded_where_it_is_configured() {
        let read = |text| serde_json::from_str::<SessionSettings>(text);
        assert!(read(r#"{"token_ttl": "60s"}"#).is_ok());
        assert!(read(r#"{"token_ttl": "61s"}"#).is_err());
        assert!(read(r#"{"token_ttl": "0s"}"#).is_err());
    }

    #[tokio::test]
    async fn sites_do_not_meet() {
        let backend = MemoryHub::new().backend();
        let settings = SessionSettings::default();
        let one = Sessions::new(backend.records.clone(), Site::main(), settings.clone());
        let other = Site::try_from(bytestring::ByteString::from("other")).unwrap();
        let two = Sessions::new(backend.records, other, settings);
        let sid = one.create(&SessionDocument::new(None)).await.unwrap();
        assert!(two.load(&sid).await.unwrap().is_none());
    }
}
