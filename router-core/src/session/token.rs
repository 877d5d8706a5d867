//! Session-sync tokens: signed, short-lived, used at most once.
//!
//! A page gets one with its HTML and its socket shows it. The signature is checked before the store
//! is asked, so a forged token costs no round trip; the store gives each token away once.

use std::time::Duration;

use bytes::Bytes;
use bytestring::ByteString;
use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, decode_header, encode,
};
use serde::{Deserialize, Serialize};

use super::{ConfirmError, SessionError, SessionId, SessionSettings, Site, UserId};
use crate::{
    backend::{
        BackendError, BackendErrorKind,
        tokens::{TokenKey, TokenStore},
    },
    clock,
    id::random_text,
    keys::{Key, KeyRing},
};

/// Who issues tokens.
const ISSUER: &str = "whisk";

/// The longest token that is looked at, in bytes.
const TOKEN_MAX: usize = 4096;

/// What a token is for, so that it is good nowhere else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audience(ByteString);

impl Audience {
    /// Sockets of ws-services.
    pub fn sockets() -> Self {
        Self(ByteString::from_static("whisk/ws"))
    }
}

/// What a token is bound to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenSubject {
    /// The session.
    pub sid: SessionId,
    /// The user whom the page was made for.
    pub user_id: UserId,
}

/// Claims as RFC 7519, section 4.1 names them. All are required and typed.
#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: UserId,
    jti: ByteString,
    iat: u64,
    exp: u64,
    sid: SessionId,
    site: Site,
}

/// Issues a token for `subject` and records it.
///
/// # Errors
/// When the store or the random generator fails.
pub async fn issue(
    store: &dyn TokenStore,
    keys: &KeyRing,
    audience: &Audience,
    site: &Site,
    subject: &TokenSubject,
    ttl: Duration,
) -> Result<String, SessionError> {
    let ttl = ttl.clamp(Duration::from_secs(1), SessionSettings::TOKEN_TTL_MAX);
    let jti = random_text::<24>()?;
    let now = clock::since_epoch().as_secs();
    let claims = Claims {
        iss: ISSUER.to_owned(),
        aud: audience.0.to_string(),
        sub: subject.user_id.clone(),
        jti: jti.clone(),
        iat: now,
        exp: now + ttl.as_secs(),
        sid: subject.sid.clone(),
        site: site.clone(),
    };
    let token = sign(keys.current(), &claims)?;
    let body = serde_json::to_vec(subject).map_err(not_issued)?;
    store.issue(&TokenKey { site: site.text(), jti }, Bytes::from(body), ttl).await?;
    Ok(token)
}

/// Takes a token: of all who show it, one gets its subject.
///
/// # Errors
/// [`ConfirmError::Refused`] for a wrong, used, foreign or expired token alike.
pub async fn take(
    store: &dyn TokenStore,
    keys: &KeyRing,
    audience: &Audience,
    site: &Site,
    token: &str,
) -> Result<TokenSubject, ConfirmError> {
    let claims = verify(keys, audience, site, token).ok_or(ConfirmError::Refused)?;
    let key = TokenKey { site: site.text(), jti: claims.jti };
    let body = store.take(&key).await?.ok_or(ConfirmError::Refused)?;
    let recorded: TokenSubject =
        serde_json::from_slice(&body).map_err(|_| ConfirmError::Refused)?;
    let claimed = TokenSubject { sid: claims.sid, user_id: claims.sub };
    if recorded == claimed { Ok(recorded) } else { Err(ConfirmError::Refused) }
}

/// Nothing was issued.
fn not_issued(error: impl std::error::Error + Send + Sync + 'static) -> SessionError {
    BackendError::because(BackendErrorKind::NotApplied, error).into()
}

fn sign(key: &Key, claims: &Claims) -> Result<String, SessionError> {
    let mut header = Header::new(Algorithm::HS256);
    header.kid = Some(key.id().to_owned());
    encode(&header, claims, &EncodingKey::from_secret(&key.derive("session-sync")))
        .map_err(not_issued)
}

