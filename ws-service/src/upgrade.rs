//! The upgrade service: takes a socket over from the HTTP service, or refuses it.
//!
//! Every request that asks for an upgrade comes here, whatever its path, and the HTTP service is
//! done with it: answers are written by hand. An accepted socket goes to a connection actor on the
//! same thread and this service returns at once, so that the HTTP service's buffers are freed.

use std::{
    borrow::Cow,
    convert::Infallible,
    future::{Ready, ready},
    marker::PhantomData,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use actix_codec::{Framed, FramedParts};
use actix_http::{
    HttpMessage as _, Method, Request, Response, Uri, Version, body::BoxBody, h1, header::HeaderMap,
};
use actix_service::{Service, ServiceFactory};
use bytes::{Bytes, BytesMut};
use futures_util::future::LocalBoxFuture;
use router_core::socket::OpeningRequest;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use wire::{
    engine::{OpenError, OpenRequest},
    ws::handshake::{Accept, UpgradeRequest},
};

use crate::{
    connection::{Connection, Guest, stream::Stream},
    gate,
    peer::{Peers, Place, place, tunnel},
    proxies::client_address,
    respond::Answer,
    shard::{Shard, message},
    shared::Shared,
    sid::Sid,
};

/// How long a client may take to read the answers to what it asked before its upgrade.
const ANSWERS: Duration = Duration::from_secs(5);

/// Makes the upgrade service of a thread, and is it.
#[derive(Debug)]
pub(crate) struct Upgrade<Io> {
    shard: Rc<Shard>,
    io: PhantomData<fn(Io)>,
}

impl<Io> Upgrade<Io> {
    /// The service of the thread that `shard` lives on.
    pub(crate) fn new(shard: Rc<Shard>) -> Self {
        Self { shard, io: PhantomData }
    }
}

/// An error that does not happen: every refusal is an answer.
#[derive(Debug)]
pub(crate) struct Never(Infallible);

impl std::fmt::Display for Never {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {}
    }
}

impl From<Never> for Response<BoxBody> {
    fn from(never: Never) -> Self {
        match never.0 {}
    }
}

type Upgraded<Io> = (Request, Framed<Io, h1::Codec>);

impl<Io> ServiceFactory<Upgraded<Io>> for Upgrade<Io>
where
    Io: AsyncRead + AsyncWrite + Unpin + Into<Stream> + 'static,
{
    type Response = ();
    type Error = Never;
    type Config = ();
    type Service = Self;
    type InitError = ();
    type Future = Ready<Result<Self, ()>>;

    fn new_service(&self, (): ()) -> Self::Future {
        ready(Ok(Self::new(Rc::clone(&self.shard))))
    }
}

impl<Io> Service<Upgraded<Io>> for Upgrade<Io>
where
    Io: AsyncRead + AsyncWrite + Unpin + Into<Stream> + 'static,
{
    type Response = ();
    type Error = Never;
    type Future = LocalBoxFuture<'static, Result<(), Never>>;

    fn poll_ready(&self, _: &mut Context<'_>) -> Poll<Result<(), Never>> {
        Poll::Ready(Ok(()))
    }

    fn call(&self, (request, framed): Upgraded<Io>) -> Self::Future {
        let mut parts = framed.into_parts();
        if parts.write_buf.is_empty() {
            return self.take(request, parts);
        }
        // Answers to requests that came before on this transport go first.
        let this = Self::new(Rc::clone(&self.shard));
        Box::pin(async move {
            let answers = parts.write_buf.split();
            let written = async {
                parts.io.write_all(&answers).await?;
                parts.io.flush().await
            };
            match tokio::time::timeout(ANSWERS, written).await {
                Ok(Ok(())) => this.take(request, parts).await,
                // Who does not read them is not upgraded.
                Ok(Err(_)) | Err(_) => Ok(()),
            }
        })
    }
}

