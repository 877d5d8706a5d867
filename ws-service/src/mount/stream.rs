//! A WebSocket in somebody's App, as what is under a connection: bytes come as the payload of the
//! request that asked for it, and go as the body of the answer.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use actix_web::web::Payload;
use bytes::{Buf as _, Bytes};
use futures_util::Stream as _;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::oneshot,
};

use super::pipe::{Receiver, Sender, pipe};
use crate::{
    clock::Moment,
    connection::{outbox::Outbox, stream::Wrote},
    respond::Answer,
};

/// Bytes that wait for the thread of a session when its WebSocket came to another.
const CROSSING: usize = 64 * 1024;

/// What a request is answered with: the upgrade, or why there is none.
pub(super) type Verdict = Result<(), Answer>;

/// The bytes of one WebSocket, both ways.
#[derive(Debug)]
pub(crate) struct Mounted {
    incoming: Incoming,
    /// What came and is not read.
    rest: Bytes,
    outgoing: Sender,
    /// Where its request still waits to be answered.
    verdict: Option<oneshot::Sender<Verdict>>,
}

/// Where bytes come from.
enum Incoming {
    /// The HTTP service of this thread.
    Payload(Payload),
    /// That of another thread.
    Crossing(Receiver),
}

impl std::fmt::Debug for Incoming {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Payload(_) => "Payload",
            Self::Crossing(_) => "Crossing",
        })
    }
}

/// The same between two threads.
#[derive(Debug)]
pub(crate) struct Abroad {
    incoming: Receiver,
    outgoing: Sender,
    verdict: Option<oneshot::Sender<Verdict>>,
}

impl Mounted {
    /// Bytes come with `payload` and go into `outgoing`. `verdict` waits to hear whether the request
    /// is granted.
    pub(super) fn new(
        payload: Payload,
        outgoing: Sender,
        verdict: Option<oneshot::Sender<Verdict>>,
    ) -> Self {
        Self { incoming: Incoming::Payload(payload), rest: Bytes::new(), outgoing, verdict }
    }

    /// Answers the request, if it waits.
    pub(crate) fn answer(&mut self, verdict: Verdict) {
        if let Some(waiting) = self.verdict.take() {
            // A client that is gone hears nothing.
            let _heard = waiting.send(verdict);
        }
    }

    /// Writes as much of `outbox` as there is room for. The frames themselves travel; none is
    /// copied.
    pub(crate) fn write(
        &self,
        cx: &mut Context<'_>,
        outbox: &mut Outbox,
        now: Moment,
    ) -> io::Result<Wrote> {
        let mut bytes = 0;
        while let Some(frame) = outbox.first() {
            match self.outgoing.poll_send(cx, &frame)? {
                Poll::Ready(taken) => {
                    bytes += taken;
                    outbox.advance(taken, now);
                }
                Poll::Pending => return Ok(Wrote { bytes, blocked: true }),
            }
        }
        Ok(Wrote { bytes, blocked: false })
    }

    /// Drops what waits, and ends the body. The HTTP service looks at that when its peer takes
    /// something again, or is gone.
    pub(crate) fn cut(&self) {
        self.outgoing.cut();
    }

    /// Leaves this thread. What comes is passed on from here.
    pub(crate) fn depart(self) -> Abroad {
        let Self { mut incoming, mut rest, outgoing, verdict } = self;
        let (onward, crossing) = pipe(CROSSING, None);
        actix_rt::spawn(async move {
            std::future::poll_fn(|cx| {
                loop {
                    if rest.is_empty() {
                        let Some(more) = ready!(incoming.poll_next(cx)) else {
                            return Poll::Ready(());
                        };
                        rest = more;
                    }
                    match ready!(onward.poll_send(cx, &rest)) {
                        Ok(taken) => rest.advance(taken),
                        Err(_) => return Poll::Ready(()),
                    }
                }
            })
            .await;
        });
        Abroad { incoming: crossing, outgoing, verdict }
    }
}

impl Abroad {
    /// Arrives on this thread.
    pub(crate) fn arrive(self) -> Mounted {
        let Self { incoming, outgoing, verdict } = self;
        Mounted { incoming: Incoming::Crossing(incoming), rest: Bytes::new(), outgoing, verdict }
    }
}

impl Incoming {
    /// What comes next; `None` at the end. How the peer went is nobody's business.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        match self {
            Self::Payload(payload) => {
                Pin::new(payload).poll_next(cx).map(|next| next.and_then(Result::ok))
            }
            Self::Crossing(crossing) => crossing.poll_next(cx),
        }
    }
}

impl AsyncRead for Mounted {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while this.rest.is_empty() {
            match ready!(this.incoming.poll_next(cx)) {
                Some(bytes) => this.rest = bytes,
                None => return Poll::Ready(Ok(())),
            }
        }
        let taken = this.rest.len().min(buffer.remaining());
        buffer.put_slice(&this.rest.split_to(taken));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Mounted {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.outgoing.poll_send(cx, &Bytes::copy_from_slice(bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.outgoing.finish();
        Poll::Ready(Ok(()))
    }
}
