//! The session as a handler holds it.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{SessionDocument, SessionError, SessionId, Sessions, Update, UserId};
use crate::args::PayloadError;

/// The session of the socket that sent an event, its store read as a `T`.
///
/// As an extractor it reads the newest record, and rejects with `no_session` where there is none
/// and with `bad_session` where the store does not fit `T`. Give fields of `T` a
/// `#[serde(default)]`, since a new session's store is empty. Without a type it is JSON.
///
/// ```
/// use router_core::session::{Session, SessionError, inc};
///
/// #[derive(serde::Deserialize)]
/// struct Profile {
///     #[serde(default)]
///     said: u32,
/// }
///
/// async fn count(session: Session<Profile>) -> Result<u32, SessionError> {
///     Ok(session.update(inc("said", 1)).await?.said)
/// }
/// ```
#[derive(Debug, Clone)]
pub struct Session<T = Value> {
    sessions: Sessions,
    sid: SessionId,
    user_id: Option<UserId>,
    document: SessionDocument,
    store: T,
}

impl<T: DeserializeOwned> Session<T> {
    /// Reads a session.
    ///
    /// # Errors
    /// [`SessionError::NoSession`], [`SessionError::Document`], or a failed backend.
    pub async fn load(sessions: &Sessions, sid: &SessionId) -> Result<Self, SessionError> {
        let document = sessions.load(sid).await?.ok_or(SessionError::NoSession)?;
        Self::from_document(sessions, sid, document)
    }

    /// A session in a state that is known already.
    ///
    /// # Errors
    /// [`SessionError::Document`] when its store is no `T`.
    pub(crate) fn from_document(
        sessions: &Sessions,
        sid: &SessionId,
        document: SessionDocument,
    ) -> Result<Self, SessionError> {
        let store = read(&document)?;
        let user_id = document.user_id.clone();
        Ok(Self { sessions: sessions.clone(), sid: sid.clone(), user_id, document, store })
    }

    /// The session's id. A secret: it belongs into no message.
    pub fn id(&self) -> &SessionId {
        &self.sid
    }

    /// The user, where one is logged in.
    pub fn user_id(&self) -> Option<&UserId> {
        self.user_id.as_ref()
    }

    /// The whole record as it was read.
    pub fn document(&self) -> &SessionDocument {
        &self.document
    }

    /// The store as it was read.
    pub fn store(&self) -> &T {
        &self.store
    }

    /// Applies an update to the newest store, in one step, and returns the store as it is then.
    ///
    /// # Errors
    /// As [`Sessions::update`].
    pub async fn update(&self, update: Update) -> Result<T, SessionError> {
        read(&self.sessions.update(&self.sid, &update).await?)
    }
}

fn read<T: DeserializeOwned>(document: &SessionDocument) -> Result<T, SessionError> {
    serde_path_to_error::deserialize(Value::Object(document.store.clone())).map_err(|error| {
        let path = error.path().to_string();
        SessionError::Document(PayloadError { path, reason: error.into_inner().to_string() })
    })
}
