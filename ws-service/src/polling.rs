//! Long-polling: plain requests at the sockets' path (Engine.IO protocol, "HTTP long-polling").
//!
//! They are answered by the App of whatever thread they came to, and go from there to the shard that
//! has the session. Errors have the bodies and statuses of the reference server.

use std::rc::Rc;

use actix_web::{
    HttpRequest, HttpResponse,
    http::{
        StatusCode,
        header::{self, HeaderName, HeaderValue},
    },
    web,
};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use tokio::sync::oneshot;
use wire::engine::{Action, OpenError, OpenRequest};

use crate::{
    connection::Connection,
    gate,
    origins::Origins,
    peer::{
        Peers, Place,
        forward::{Forwarder, TOO_LARGE},
        place,
    },
    respond::Answer,
    shard::{
        Shard,
        message::{Body, Request},
    },
    sid::Sid,
    upgrade::{address, joined, welcome},
};

/// How long a browser may keep the answer to its preflight, in seconds.
const PREFLIGHT_AGE: &str = "600";

/// A request at the sockets' path that asks for no upgrade.
pub(crate) async fn serve(request: HttpRequest, payload: web::Payload) -> HttpResponse {
    let Some(shard) = request.app_data::<Rc<Shard>>().map(Rc::clone) else {
        return HttpResponse::InternalServerError().finish();
    };
    let origin = joined(request.headers(), "origin");
    let origins = &shard.shared.origins;
    let mut response = if origins.admit(origin.as_deref()) {
        answer(&shard, &request, payload).await
    } else {
        error(OpenError::Forbidden.into())
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    for (name, value) in cross_origin(origins, origin.as_deref()) {
        headers.insert(name, value);
    }
    response
}

async fn answer(shard: &Rc<Shard>, request: &HttpRequest, payload: web::Payload) -> HttpResponse {
    let action = OpenRequest::parse(request.query_string())
        .and_then(|open| open.action(request.method().as_str(), false));
    let (sid, is_poll) = match action {
        Ok(Action::Preflight) => return preflight(request),
        Ok(Action::Open(_)) => return begin(shard, request).await,
        Ok(Action::Poll(sid)) => (sid, true),
        Ok(Action::Push(sid)) => (sid, false),
        Ok(Action::Upgrade(_)) => return error(OpenError::BadRequest.into()),
        Err(wrong) => return error(wrong.into()),
    };
    match place(&shard.shared, sid, request.method(), request.uri(), request.headers()) {
        Ok(Place::Here(sid)) if is_poll => poll(shard, sid).await,
        Ok(Place::Here(sid)) => post(shard, sid, request, payload).await,
        Ok(Place::There(sid, peers)) => {
            let body = if is_poll { None } else { Some(read(shard, request, payload).await) };
            pass(shard, &sid, &peers, request, body).await
        }
        Err(wrong) => error(wrong.into()),
    }
}

/// Lets the node answer that has the session.
async fn pass(
    shard: &Shard,
    sid: &Sid,
    peers: &Peers,
    request: &HttpRequest,
    body: Option<Body>,
) -> HttpResponse {
    let Some(forwarder) = request.app_data::<Forwarder>() else {
        return HttpResponse::InternalServerError().finish();
    };
    // The drain waits for it as for a socket.
    let _passing = shard.shared.drain.guard();
    let client = address(&shard.shared, request.peer_addr(), request.headers());
    let too_large = matches!(body, Some(Body::TooLarge));
    let mut response = match forwarder.pass(peers, sid, client, request, body).await {
        Ok(response) => response,
        Err(refusal) => error(refusal),
    };
    if too_large {
        response.head_mut().set_connection_type(actix_http::ConnectionType::Close);
    }
    response
}

/// Opens a session on this thread.
async fn begin(shard: &Rc<Shard>, request: &HttpRequest) -> HttpResponse {
    let query = request.query_string();
    let guest = welcome(&shard.shared, request.peer_addr(), query, request.headers());
    let admitted = match guest {
        Ok(guest) => gate::admit(&shard.shared, guest).await,
        Err(refusal) => Err(refusal),
    };
    let guest = match admitted {
        Ok(guest) => guest,
        Err(refusal) => return error(refusal),
    };
    match Connection::start_polling(shard, guest) {
        Some(body) => text(body),
        None => error(Answer::UNAVAILABLE),
    }
}

async fn poll(shard: &Shard, sid: Sid) -> HttpResponse {
    let (reply, answer) = oneshot::channel();
    hand_over(shard, sid, Request::Poll(reply)).await;
    replied(answer).await
}

async fn post(
    shard: &Shard,
    sid: Sid,
    request: &HttpRequest,
    payload: web::Payload,
) -> HttpResponse {
    let body = read(shard, request, payload).await;
    let too_large = matches!(body, Body::TooLarge);
    let (reply, answer) = oneshot::channel();
    hand_over(shard, sid, Request::Post { body, reply }).await;
    let mut response = replied(answer).await;
    if too_large {
        // Also for a session that is unknown: the rest of the body is not read.
        response = HttpResponse::PayloadTooLarge().finish();
        response.head_mut().set_connection_type(actix_http::ConnectionType::Close);
    }
    response
}

/// Hands a request to the shard that has the session.
async fn hand_over(shard: &Shard, sid: Sid, request: Request) {
    if sid.shard == shard.index {
        shard.request(&sid, request);
    } else {
        // Where there is no such shard the reply is dropped, which says it.
        shard.shared.hub.request(sid, request).await;
    }
}

async fn replied(answer: oneshot::Receiver<Result<Bytes, OpenError>>) -> HttpResponse {
    match answer.await {
        Ok(Ok(body)) => text(body),
        Ok(Err(wrong)) => error(wrong.into()),
        Err(_) => error(OpenError::UnknownSession.into()),
    }
}

/// Reads a body, as far as its bound and the time for it allow.
async fn read(shard: &Shard, request: &HttpRequest, mut payload: web::Payload) -> Body {
    let bounds = &shard.shared.rules.bounds;
    let most = bounds.frames.max_payload;
    let length = request.headers().get(header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    let is_declared = request.headers().contains_key(TOO_LARGE);
    if is_declared || length.is_some_and(|length| length > most) {
        return Body::TooLarge;
    }
    let whole = async {
        let mut body = BytesMut::new();
        while let Some(chunk) = payload.next().await {
            let Ok(chunk) = chunk else { return Body::Unread };
            if chunk.len() > most - body.len() {
                return Body::TooLarge;
            }
            body.extend_from_slice(&chunk);
        }
        Body::Whole(body.freeze())
    };
    match bounds.fragment_timeout {
        Some(most) => tokio::time::timeout(most, whole).await.unwrap_or(Body::Unread),
        None => whole.await,
    }
}

/// Tells a browser what a page of an admitted origin may do (Fetch, "CORS-preflight fetch").
fn preflight(request: &HttpRequest) -> HttpResponse {
    let mut response = HttpResponse::NoContent();
    response
        .insert_header((header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST"))
        .insert_header((header::ACCESS_CONTROL_MAX_AGE, PREFLIGHT_AGE));
    // Whatever headers a client adds: none of them means anything here.
    if let Some(wanted) = request.headers().get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
        response.insert_header((header::ACCESS_CONTROL_ALLOW_HEADERS, wanted.clone()));
    }
    response.finish()
}

/// What lets a page of an admitted origin read the answer. Where every page may, none may bring
/// its visitor's cookies.
fn cross_origin(
    origins: &Origins,
    origin: Option<&str>,
) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
    let listed = !origins.is_any();
    let admitted = origin.filter(|origin| origins.admit(Some(origin)));
    let allowed = match admitted {
        Some(origin) if listed => HeaderValue::from_str(origin).ok(),
        Some(_) => Some(HeaderValue::from_static("*")),
        None => None,
    };
    let credentials = (listed && allowed.is_some()).then_some(HeaderValue::from_static("true"));
    let vary = listed.then_some(HeaderValue::from_static("Origin"));
    [
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, allowed),
        (header::ACCESS_CONTROL_ALLOW_CREDENTIALS, credentials),
        (header::VARY, vary),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name, value?)))
}

fn text(body: impl Into<Bytes>) -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; charset=UTF-8").body(body.into())
}

/// An answer of the sockets' path.
pub(crate) fn error(answer: Answer) -> HttpResponse {
    let status = StatusCode::from_u16(answer.status()).unwrap_or(StatusCode::BAD_REQUEST);
    let mut response = HttpResponse::build(status);
    if let Some(header) = answer.header() {
        response.insert_header(header);
    }
    response.content_type("application/json").body(answer.into_body().into_owned())
}
