//! Reading: from the socket to messages, without a buffer of its own while nothing is unfinished.

use std::task::{Context, Poll};

use bytes::BytesMut;

use wire::ws::Message;

use super::{Connection, Ending, effect::Input, timers::Timer};

/// Reads in one go, before the other connections of the thread have their turn.
pub(super) const READS: usize = 4;

impl Connection {
    /// Reads and decodes what came.
    pub(super) fn receive(&mut self, cx: &mut Context<'_>) {
        for _ in 0..READS {
            if self.ending == Ending::Done {
                return;
            }
            let shard = std::rc::Rc::clone(&self.shard);
            // Through the thread's buffer: what arrives is copied once, into memory of its own size.
            let mut scratch = shard.scratch();
            match self.link.poll_read(cx, &mut scratch) {
                Poll::Pending => return,
                Poll::Ready(Ok(0)) => {
                    drop(scratch);
                    return self.end_of_input();
                }
                Poll::Ready(Ok(length)) => {
                    if self.ending != Ending::No && self.link.ends_by_halves() {
                        // Our last word is said; theirs are not heard.
                        continue;
                    }
                    self.hear();
                    self.partial.extend_from_slice(&scratch[..length]);
                    drop(scratch);
                    if self.ending == Ending::No {
                        self.decode();
                    } else if self.is_answered() {
                        self.ending = Ending::Done;
                    }
                }
                Poll::Ready(Err(error)) => {
                    drop(scratch);
                    return self.lost(&error);
                }
            }
        }
        cx.waker().wake_by_ref();
    }

    fn end_of_input(&mut self) {
        match self.ending {
            Ending::No => {
                self.step(Input::Lost);
                self.ending = Ending::Done;
            }
            // What we still have to say may be read; the linger timer bounds it.
            Ending::Saying { .. } if self.link.waiting() > 0 => {
                self.ending = Ending::Saying { answer: true };
            }
            Ending::Saying { .. } | Ending::Said | Ending::Done => self.ending = Ending::Done,
        }
    }

    /// Whether the peer answered our close frame. Of what else it says nothing is heard.
    fn is_answered(&mut self) -> bool {
        loop {
            match self.decoder.decode(&mut self.partial) {
                Ok(Some(Message::Close(_))) => return true,
                Ok(Some(_)) => {}
                Ok(None) => return false,
                Err(_) => {
                    self.partial = BytesMut::new();
                    return false;
                }
            }
        }
    }

    /// Decodes what is there, and watches over what is unfinished.
    pub(super) fn decode(&mut self) {
        let mut finished = false;
        while !self.protocol.is_over() {
            match self.decoder.decode(&mut self.partial) {
                Ok(Some(message)) => {
                    // Control frames may come inside a message, and finish nothing.
                    finished |= matches!(message, Message::Text(_) | Message::Binary(_));
                    self.step(Input::Message(message));
                }
                Ok(None) => break,
                Err(violation) => self.step(Input::Violation(violation)),
            }
        }
        self.watch_unfinished(finished);
    }

    /// Watches over what is unfinished. `finished` says whether a message was finished since the
    /// last time.
    pub(super) fn watch_unfinished(&mut self, finished: bool) {
        if self.protocol.is_over() {
            self.partial = BytesMut::new();
            return;
        }
        if self.partial.is_empty() {
            // An idle connection holds no memory for reading.
            self.partial = BytesMut::new();
        }
        let unfinished =
            self.decoder.is_mid_message(&self.partial) || self.protocol.is_mid_packet();
        let watched = self.link.timers.borrow().is_set(Timer::Fragment);
        match self.shard.shared.rules.bounds.fragment_timeout {
            // A message that was finished in between starts the clock anew.
            Some(timeout) if unfinished && (finished || !watched) => {
                let at = self.shard.now().after(timeout);
                self.shard.set_timer(&self.link, Timer::Fragment, at);
            }
            _ if !unfinished && watched => self.link.timers.borrow_mut().clear(Timer::Fragment),
            _ => {}
        }
    }
}
