//! Polls and posts for sessions of other nodes, passed on as plain HTTP.
//!
//! Each thread has a client with a pool of connections. A poll holds one for as long as it waits.
//! The owner's answer is relayed as it comes, status, headers and body; only what belongs to the hop
//! is this node's own.

use std::{io, net::IpAddr, time::Duration};

use actix_http::body::SizedStream;
use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{self, HeaderMap, HeaderName},
};
use awc::{
    Connector,
    error::{ConnectError, SendRequestError},
    http::Version,
};
use bytes::Bytes;
use futures_util::StreamExt as _;

use super::{CONNECT, Peers, seal, target, tunnel::answer_for};
use crate::{respond::Answer, shard::message::Body, sid::Sid};

/// How long a connection waits in the pool. Less than the 5 s after which a listener closes it, so
/// that no request is sent into a connection that is being closed.
const IDLE: Duration = Duration::from_secs(3);

/// Says that the body was too large to be read, and so is not here. Whoever says so untruly ends the
/// session that he names, as with a body that is too large.
pub(crate) const TOO_LARGE: &str = "whisk-too-large";

/// What a session's requests say of themselves, and the owner may read.
const RELAYED: [HeaderName; 8] = [
    header::ORIGIN,
    header::COOKIE,
    header::AUTHORIZATION,
    header::USER_AGENT,
    header::CONTENT_TYPE,
    header::ACCEPT,
    header::ACCEPT_LANGUAGE,
    header::REFERER,
];

/// What is about the connection and not the answer (RFC 9110, section 7.6.1), or is written anew.
const HOP: [HeaderName; 6] = [
    header::CONNECTION,
    header::TRANSFER_ENCODING,
    header::CONTENT_LENGTH,
    header::UPGRADE,
    header::TRAILER,
    header::DATE,
];

/// The HTTP client of one thread.
pub(crate) struct Forwarder {
    client: awc::Client,
}

impl std::fmt::Debug for Forwarder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Forwarder").finish_non_exhaustive()
    }
}

impl Forwarder {
    /// A client without connections.
    pub(crate) fn new() -> Self {
        // The bound is on requests to one node, over all threads; connections follow from it.
        let connector = Connector::new()
            .max_http_version(Version::HTTP_11)
            .timeout(CONNECT)
            .conn_keep_alive(IDLE)
            .limit(0);
        let client = awc::Client::builder()
            .connector(connector)
            .no_default_headers()
            .disable_redirects()
            .finish();
        Self { client }
    }

    /// Passes a request to the owner of its session and relays the answer.
    ///
    /// # Errors
    /// What the client is answered when the owner is not there or has too much to do.
    pub(crate) async fn pass(
        &self,
        peers: &Peers,
        sid: &Sid,
        client: IpAddr,
        request: &HttpRequest,
        body: Option<Body>,
    ) -> Result<HttpResponse, Answer> {
        let peer = peers.owner(sid.nid, sid.incarnation).await?;
        let Some(counted) = peer.enter(peers.requests) else {
            peers.metrics.limit("peer_requests");
            return Err(Answer::UNAVAILABLE);
        };
        let seal = peers.seal(request.method(), request.uri(), client)?;
        let target = target(request.uri());
        let mut passed = self
            .client
            .request(request.method().clone(), format!("http://{}{target}", peer.address))
            .timeout(peers.silence)
            .no_decompress()
            .insert_header((seal::HEADER, seal));
        for name in RELAYED {
            for value in request.headers().get_all(&name) {
                passed = passed.append_header((name.clone(), value.clone()));
            }
        }
        peers.metrics.peer_requests.inc();
        let sent = match body {
            None => passed.send().await,
            Some(Body::Whole(body)) => passed.send_body(body).await,
            // No session takes it, which ends this one, as the whole would have.
            Some(Body::Unread) => passed.send_body(Bytes::new()).await,
            Some(Body::TooLarge) => {
                passed.insert_header((TOO_LARGE, "1")).send_body(Bytes::new()).await
            }
        };
        let answer = sent.map_err(|error| {
            tracing::debug!(%error, nid = %sid.nid, "a request cannot be passed to its node");
            peers.metrics.peer_failed.inc();
            answer_for(kind(&error))
        })?;

        let mut response = HttpResponse::build(answer.status());
        for (name, value) in answer.headers() {
            if !HOP.contains(name) {
                response.append_header((name.clone(), value.clone()));
            }
        }
        let length = length(answer.headers());
        // The request counts until its answer is read.
        let body = answer.map(move |chunk| {
            let _counted = &counted;
            chunk
        });
        Ok(match length {
            Some(length) => response.body(SizedStream::new(length, body)),
            None => response.streaming(body),
        })
    }
}

fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// How the connection to the owner failed.
fn kind(error: &SendRequestError) -> io::ErrorKind {
    match error {
        SendRequestError::Connect(ConnectError::Io(error)) | SendRequestError::Send(error) => {
            error.kind()
        }
        SendRequestError::Connect(ConnectError::Disconnected) => io::ErrorKind::ConnectionReset,
        SendRequestError::Connect(ConnectError::Timeout) | SendRequestError::Timeout => {
            io::ErrorKind::TimedOut
        }
        // An answer that breaks off before its head is whole.
        SendRequestError::Response(_) => io::ErrorKind::UnexpectedEof,
        _ => io::ErrorKind::Other,
    }
}
