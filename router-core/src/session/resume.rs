//! Resume credentials: with one, a client comes back to any node without a new page.
//!
//! Each confirmation gives the client a credential; using it gives the next one of the same family.
//! The text is signed and says its family and generation, so the store keeps only the newest
//! generation's number. The rules are the pure state machine [`Family`].

use std::time::Duration;

use bytes::Bytes;
use bytestring::ByteString;
use serde::{Deserialize, Serialize};

use super::{ConfirmError, SessionError, Sessions, Site, token::TokenSubject};
use crate::{
    backend::{
        BackendError, BackendErrorKind,
        records::{RecordKey, RecordKind, WriteError},
    },
    clock,
    id::random_text,
    keys::{self, KeyRing},
};

/// How long the previous credential stays good while its successor was not used: the client may
/// never have got it.
pub const GRACE: Duration = Duration::from_secs(60);

/// How often a rotation is tried against others of the same family.
const ATTEMPTS: u32 = 8;

/// The longest credential that is looked at, in bytes.
const CREDENTIAL_MAX: usize = 512;

/// What is remembered of a family of credentials.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Family {
    /// The session and user that the family leads to.
    pub subject: TokenSubject,
    /// The newest generation that was given out.
    pub generation: u64,
    /// When it was, in milliseconds since 1970.
    pub rotated_ms: u64,
}

/// What becomes of a family when a credential is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// The newest one: admitted, and the next generation begins.
    Rotate,
    /// The previous one, within its grace: admitted, and its successor is given out once more.
    Repeat,
    /// Admitted nowhere, nothing changes: its grace is over, or it was never given out.
    Refuse,
    /// An older one: somebody else has used it. The whole family is revoked.
    Revoke,
}

impl Family {
    /// Judges a credential of `generation` at `now_ms`.
    pub fn show(&self, generation: u64, now_ms: u64) -> Shown {
        if generation == self.generation {
            return Shown::Rotate;
        }
        match self.generation.checked_sub(generation) {
            Some(1) if now_ms.saturating_sub(self.rotated_ms) <= GRACE.as_millis() as u64 => {
                Shown::Repeat
            }
            Some(1) | None => Shown::Refuse,
            Some(_) => Shown::Revoke,
        }
    }
}

/// Begins a family and returns its first credential.
///
/// # Errors
/// When the backend or the random generator fails.
pub async fn begin(
    sessions: &Sessions,
    keys: &KeyRing,
    subject: TokenSubject,
) -> Result<String, SessionError> {
    let id = random_text::<18>()?;
    let family = Family { subject, generation: 1, rotated_ms: now_ms() };
    write(sessions, &id, None, &family).await.map_err(|error| match error {
        WriteError::Backend(error) => error.into(),
        WriteError::Conflict => SessionError::Contention,
    })?;
    credential(keys, sessions.site(), &id, 1)
}

/// Judges a credential that a client shows. Returns whom it leads to and the next credential.
///
/// # Errors
/// [`ConfirmError::Refused`] for every credential that is not good, whatever the reason.
pub async fn show(
    sessions: &Sessions,
    keys: &KeyRing,
    text: &str,
) -> Result<(TokenSubject, String), ConfirmError> {
    let (id, generation) = parse(keys, sessions.site(), text).ok_or(ConfirmError::Refused)?;
    let key = key(sessions.site(), &id);
    for _ in 0..ATTEMPTS {
        let record = sessions.records().load(&key).await?.ok_or(ConfirmError::Refused)?;
        let mut family: Family =
            serde_json::from_slice(&record.body).map_err(|_| ConfirmError::Refused)?;
        match family.show(generation, now_ms()) {
            Shown::Repeat => {
                let next = credential(keys, sessions.site(), &id, family.generation)?;
                return Ok((family.subject, next));
            }
            Shown::Rotate => {
                family.generation += 1;
                family.rotated_ms = now_ms();
                match write(sessions, &id, Some(record.version), &family).await {
                    Ok(()) => {
                        let next = credential(keys, sessions.site(), &id, family.generation)?;
                        return Ok((family.subject, next));
                    }
                    // Shown twice at once: the second sees it as the previous one.
                    Err(WriteError::Conflict) => {}
                    Err(WriteError::Backend(error)) => return Err(error.into()),
                }
            }
            Shown::Refuse => return Err(ConfirmError::Refused),
            Shown::Revoke => {
                sessions.records().remove(&key).await?;
                tracing::warn!(
                    user_id = family.subject.user_id.as_str(),
                    "an old resume credential was used; its family is revoked"
                );
                return Err(ConfirmError::Refused);
            }
        }
    }
    Err(ConfirmError::Unavailable(SessionError::Contention))
}

fn now_ms() -> u64 {
    clock::since_epoch().as_millis() as u64
}

fn key(site: &Site, id: &ByteString) -> RecordKey {
    RecordKey { kind: RecordKind::Resume, site: site.text(), id: id.clone() }
}

