//! The session as a page's handler holds it.

use std::{
    future::{Ready, ready},
    rc::Rc,
};

use actix_web::{FromRequest, HttpRequest, dev::Payload};
use router_core::{
    PayloadError,
    session::{SessionDocument, SessionError, SessionId, Update, UserId},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use tokio::sync::Mutex;

use crate::{WebError, WebService, cookies::Shown, layer};

/// The session of a page's visitor.
///
/// As an extractor it costs nothing and never rejects where the app has the
/// [session layer](crate::SessionLayer). The record is read when a method first needs it, and made
/// when something is first stored or somebody logs in; a visit that does neither leaves no trace.
///
/// ```
/// use actix_web::Responder;
/// use router_core::session::inc;
/// use web_service::{WebError, WebSession};
///
/// #[derive(Default, serde::Deserialize)]
/// #[serde(default)]
/// struct Visits {
///     visits: u32,
/// }
///
/// async fn page(session: WebSession) -> Result<impl Responder, WebError> {
///     let before: Visits = session.store().await?;
///     session.update(inc("visits", 1)).await?;
///     Ok(format!("You were here {} times before.", before.visits))
/// }
/// ```
#[derive(Debug, Clone)]
pub struct WebSession {
    service: WebService,
    state: Rc<State>,
}

/// What a page gives to its sockets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SessionSync {
    /// The session-sync token: good once, for the time that
    /// [`SessionSettings::token_ttl`](router_core::session::SessionSettings::token_ttl) says.
    pub ws_token: String,
    /// The user whom it is for.
    pub user_id: UserId,
}

/// The session of one request, shared by the handler's extractors and the layer.
#[derive(Debug)]
pub(crate) struct State(Mutex<Visit>);

/// What is known of the session, and what is to become of its cookie.
#[derive(Debug, Default)]
struct Visit {
    /// The session that the cookie shows, or that was made since.
    sid: Option<SessionId>,
    /// The record; read once, and replaced by each change.
    document: Option<SessionDocument>,
    /// Whether the record was looked for.
    looked: bool,
    change: Option<Change>,
}

/// What the response does to the cookie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    /// It shows this session.
    Set(SessionId),
    /// It goes.
    Clear,
}

impl State {
    pub(crate) fn new(shown: Shown) -> Self {
        let visit = match shown {
            Shown::Nothing => Visit::default(),
            Shown::Forged => Visit { change: Some(Change::Clear), ..Visit::default() },
            Shown::Session { sid, stale } => Visit {
                // Signed by the previous key: signed anew before that key goes.
                change: stale.then(|| Change::Set(sid.clone())),
                sid: Some(sid),
                ..Visit::default()
            },
        };
        Self(Mutex::new(visit))
    }

    /// What the response is to tell the browser.
    pub(crate) fn take_change(&self) -> Option<Change> {
        // Held only where the handler left work behind, which is too late for the response.
        self.0.try_lock().ok()?.change.take()
    }
}

impl Visit {
    /// Reads the record, once a request, and lets it live on.
    async fn look(&mut self, service: &WebService) -> Result<Option<&SessionDocument>, WebError> {
        if !self.looked {
            if let Some(sid) = &self.sid {
                let sessions = service.sessions();
                let (document, touched) =
                    futures_util::future::join(sessions.load_valid(sid), sessions.touch(sid)).await;
                if let Err(error) = touched {
                    tracing::debug!(%error, "a session's life was not prolonged");
                }
                self.document = document?;
            }
            self.looked = true;
        }
        Ok(self.document.as_ref())
    }

    fn begin(&mut self, sid: SessionId, document: Option<SessionDocument>) {
        self.change = Some(Change::Set(sid.clone()));
        self.looked = document.is_some();
        (self.sid, self.document) = (Some(sid), document);
    }
}