impl<Io> Upgrade<Io>
where
    Io: AsyncRead + AsyncWrite + Unpin + Into<Stream> + 'static,
{
    /// Takes the transport, on which nothing else is to be written.
    fn take(
        &self,
        request: Request,
        parts: FramedParts<Io, h1::Codec>,
    ) -> LocalBoxFuture<'static, Result<(), Never>> {
        match self.judge(&request) {
            Ok((accept, to)) => {
                let response = accept.response();
                let stream: Stream = parts.io.into();
                stream.be_patient();
                if let Err(error) = stream.set_nodelay() {
                    tracing::debug!(%error, "a socket's delay stays on");
                }
                let (sid, guest) = match to {
                    To::New(sid, guest) => (sid, guest),
                    To::Elsewhere(sid, client, peers) => {
                        let shared = Arc::clone(&self.shard.shared);
                        let to = (sid, client);
                        // A task of its own, so that the HTTP service's buffers are freed.
                        actix_rt::spawn(tunnel::serve(
                            shared,
                            peers,
                            to,
                            request,
                            stream,
                            parts.read_buf,
                        ));
                        return Box::pin(ready(Ok(())));
                    }
                    To::Session(sid) => {
                        let shard = Rc::clone(&self.shard);
                        return Box::pin(async move {
                            join(shard, sid, stream, response, parts.read_buf).await;
                            Ok(())
                        });
                    }
                };
                let shard = Rc::clone(&self.shard);
                if shard.shared.gate.is_none() {
                    Connection::start(&shard, stream, &response, parts.read_buf, &sid, guest);
                    return Box::pin(ready(Ok(())));
                }
                // A task of its own, so that the HTTP service's buffers are freed.
                actix_rt::spawn(async move {
                    match gate::admit(&shard.shared, guest).await {
                        Ok(guest) => {
                            let early = parts.read_buf;
                            Connection::start(&shard, stream, &response, early, &sid, guest);
                        }
                        Err(refusal) => stream.refuse(refusal).await,
                    }
                });
                Box::pin(ready(Ok(())))
            }
            Err(answer) => Box::pin(async move {
                answer.write(parts.io).await;
                Ok(())
            }),
        }
    }
}

impl<Io> Upgrade<Io> {
    /// Every request to upgrade comes here, whatever its path.
    fn judge(&self, request: &Request) -> Result<(Accept, To), Answer> {
        if request.path().trim_end_matches('/') != self.shard.shared.path {
            return Err(Answer::NOT_FOUND);
        }
        judge(&self.shard, asked(request))
    }
}

/// What the HTTP service read.
pub(crate) fn asked(request: &Request) -> Asked<'_> {
    Asked {
        method: request.method(),
        uri: request.uri(),
        version: request.version(),
        headers: request.headers(),
        peer: request.peer_addr(),
    }
}

/// Whether more of the request is to come, which would be taken for frames (RFC 9112 section 6).
fn has_body(headers: &HeaderMap) -> bool {
    let length = headers.get_all("content-length").any(|length| length.as_bytes() != b"0");
    length || headers.contains_key("transfer-encoding")
}

/// A request to upgrade, whoever read it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) method: &'a Method,
    pub(crate) uri: &'a Uri,
    pub(crate) version: Version,
    pub(crate) headers: &'a HeaderMap,
    /// Where the TCP connection comes from.
    pub(crate) peer: Option<SocketAddr>,
}

