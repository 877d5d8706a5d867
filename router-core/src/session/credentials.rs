//! Confirming a socket: from what a client shows to the session that it belongs to.

use std::{sync::Arc, time::Duration};

use super::{
    ConfirmError, SessionDocument, SessionError, SessionId, Sessions, UserId, resume,
    token::{self, Audience, TokenSubject},
};
use crate::{backend::tokens::TokenStore, keys::KeyRing};

/// What a client shows to be confirmed.
#[derive(Clone, PartialEq, Eq)]
pub enum Credential {
    /// A session-sync token, from a page or the renewal endpoint.
    Token(String),
    /// A resume credential, from an earlier confirmation.
    Resume(String),
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Token(_) => "Token(***)",
            Self::Resume(_) => "Resume(***)",
        })
    }
}

/// A confirmed client.
#[derive(Debug, Clone)]
pub struct Confirmed {
    /// Its session.
    pub sid: SessionId,
    /// Its user.
    pub user_id: UserId,
    /// The session as it was read.
    pub document: SessionDocument,
    /// The credential with which the client comes back next time. A secret.
    pub resume: String,
    /// How long it is good without being renewed; `None` as long as the session lives.
    pub good_for: Option<Duration>,
}

/// Issues and judges credentials of one site. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Confirmer {
    sessions: Sessions,
    tokens: Arc<dyn TokenStore>,
    keys: Arc<KeyRing>,
}

impl Confirmer {
    /// Judges credentials that `keys` signed and `tokens` remembers.
    pub fn new(sessions: Sessions, tokens: Arc<dyn TokenStore>, keys: Arc<KeyRing>) -> Self {
        Self { sessions, tokens, keys }
    }

    /// The sessions that credentials lead to.
    pub fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// Issues a session-sync token for a session's user.
    ///
    /// # Errors
    /// [`SessionError::NoSession`] when the session is gone or has no user; a failed backend.
    pub async fn issue(&self, sid: &SessionId) -> Result<(String, UserId), SessionError> {
        let document = self.sessions.load_valid(sid).await?.ok_or(SessionError::NoSession)?;
        let user_id = document.user_id.ok_or(SessionError::NoSession)?;
        let subject = TokenSubject { sid: sid.clone(), user_id: user_id.clone() };
        let site = self.sessions.site();
        let ttl = self.sessions.settings().token_ttl;
        let audience = Audience::sockets();
        let token = token::issue(&*self.tokens, &self.keys, &audience, site, &subject, ttl).await?;
        self.sessions.touch(sid).await?;
        Ok((token, user_id))
    }

    /// Reads the session of a client that was confirmed before.
    ///
    /// # Errors
    /// [`ConfirmError::Refused`] when the session ended since, or is another user's.
    pub async fn look_again(
        &self,
        sid: &SessionId,
        user_id: &UserId,
    ) -> Result<SessionDocument, ConfirmError> {
        let document = self.sessions.load_valid(sid).await?.ok_or(ConfirmError::Refused)?;
        if document.user_id.as_ref() != Some(user_id) {
            return Err(ConfirmError::Refused);
        }
        Ok(document)
    }

    /// Judges what a client shows.
    ///
    /// # Errors
    /// [`ConfirmError::Refused`] for every credential that is not good, with no reason told.
    pub async fn confirm(&self, credential: &Credential) -> Result<Confirmed, ConfirmError> {
        let (subject, resume) = match credential {
            Credential::Token(token) => {
                let site = self.sessions.site();
                let audience = Audience::sockets();
                let subject =
                    token::take(&*self.tokens, &self.keys, &audience, site, token).await?;
                (subject, None)
            }
            Credential::Resume(text) => {
                let (subject, next) = resume::show(&self.sessions, &self.keys, text).await?;
                (subject, Some(next))
            }
        };
        // The session may have ended, or changed hands, since the credential was made.
        let document = self.look_again(&subject.sid, &subject.user_id).await?;
        self.sessions.touch(&subject.sid).await?;
        let resume = match resume {
            Some(next) => next,
            None => resume::begin(&self.sessions, &self.keys, subject.clone()).await?,
        };
        let good_for = self.sessions.settings().confirmation_ttl;
        Ok(Confirmed { sid: subject.sid, user_id: subject.user_id, document, resume, good_for })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        backend::memory::MemoryHub,
        keys::Key,
        session::{SessionSettings, Site},
    };

    async fn fixture() -> (Confirmer, SessionId) {
        let backend = MemoryHub::new().backend();
        let sessions = Sessions::new(backend.records, Site::main(), SessionSettings::default());
        let keys = KeyRing::new(Key::random("a").unwrap(), None).unwrap();
        let document = SessionDocument::new(UserId::new("7"));
        let sid = sessions.create(&document).await.unwrap();
        (Confirmer::new(sessions, backend.tokens, Arc::new(keys)), sid)
    }

    #[tokio::test]
    async fn a_token_and_then_its_resume_credential_confirm() {
        let (confirmer, sid) = fixture().await;
        let (token, _) = confirmer.issue(&sid).await.unwrap();
        let first = confirmer.confirm(&Credential::Token(token)).await.unwrap();
        assert_eq!((&first.sid, first.user_id.as_str()), (&sid, "7"));
        let second = confirmer.confirm(&Credential::Resume(first.resume.clone())).await.unwrap();
        assert_ne!(first.resume, second.resume);
    }

    #[tokio::test]
    async fn a_logout_ends_tokens_and_resume_credentials() {
        let (confirmer, sid) = fixture().await;
        let (open, _) = confirmer.issue(&sid).await.unwrap();
        let (used, _) = confirmer.issue(&sid).await.unwrap();
        let confirmed = confirmer.confirm(&Credential::Token(used)).await.unwrap();
        confirmer.sessions().end(&sid).await.unwrap();
        for credential in [Credential::Token(open), Credential::Resume(confirmed.resume)] {
            let outcome = confirmer.confirm(&credential).await;
            assert!(matches!(outcome, Err(ConfirmError::Refused)), "{credential:?}");
        }
        assert!(matches!(confirmer.issue(&sid).await, Err(SessionError::NoSession)));
    }

    #[tokio::test]
    async fn a_session_without_a_user_gets_no_token() {
        let (confirmer, _) = fixture().await;
        let sid = confirmer.sessions().create(&SessionDocument::new(None)).await.unwrap();
        assert!(matches!(confirmer.issue(&sid).await, Err(SessionError::NoSession)));
    }
}