impl WebSession {
    /// The user, where one is logged in.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn user_id(&self) -> Result<Option<UserId>, WebError> {
        let mut visit = self.state.0.lock().await;
        Ok(visit.look(&self.service).await?.and_then(|document| document.user_id.clone()))
    }

    /// The session's store as a `T`; where there is no session, an empty store as a `T`.
    ///
    /// # Errors
    /// When the store is away, or does not fit the type.
    pub async fn store<T: DeserializeOwned>(&self) -> Result<T, WebError> {
        let mut visit = self.state.0.lock().await;
        let document = visit.look(&self.service).await?;
        let store = document.map(|document| document.store.clone()).unwrap_or_default();
        serde_path_to_error::deserialize(Value::Object(store)).map_err(|error| {
            let path = error.path().to_string();
            let reason = error.into_inner().to_string();
            WebError::Session(SessionError::Document(PayloadError { path, reason }))
        })
    }

    /// Applies an update to the newest store, in one step, and returns the store as it is then.
    /// Makes the session where there is none.
    ///
    /// # Errors
    /// When the store is away, or [`WebError::Update`] when the update does not fit it.
    pub async fn update(&self, update: Update) -> Result<Map<String, Value>, WebError> {
        let mut visit = self.state.0.lock().await;
        let sessions = self.service.sessions();
        if let Some(sid) = &visit.sid {
            match sessions.update(sid, &update).await {
                Ok(document) => {
                    let store = document.store.clone();
                    (visit.document, visit.looked) = (Some(document), true);
                    return Ok(store);
                }
                // It ended or ran out; a new one takes its place.
                Err(SessionError::NoSession) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let mut document = SessionDocument::new(None);
        update.apply(&mut document.store).map_err(WebError::Update)?;
        let sid = sessions.create(&document).await?;
        let store = document.store.clone();
        visit.begin(sid, Some(document));
        Ok(store)
    }

    /// Logs a user in. The session's id changes, so that an id which somebody planted or saw
    /// before is worth nothing; a visitor's store is kept, but that of another user is not.
    /// Sockets of the former id are sent away; the page that follows brings new ones.
    ///
    /// # Errors
    /// When the store is away. Nobody is logged in then.
    pub async fn login(&self, user: UserId) -> Result<(), WebError> {
        let mut visit = self.state.0.lock().await;
        let (service, old) = (self.service.clone(), visit.sid.clone());
        let sid = detached(async move { service.change_hands(old, user).await }).await?;
        visit.begin(sid, None);
        Ok(())
    }

    /// Logs out: ends the session, clears the cookie, and sends the session's sockets away on every
    /// node. Open tokens and resume credentials lead nowhere from then on.
    ///
    /// # Errors
    /// When the store or the bus is away. The cookie is then kept, so that the visitor can try
    /// again; a session that has ended may be ended once more.
    pub async fn logout(&self) -> Result<(), WebError> {
        let mut visit = self.state.0.lock().await;
        if let Some(sid) = visit.sid.clone() {
            let service = self.service.clone();
            detached(async move { service.end_session(&sid).await }).await?;
            *visit = Visit { change: Some(Change::Clear), ..Visit::default() };
        }
        Ok(())
    }

    /// A token with which this page's socket joins the session. Each page load takes its own;
    /// several may be open.
    ///
    /// # Errors
    /// [`WebError::NoSession`] when nobody is logged in; when the store is away.
    pub async fn start_session_sync(&self) -> Result<SessionSync, WebError> {
        let visit = self.state.0.lock().await;
        let sid = visit.sid.as_ref().ok_or(WebError::NoSession)?;
        let (ws_token, user_id) = self.service.confirmer().issue(sid).await?;
        Ok(SessionSync { ws_token, user_id })
    }
}

/// Finishes `work` even where the visitor goes away meanwhile, which drops the handler: a logout
/// is never left half done.
async fn detached<T: 'static>(
    work: impl Future<Output = Result<T, WebError>> + 'static,
) -> Result<T, WebError> {
    actix_web::rt::spawn(work).await.unwrap_or(Err(WebError::Interrupted))
}

impl FromRequest for WebSession {
    type Error = WebError;
    type Future = Ready<Result<Self, WebError>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(layer::session(req).map(|(service, state)| Self { service, state }))
    }
}
