//! The way out of a polling session: what waits in its outbox leaves with the next request that
//! asks for it.

use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::sync::oneshot;
use wire::engine::{self, OpenError, payload};

use super::{outbox::Outbox, stream::Wrote};
use crate::clock::Moment;

/// The answer to a request of a polling session: a body, or the reference server's error.
pub(crate) type Reply = oneshot::Sender<Result<Bytes, OpenError>>;

/// Bytes of frames after which an answer takes no further one, so that a client which is behind
/// shows its progress by asking again.
const ANSWER: usize = 64 * 1024;

/// The body that lets a request go with nothing.
const NOOP: Bytes = Bytes::from_static(b"6");

/// The request that waits, if one does.
#[derive(Debug, Default)]
pub(crate) struct Polling {
    waiting: Option<Reply>,
    /// Whether the client said that it goes.
    goodbye: bool,
}

impl Polling {
    /// A request asks for what waits.
    ///
    /// # Errors
    /// Gives the request back while another waits: a client asks once at a time.
    pub(crate) fn begin(&mut self, reply: Reply) -> Result<(), Reply> {
        if self.waiting.is_some() {
            return Err(reply);
        }
        self.waiting = Some(reply);
        Ok(())
    }

    /// Whether a request waits.
    pub(crate) fn is_waiting(&self) -> bool {
        self.waiting.is_some()
    }

    /// The client goes.
    pub(crate) fn say_goodbye(&mut self) {
        self.goodbye = true;
    }

    /// Whether the client said that it goes.
    pub(crate) fn said_goodbye(&self) -> bool {
        self.goodbye
    }

    /// Lets a waiting request go with nothing.
    pub(crate) fn release(&mut self) {
        if let Some(reply) = self.waiting.take() {
            // Nothing is lost if nobody hears it.
            let _heard = reply.send(Ok(NOOP));
        }
    }

    /// Whether the waiting request was cancelled; if not, the context's waker is called when it is.
    pub(crate) fn is_cancelled(&mut self, cx: &mut Context<'_>) -> bool {
        match &mut self.waiting {
            Some(reply) => reply.poll_closed(cx) == Poll::Ready(()),
            None => false,
        }
    }

    /// Answers the waiting request with what comes first in `outbox`. Without one, or where its
    /// client is gone, everything stays.
    pub(crate) fn write(&mut self, outbox: &mut Outbox, now: Moment) -> Wrote {
        let nothing = Wrote { bytes: 0, blocked: !outbox.is_empty() };
        if outbox.is_empty() || self.waiting.as_ref().is_none_or(oneshot::Sender::is_closed) {
            return nothing;
        }
        let Some(reply) = self.waiting.take() else { return nothing };
        let (mut body, mut bytes) = (Vec::new(), 0);
        for frames in outbox.frames() {
            // The close comes alone: official clients do it before the packets that came with it, so
            // they would miss the DISCONNECT that tells them to stay away.
            let full = bytes + frames.len() > ANSWER || *frames == engine::frames::CLOSE;
            if bytes > 0 && full {
                break;
            }
            payload::append_frames(&mut body, frames);
            bytes += frames.len();
        }
        if reply.send(Ok(body.into())).is_err() {
            return nothing;
        }
        outbox.advance(bytes, now);
        Wrote { bytes, blocked: !outbox.is_empty() }
    }
}