async fn write(
    sessions: &Sessions,
    id: &ByteString,
    expected: Option<u64>,
    family: &Family,
) -> Result<(), WriteError> {
    let body = serde_json::to_vec(family)
        .map_err(|error| BackendError::because(BackendErrorKind::NotApplied, error))?;
    let ttl = sessions.settings().resume_ttl;
    let key = key(sessions.site(), id);
    sessions.records().write(&key, expected, Bytes::from(body), ttl).await.map(|_| ())
}

/// `kid.family.generation.signature`.
fn credential(
    keys: &KeyRing,
    site: &Site,
    id: &str,
    generation: u64,
) -> Result<String, SessionError> {
    let key = keys.current();
    let generation = generation.to_string();
    let secret = key.derive("resume");
    let signature = keys::sign(&secret, &[site.as_str(), id, &generation])
        .ok_or_else(|| BackendError::new(BackendErrorKind::NotApplied))?;
    Ok(format!("{}.{id}.{generation}.{signature}", key.id()))
}

fn parse(keys: &KeyRing, site: &Site, text: &str) -> Option<(ByteString, u64)> {
    if text.len() > CREDENTIAL_MAX {
        return None;
    }
    let mut parts = text.split('.');
    let (kid, id) = (parts.next()?, parts.next()?);
    let (generation, signature) = (parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let secret = keys.find(kid)?.derive("resume");
    keys::verify(&secret, &[site.as_str(), id, generation], signature)
        .then(|| Some((id.into(), generation.parse().ok()?)))?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        backend::memory::MemoryHub,
        keys::Key,
        session::{SessionId, SessionSettings, UserId},
    };

    fn family(generation: u64, rotated_ms: u64) -> Family {
        let subject =
            TokenSubject { sid: SessionId::random().unwrap(), user_id: UserId::new("7").unwrap() };
        Family { subject, generation, rotated_ms }
    }

    #[test]
    fn the_previous_credential_is_good_until_its_successor_is_used_or_its_grace_is_over() {
        let family = family(5, 1_000);
        assert_eq!(family.show(5, 1_000), Shown::Rotate);
        assert_eq!(family.show(4, 61_000), Shown::Repeat);
        assert_eq!(family.show(4, 61_001), Shown::Refuse);
        assert_eq!(family.show(3, 1_000), Shown::Revoke);
        assert_eq!(family.show(6, 1_000), Shown::Refuse);
    }

    fn fixture() -> (Sessions, KeyRing) {
        let records = MemoryHub::new().backend().records;
        let sessions = Sessions::new(records, Site::main(), SessionSettings::default());
        (sessions, KeyRing::new(Key::random("a").unwrap(), None).unwrap())
    }

    #[tokio::test]
    async fn a_lost_answer_does_not_lock_the_client_out() {
        let (sessions, keys) = fixture();
        let first = begin(&sessions, &keys, family(1, 0).subject).await.unwrap();
        let (_, second) = show(&sessions, &keys, &first).await.unwrap();
        let (_, again) = show(&sessions, &keys, &first).await.unwrap();
        assert_eq!(second, again);
        assert!(show(&sessions, &keys, &second).await.is_ok());
    }

    #[tokio::test]
    async fn an_older_credential_revokes_its_family() {
        let (sessions, keys) = fixture();
        let first = begin(&sessions, &keys, family(1, 0).subject).await.unwrap();
        let (_, second) = show(&sessions, &keys, &first).await.unwrap();
        let (_, third) = show(&sessions, &keys, &second).await.unwrap();
        assert!(matches!(show(&sessions, &keys, &first).await, Err(ConfirmError::Refused)));
        assert!(matches!(show(&sessions, &keys, &third).await, Err(ConfirmError::Refused)));
    }

    #[tokio::test]
    async fn a_credential_shown_twice_at_once_admits_both_with_one_successor() {
        let (sessions, keys) = fixture();
        let first = begin(&sessions, &keys, family(1, 0).subject).await.unwrap();
        let shown = tokio::join!(show(&sessions, &keys, &first), show(&sessions, &keys, &first));
        assert_eq!(shown.0.unwrap().1, shown.1.unwrap().1);
    }

    #[tokio::test]
    async fn a_forged_or_foreign_credential_is_refused() {
        let (sessions, keys) = fixture();
        let good = begin(&sessions, &keys, family(1, 0).subject).await.unwrap();
        let forged = good.replacen(".1.", ".2.", 1);
        assert!(matches!(show(&sessions, &keys, &forged).await, Err(ConfirmError::Refused)));
        for cut in 0..good.len() {
            assert!(parse(&keys, sessions.site(), &good[..cut]).is_none());
        }
        let other = Site::try_from(ByteString::from("other")).unwrap();
        assert!(parse(&keys, &other, &good).is_none());
    }
}
