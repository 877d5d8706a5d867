//! A request to upgrade in somebody's App. This is the one file that names `actix-web-actors`.
//!
//! Of that crate the handshake is used, and no more. Its context would run the connection inside the
//! response body, which nobody polls while the peer does not read: timers would stand still just
//! when they are needed, and what waits would have no bound. And its codec looks at the length of a
//! frame when all of it is buffered. So the payload of the request goes to our own decoder, which
//! judges lengths and fragments from the header; the connection is an actor of its own, as under the
//! listener; and the body takes finished frames out of a bounded pipe.

use std::{
    convert::Infallible,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
};

use actix_web::{
    HttpRequest, HttpResponse,
    body::{BodySize, MessageBody},
    web::Payload,
};
use actix_web_actors::ws;
use bytes::{Bytes, BytesMut};
use tokio::sync::oneshot;
use wire::engine::OpenError;

use super::{
    pipe::{Receiver, Sender, pipe},
    stream::Mounted,
    tunnel,
};
use crate::{
    connection::{Connection, stream::Stream},
    gate, polling,
    respond::Answer,
    shard::Shard,
    shared::{Shared, Work},
    upgrade::{Asked, To, join, judge},
};

/// Bytes that wait for the response body. More of them wait in the connection's outbox, where they
/// are counted.
const ROOM: usize = 256 * 1024;

/// Answers a request to upgrade.
pub(super) async fn serve(
    shard: Rc<Shard>,
    request: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    match upgrade(&shard, &request, payload).await {
        Ok(body) => granted(&request, body),
        Err(answer) => polling::error(answer),
    }
}

async fn upgrade(
    shard: &Rc<Shard>,
    request: &HttpRequest,
    payload: Payload,
) -> Result<Body, Answer> {
    let (_accept, to) = judge(shard, asked(request))?;
    let (outgoing, body) = pipe_for(&shard.shared);
    let (answer, response) = (Bytes::new(), BytesMut::new());
    match to {
        To::New(sid, guest) => {
            let guest = gate::admit(&shard.shared, guest).await?;
            let stream = Stream::Mounted(Box::new(Mounted::new(payload, outgoing, None)));
            Connection::start(shard, stream, &answer, response, &sid, guest);
        }
        To::Session(sid) => {
            let (verdict, granted) = oneshot::channel();
            let stream = Stream::Mounted(Box::new(Mounted::new(payload, outgoing, Some(verdict))));
            join(Rc::clone(shard), sid, stream, answer, response).await;
            // Where there is no such shard, nobody says anything.
            granted.await.unwrap_or(Err(OpenError::UnknownSession.into()))?;
        }
        To::Elsewhere(sid, client, peers) => {
            let client_side = Mounted::new(payload, outgoing, None);
            let asked = asked(request);
            tunnel::open(&shard.shared, &peers, &sid, client, asked, client_side).await?;
        }
    }
    Ok(body)
}

/// The way to the client.
fn pipe_for(shared: &Arc<Shared>) -> (Sender, Body) {
    let (outgoing, body) = pipe(ROOM, Some(Work::new(shared)));
    (outgoing, Body(body))
}

/// The answer that grants the upgrade.
fn granted(request: &HttpRequest, body: Body) -> HttpResponse {
    match ws::handshake(request) {
        Ok(mut response) => response.body(body),
        // It was judged before, and more strictly.
        Err(_) => polling::error(OpenError::BadRequest.into()),
    }
}

/// What the App's HTTP service read.
fn asked(request: &HttpRequest) -> Asked<'_> {
    Asked {
        method: request.method(),
        uri: request.uri(),
        version: request.version(),
        headers: request.headers(),
        peer: request.peer_addr(),
    }
}

/// Finished frames, as a response body.
#[derive(Debug)]
struct Body(Receiver);

impl MessageBody for Body {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Infallible>>> {
        self.0.poll_next(cx).map(|next| next.map(Ok))
    }
}