fn verify(keys: &KeyRing, audience: &Audience, site: &Site, token: &str) -> Option<Claims> {
    if token.len() > TOKEN_MAX {
        return None;
    }
    let kid = decode_header(token).ok()?.kid?;
    let key = keys.find(&kid)?;
    let mut validation = Validation::new(Algorithm::HS256);
    validation.leeway = 0;
    validation.set_required_spec_claims(&["exp", "aud", "iss", "sub"]);
    validation.set_audience(&[&*audience.0]);
    validation.set_issuer(&[ISSUER]);
    let secret = DecodingKey::from_secret(&key.derive("session-sync"));
    let claims = decode::<Claims>(token, &secret, &validation).ok()?.claims;
    let lives = clock::since_epoch().as_secs() < claims.exp;
    (lives && claims.site == *site).then_some(claims)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::memory::MemoryHub;

    struct Fixture {
        store: std::sync::Arc<dyn TokenStore>,
        keys: KeyRing,
        subject: TokenSubject,
    }

    impl Fixture {
        fn new() -> Self {
            let sid = SessionId::random().unwrap();
            Self {
                store: MemoryHub::new().backend().tokens,
                keys: KeyRing::new(Key::random("now").unwrap(), None).unwrap(),
                subject: TokenSubject { sid, user_id: UserId::new("7").unwrap() },
            }
        }

        async fn issue(&self) -> String {
            let ttl = Duration::from_secs(10);
            issue(&*self.store, &self.keys, &Audience::sockets(), &Site::main(), &self.subject, ttl)
                .await
                .unwrap()
        }

        async fn take(&self, keys: &KeyRing, token: &str) -> Result<TokenSubject, ConfirmError> {
            take(&*self.store, keys, &Audience::sockets(), &Site::main(), token).await
        }

        fn claims(&self, change: impl FnOnce(&mut Claims)) -> Claims {
            let now = clock::since_epoch().as_secs();
            let mut claims = Claims {
                iss: ISSUER.into(),
                aud: Audience::sockets().0.to_string(),
                sub: self.subject.user_id.clone(),
                jti: "jti".into(),
                iat: now,
                exp: now + 10,
                sid: self.subject.sid.clone(),
                site: Site::main(),
            };
            change(&mut claims);
            claims
        }
    }

    fn refused<T>(outcome: &Result<T, ConfirmError>) -> bool {
        matches!(outcome, Err(ConfirmError::Refused))
    }

    #[tokio::test]
    async fn a_token_is_good_once() {
        let fixture = Fixture::new();
        let token = fixture.issue().await;
        assert_eq!(fixture.take(&fixture.keys, &token).await.unwrap(), fixture.subject);
        assert!(refused(&fixture.take(&fixture.keys, &token).await));
    }

    #[tokio::test]
    async fn several_tokens_of_one_session_may_be_open() {
        let fixture = Fixture::new();
        let (first, second) = (fixture.issue().await, fixture.issue().await);
        assert!(fixture.take(&fixture.keys, &second).await.is_ok());
        assert!(fixture.take(&fixture.keys, &first).await.is_ok());
    }

    #[tokio::test]
    async fn a_token_of_the_previous_key_is_still_good_and_of_an_older_one_is_not() {
        let fixture = Fixture::new();
        let (first, second) = (fixture.issue().await, fixture.issue().await);
        let next = Key::random("next").unwrap();
        let rotated = KeyRing::new(next.clone(), Some(fixture.keys.current().clone())).unwrap();
        assert!(fixture.take(&rotated, &first).await.is_ok());
        let later = KeyRing::new(Key::random("later").unwrap(), Some(next)).unwrap();
        assert!(refused(&fixture.take(&later, &second).await));
    }

    #[test]
    fn expired_foreign_and_cut_tokens_are_refused() {
        let fixture = Fixture::new();
        let check = |claims: &Claims| {
            let token = sign(fixture.keys.current(), claims).unwrap();
            verify(&fixture.keys, &Audience::sockets(), &Site::main(), &token).is_some()
        };
        assert!(check(&fixture.claims(|_| ())));
        // No leeway: the second of expiry is already too late.
        assert!(!check(&fixture.claims(|claims| claims.exp = claims.iat)));
        assert!(!check(&fixture.claims(|claims| claims.aud = "whisk/other".into())));
        assert!(!check(&fixture.claims(|claims| claims.iss = "somebody".into())));
        let other = Site::try_from(ByteString::from("other")).unwrap();
        assert!(!check(&fixture.claims(|claims| claims.site = other)));

        let token = sign(fixture.keys.current(), &fixture.claims(|_| ())).unwrap();
        for cut in 0..token.len() {
            let cut = &token[..cut];
            assert!(verify(&fixture.keys, &Audience::sockets(), &Site::main(), cut).is_none());
        }
    }

    #[test]
    fn an_unsigned_token_and_one_of_another_algorithm_are_refused() {
        let fixture = Fixture::new();
        let key = fixture.keys.current();
        for algorithm in [Algorithm::HS384, Algorithm::HS512] {
            let mut header = Header::new(algorithm);
            header.kid = Some(key.id().to_owned());
            let secret = EncodingKey::from_secret(&key.derive("session-sync"));
            let token = encode(&header, &fixture.claims(|_| ()), &secret).unwrap();
            let outcome = verify(&fixture.keys, &Audience::sockets(), &Site::main(), &token);
            assert!(outcome.is_none(), "{algorithm:?}");
        }
        let none = "eyJhbGciOiJub25lIn0.eyJzdWIiOiI3In0.";
        assert!(verify(&fixture.keys, &Audience::sockets(), &Site::main(), none).is_none());
    }

    #[tokio::test]
    async fn a_forged_token_never_reaches_the_store() {
        let fixture = Fixture::new();
        let hub = MemoryHub::new();
        let store = hub.backend().tokens;
        // A store that is away would answer `Unavailable`; a forged token does not get that far.
        hub.cut(true);
        let forged = KeyRing::new(Key::random("now").unwrap(), None).unwrap();
        let token = sign(forged.current(), &fixture.claims(|_| ())).unwrap();
        let outcome =
            take(&*store, &fixture.keys, &Audience::sockets(), &Site::main(), &token).await;
        assert!(refused(&outcome));
        let signed = sign(fixture.keys.current(), &fixture.claims(|_| ())).unwrap();
        let outcome =
            take(&*store, &fixture.keys, &Audience::sockets(), &Site::main(), &signed).await;
        assert!(matches!(outcome, Err(ConfirmError::Unavailable(_))));
    }
}
