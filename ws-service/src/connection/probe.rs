//! A WebSocket that a polling session may move to (Engine.IO protocol, "Upgrade").
//!
//! The client tries it with `2probe` and is answered `3probe`; from then on its requests are let go
//! with `6`, and when the last one is over it sends `5`. Until then the session lives on polling,
//! and whatever goes wrong here ends the candidate alone.

use std::{
    io,
    task::{Context, Poll},
};

use bytes::{Bytes, BytesMut};
use wire::{
    engine::{self, frames},
    ws::{self, Message},
};

use super::{
    outbox::{Class, Outbox},
    receive::READS,
    stream::Stream,
};
use crate::{bounds::Bounds, clock::Moment};

/// A WebSocket on probation.
#[derive(Debug)]
pub(crate) struct Candidate {
    pub(crate) stream: Stream,
    pub(crate) outbox: Outbox,
    pub(crate) decoder: ws::Decoder,
    /// What came and is not decoded. After the move it belongs to the session.
    pub(crate) partial: BytesMut,
    /// Whether the client's probe was answered.
    pub(crate) probed: bool,
    /// When it is given up.
    pub(crate) until: Moment,
    /// What is said on it last, if the session ended and its client does not know yet.
    pub(crate) farewell: Option<Bytes>,
}

/// How far a candidate is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is being tried.
    Tried,
    /// The session moves to it now.
    Moves,
    /// It is of no use.
    Over,
}

impl Candidate {
    /// A candidate whose upgrade is answered with `response`, unless its host does; `early` came
    /// behind the request.
    pub(crate) fn new(
        stream: Stream,
        response: &Bytes,
        early: BytesMut,
        bounds: &Bounds,
        until: Moment,
    ) -> Self {
        let mut outbox = Outbox::default();
        if !response.is_empty() {
            outbox.push(response, Class::Farewell, bounds, until);
        }
        let decoder = ws::Decoder::new(bounds.frames);
        Self { stream, outbox, decoder, partial: early, probed: false, until, farewell: None }
    }

    /// Reads, answers, and says how far it is.
    pub(crate) fn drive(
        &mut self,
        cx: &mut Context<'_>,
        scratch: &mut [u8],
        bounds: &Bounds,
        now: Moment,
    ) -> Verdict {
        for _ in 0..READS {
            match self.decode(bounds, now) {
                Verdict::Tried => {}
                verdict => return verdict,
            }
            if self.write(cx, now).is_err() {
                return Verdict::Over;
            }
            match self.stream.poll_read(cx, scratch) {
                Poll::Pending => return Verdict::Tried,
                Poll::Ready(Ok(0) | Err(_)) => return Verdict::Over,
                Poll::Ready(Ok(length)) => self.partial.extend_from_slice(&scratch[..length]),
            }
        }
        // Others come first.
        cx.waker().wake_by_ref();
        Verdict::Tried
    }

    fn write(&mut self, cx: &mut Context<'_>, now: Moment) -> io::Result<()> {
        self.stream.write(cx, &mut self.outbox, now).map(drop)
    }

    fn decode(&mut self, bounds: &Bounds, now: Moment) -> Verdict {
        loop {
            let message = match self.decoder.decode(&mut self.partial) {
                Ok(Some(message)) => message,
                Ok(None) => return Verdict::Tried,
                Err(_) => return Verdict::Over,
            };
            let answer = match &message {
                Message::Text(text) if &**text == "2probe" => {
                    self.probed = true;
                    frames::PONG_PROBE
                }
                Message::Text(text)
                    if engine::Packet::decode(text) == Ok(engine::Packet::Upgrade) =>
                {
                    return if self.probed { Verdict::Moves } else { Verdict::Over };
                }
                Message::Ping(payload) => ws::encode::pong(payload),
                Message::Pong(_) => continue,
                Message::Text(_) | Message::Binary(_) | Message::Close(_) => return Verdict::Over,
            };
            // A peer that asks and never reads is cut before its answers pile up.
            if self.outbox.bytes() > bounds.outbox_soft {
                return Verdict::Over;
            }
            self.outbox.push(&answer, Class::Farewell, bounds, now);
        }
    }
}
