//! The middleware that lets pages have a session: it holds the request's session while the page is
//! made, and writes on the response what became of it, also when the page failed.

use std::{
    cell::OnceCell,
    future::{Ready, ready},
    pin::Pin,
    rc::Rc,
};

use actix_web::{
    Error, HttpMessage, HttpRequest,
    body::MessageBody,
    dev::{Service, ServiceRequest, ServiceResponse, Transform, forward_ready},
    error::InternalError,
    http::header::{CACHE_CONTROL, HeaderMap, HeaderValue, SET_COOKIE},
};

use crate::{
    WebError, WebService,
    session::{Change, State},
};

/// Gives the pages of an `App` or a scope their [`WebSession`](crate::WebSession). Made by
/// [`WebService::session_layer`]. A page that does not ask for its session costs nothing here.
///
/// What a handler changes after its response's head has left, from inside a streamed body, comes
/// too late for the cookie.
#[derive(Debug, Clone)]
pub struct SessionLayer(pub(crate) WebService);

/// The place of one request's session, in the request's extensions.
#[derive(Clone)]
struct Slot {
    service: WebService,
    /// Filled when the page first asks for its session.
    state: Rc<OnceCell<Rc<State>>>,
}

/// The service whose layer a request has passed.
pub(crate) fn service(req: &HttpRequest) -> Result<WebService, WebError> {
    req.extensions().get::<Slot>().map(|slot| slot.service.clone()).ok_or(WebError::NoLayer)
}

/// The session of a request, and the service that it belongs to.
pub(crate) fn session(req: &HttpRequest) -> Result<(WebService, Rc<State>), WebError> {
    let slot = req.extensions().get::<Slot>().cloned().ok_or(WebError::NoLayer)?;
    let state =
        slot.state.get_or_init(|| Rc::new(State::new(slot.service.cookies().read(req.headers()))));
    Ok((slot.service, Rc::clone(state)))
}

impl<S, B> Transform<S, ServiceRequest> for SessionLayer
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<B>;
    type Error = Error;
    type Transform = SessionService<S>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, ()>>;

    fn new_transform(&self, inner: S) -> Self::Future {
        ready(Ok(SessionService { service: self.0.clone(), inner }))
    }
}

/// The layer around one service.
#[derive(Debug)]
pub struct SessionService<S> {
    service: WebService,
    inner: S,
}

impl<S, B> Service<ServiceRequest> for SessionService<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<B>;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<ServiceResponse<B>, Error>>>>;

    forward_ready!(inner);

    fn call(&self, req: ServiceRequest) -> Self::Future {
        let outer = req.extensions().get::<Slot>().map(|slot| slot.service.clone());
        if outer.is_some_and(|outer| outer.is(&self.service)) {
            // The whole app is wrapped, and this scope of it again.
            return Box::pin(self.inner.call(req));
        }
        let slot = Slot { service: self.service.clone(), state: Rc::default() };
        req.extensions_mut().insert(slot.clone());
        let response = self.inner.call(req);
        Box::pin(async move {
            let outcome = response.await;
            let Some(change) = slot.state.get().and_then(|state| state.take_change()) else {
                return outcome;
            };
            match outcome {
                Ok(mut response) => {
                    slot.write(&change, response.headers_mut());
                    Ok(response)
                }
                // The error of a layer inside, that would become a response outside.
                Err(error) => {
                    let mut response = error.error_response();
                    slot.write(&change, response.headers_mut());
                    Err(InternalError::from_response(error, response).into())
                }
            }
        })
    }
}

impl Slot {
    fn write(&self, change: &Change, headers: &mut HeaderMap) {
        let cookie = match change {
            Change::Set(sid) => self.service.cookies().set(sid),
            Change::Clear => Some(self.service.cookies().clear()),
        };
        let value = cookie.and_then(|cookie| HeaderValue::from_str(&cookie.to_string()).ok());
        let Some(value) = value else {
            tracing::error!("the session's cookie could not be written");
            return;
        };
        headers.append(SET_COOKIE, value);
        // A shared cache must not hand one visitor's cookie to the next (RFC 9111, section 7.3).
        if !headers.contains_key(CACHE_CONTROL) {
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
    }
}