/// Decides about a request at the sockets' path. The order is the reference server's where it has
/// one; the origin comes before anything that costs memory.
pub(crate) fn judge(shard: &Shard, asked: Asked<'_>) -> Result<(Accept, To), Answer> {
    let shared = &*shard.shared;
    let Asked { method, uri, version, headers, peer } = asked;
    let query = uri.query().unwrap_or_default();
    let open = OpenRequest::parse(query)?;
    let upgrade = joined(headers, "upgrade");
    let accept = UpgradeRequest {
        method: method.as_str(),
        http_version: numbers(version),
        upgrade: upgrade.as_deref(),
        connection: joined(headers, "connection").as_deref(),
        key: joined(headers, "sec-websocket-key").as_deref(),
        version: joined(headers, "sec-websocket-version").as_deref(),
    }
    .check()?;
    if has_body(headers) {
        return Err(OpenError::BadRequest.into());
    }
    open.check(method.as_str(), true)?;
    if !shared.origins.admit(joined(headers, "origin").as_deref()) {
        return Err(OpenError::Forbidden.into());
    }
    let to = match open.sid {
        Some(sid) => match place(shared, sid, method, uri, headers)? {
            Place::Here(sid) => To::Session(sid),
            Place::There(sid, peers) => To::Elsewhere(sid, address(shared, peer, headers), peers),
        },
        None => {
            let sid = shard.new_sid().ok_or(Answer::UNAVAILABLE)?;
            To::New(sid, welcome(shared, peer, query, headers)?)
        }
    };
    Ok((accept, to))
}

/// The session that a WebSocket is for.
#[derive(Debug)]
pub(crate) enum To {
    /// Its own.
    New(Sid, Guest),
    /// One that polls until now.
    Session(Sid),
    /// One that another node has; and whose WebSocket it is.
    Elsewhere(Sid, IpAddr, Arc<Peers>),
}

/// Hands a WebSocket to the session that may move to it.
pub(crate) async fn join(
    shard: Rc<Shard>,
    sid: Sid,
    stream: Stream,
    response: Bytes,
    early: BytesMut,
) {
    match stream.depart() {
        Ok(stream) => {
            let upgrade = message::Request::Upgrade { stream, response, early };
            if sid.shard == shard.index {
                shard.request(&sid, upgrade);
            } else {
                shard.shared.hub.request(sid, upgrade).await;
            }
        }
        Err(error) => tracing::debug!(%error, "a socket cannot leave its thread"),
    }
}

/// Whether there is room for a new session: its place among the unconfirmed, and with what it came.
pub(crate) fn welcome(
    shared: &Shared,
    peer: Option<SocketAddr>,
    query: &str,
    headers: &HeaderMap,
) -> Result<Guest, Answer> {
    if shared.drain.is_draining() {
        return Err(Answer::UNAVAILABLE);
    }
    if shared.waiting.is_full() {
        shared.services.metrics.limit("outbox_total_percent");
        return Err(Answer::UNAVAILABLE);
    }
    let address = address(shared, peer, headers);
    let permit = shared.unconfirmed.enter(address).map_err(|full| {
        tracing::debug!(%address, limit = full.0, "a socket is refused");
        Answer::UNAVAILABLE
    })?;
    let texts =
        headers.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
    Ok(Guest { permit, request: OpeningRequest::new(address, query, texts), admitted: None })
}

/// The client's address, as far as it can be known.
pub(crate) fn address(shared: &Shared, peer: Option<SocketAddr>, headers: &HeaderMap) -> IpAddr {
    // A peer that is gone already has no address; it counts as one.
    let peer = peer.map_or(Ipv4Addr::UNSPECIFIED.into(), |peer| peer.ip());
    let forwarded: Vec<&str> =
        headers.get_all("x-forwarded-for").filter_map(|line| line.to_str().ok()).collect();
    client_address(&shared.proxies, peer, forwarded.into_iter())
}

/// All lines of a header, with commas between. A line that is no visible ASCII makes it unreadable,
/// which no rule accepts.
pub(crate) fn joined<'a>(headers: &'a HeaderMap, name: &str) -> Option<Cow<'a, str>> {
    let mut lines = headers.get_all(name).map(|line| line.to_str().unwrap_or("\u{fffd}"));
    let first = lines.next()?;
    let mut all = Cow::Borrowed(first);
    for line in lines {
        all = Cow::Owned(format!("{all},{line}"));
    }
    Some(all)
}

fn numbers(version: Version) -> (u8, u8) {
    match version {
        Version::HTTP_09 => (0, 9),
        Version::HTTP_10 => (1, 0),
        Version::HTTP_11 => (1, 1),
        _ => (2, 0),
    }
}
