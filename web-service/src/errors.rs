//! What can go wrong while a page is served, and what its reader gets to see of it.

use actix_web::{
    HttpResponse, ResponseError,
    http::{
        StatusCode,
        header::{CACHE_CONTROL, RETRY_AFTER},
    },
};
use router_core::{
    RouteError,
    bus::TransmitError,
    code,
    id::RandomError,
    session::{AuthorityError, SessionError, UpdateError},
};

/// Why a page's request failed. As a response it is `{"error":{"code","message",…}}`, the shape
/// of a socket's error acknowledgement, with a fitting status and never cached.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WebError {
    /// There is no session, or nobody is logged in. 401 `no_session`.
    #[error("there is no session user")]
    NoSession,
    /// A browser says that another site's page sent the request. 403 `forbidden`.
    #[error("the request comes from a foreign origin")]
    ForeignOrigin,
    /// The update does not fit the session's store; nothing was changed. 409 `bad_session`.
    #[error("the session's update was refused")]
    Update(#[source] UpdateError),
    /// The session could not be read or changed. 503 `unavailable` or `overloaded`; 500
    /// `bad_session` where the store does not fit the page's type.
    #[error("the session could not be read or changed")]
    Session(#[source] SessionError),
    /// The session has ended, but not every node that may hold its sockets has confirmed that it
    /// knows: log out again. 503 `unavailable`.
    #[error("the session's sockets were not told that it has ended")]
    Bus(#[from] TransmitError),
    /// The work was cut off, by a stop or a panic. 503 `unavailable`.
    #[error("the work was cut off")]
    Interrupted,
    /// The app is not wrapped in [`WebService::session_layer`](crate::WebService::session_layer).
    /// 500 `internal`.
    #[error("the app is not wrapped in the service's session layer")]
    NoLayer,
}

impl WebError {
    fn answer(&self) -> (StatusCode, RouteError) {
        match self {
            Self::NoSession => (
                StatusCode::UNAUTHORIZED,
                RouteError::new(code::NO_SESSION, "There is no session."),
            ),
            Self::ForeignOrigin => (
                StatusCode::FORBIDDEN,
                RouteError::new("forbidden", "This is not for pages of another origin."),
            ),
            Self::Update(fault) => {
                (StatusCode::CONFLICT, RouteError::new(code::BAD_SESSION, fault.to_string()))
            }
            Self::Session(SessionError::Document(fault)) => (
                StatusCode::INTERNAL_SERVER_ERROR,
                RouteError::new(code::BAD_SESSION, "The session does not fit this page.")
                    .with("path", fault.path.clone()),
            ),
            Self::Session(SessionError::Contention) => {
                (StatusCode::SERVICE_UNAVAILABLE, RouteError::overloaded(1_000))
            }
            Self::Session(_) | Self::Bus(_) | Self::Interrupted => {
                (StatusCode::SERVICE_UNAVAILABLE, RouteError::unavailable())
            }
            Self::NoLayer => (StatusCode::INTERNAL_SERVER_ERROR, RouteError::internal()),
        }
    }
}

impl From<SessionError> for WebError {
    fn from(error: SessionError) -> Self {
        match error {
            SessionError::NoSession => Self::NoSession,
            SessionError::Update(fault) => Self::Update(fault),
            other => Self::Session(other),
        }
    }
}

impl From<AuthorityError> for WebError {
    fn from(error: AuthorityError) -> Self {
        match error {
            AuthorityError::Session(error) => error.into(),
            AuthorityError::Told(error) => Self::Bus(error),
            _ => Self::Interrupted,
        }
    }
}

impl From<RandomError> for WebError {
    fn from(error: RandomError) -> Self {
        Self::Session(error.into())
    }
}

impl ResponseError for WebError {
    fn status_code(&self) -> StatusCode {
        self.answer().0
    }

    fn error_response(&self) -> HttpResponse {
        let (status, error) = self.answer();
        if status.is_server_error() {
            let source = std::error::Error::source(self);
            tracing::warn!(error = %self, source, "a page's request failed");
        }
        let mut response = HttpResponse::build(status);
        response.insert_header((CACHE_CONTROL, "no-store"));
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.insert_header((RETRY_AFTER, "1"));
        }
        response.content_type("application/json").body(error.to_args().json().to_owned())
    }
}
