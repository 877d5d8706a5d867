//! A connection by long-polling, and its move to a WebSocket.
//!
//! Nothing is lost, doubled or reordered by the move: what waits stays in the one outbox of the
//! connection, and leaves either with a request that is answered before the move, or on the
//! WebSocket after it. The client waits for its last request to be over before it moves.

use std::{rc::Rc, task::Context, time::Duration};

use bytes::{Bytes, BytesMut};
use wire::{
    CloseCode, CloseReason,
    engine::{
        self, OpenError,
        payload::{self, PayloadLimits},
    },
    ws,
};

use super::{
    Connection, Ending, Guest, LINGER,
    effect::Input,
    link::Notice,
    outbox::Class,
    polling::{Polling, Reply},
    probe::{Candidate, Verdict},
    stream::Stream,
    timers::Timer,
};
use crate::shard::{Shard, message::Body};

/// How often a request that waits is let go while a WebSocket is on probation.
const RELEASE: Duration = Duration::from_millis(100);

/// The answer to a body that was taken.
const TAKEN: Bytes = Bytes::from_static(b"ok");

impl Connection {
    /// Begins a session without a socket of its own. Returns the body that opens it; `None` when
    /// the system has no randomness.
    pub(crate) fn start_polling(shard: &Rc<Shard>, guest: Guest) -> Option<String> {
        let sid = shard.new_sid()?;
        let open = super::open_json(&shard.shared, &sid, &["websocket"]);
        shard.read_clock();
        let mut connection =
            Self::new(shard, Stream::Polling(Polling::default()), BytesMut::new(), guest);
        connection.sid = Some(Box::new(sid));
        shard.add_session(&sid, &connection.link);
        connection.start_actor();
        Some(["0", &open].concat())
    }

    /// A request asks for what waits.
    pub(super) fn polled(&mut self, reply: Reply, cx: &mut Context<'_>) {
        self.be_punctual();
        self.hear();
        // A client that moved just now is not polling any more.
        self.probe(cx);
        let has_last_words =
            matches!(self.ending, Ending::Saying { .. }) && self.link.waiting() > 0;
        if self.ending != Ending::No && !has_last_words {
            return answer(reply, Err(OpenError::UnknownSession));
        }
        if !self.link.is_polling() {
            return answer(reply, Err(OpenError::BadRequest));
        }
        match self.link.polling(|polling| polling.begin(reply)) {
            None => {}
            Some(Ok(())) => self.link.dirty.set(true),
            Some(Err(second)) => {
                answer(second, Err(OpenError::BadRequest));
                self.step(Input::Overlap);
            }
        }
    }

    /// A request brings packets.
    pub(super) fn posted(&mut self, body: Body, reply: Reply) {
        self.be_punctual();
        self.hear();
        // What crosses a goodbye is not looked at, as on a WebSocket. An error would have the client
        // come back before it reads a DISCONNECT that tells it not to.
        match self.ending {
            Ending::No => {}
            Ending::Saying { .. } => return answer(reply, Ok(TAKEN)),
            Ending::Said | Ending::Done => return answer(reply, Err(OpenError::UnknownSession)),
        }
        if !self.link.is_polling() {
            return answer(reply, Err(OpenError::BadRequest));
        }
        let limits = PayloadLimits {
            max_payload: self.shard.shared.rules.bounds.frames.max_payload,
            ..PayloadLimits::default()
        };
        let input = match body {
            Body::Whole(body) => match payload::decode_body(body, &limits) {
                Ok(packets) => return self.take_packets(packets, reply),
                Err(_) => Input::Malformed,
            },
            Body::Unread => Input::Malformed,
            Body::TooLarge => Input::TooLarge,
        };
        self.step(input);
        self.refuse(reply);
    }

    fn take_packets(&mut self, packets: Vec<engine::Packet>, reply: Reply) {
        let mut said_goodbye = false;
        for packet in packets {
            if self.protocol.is_over() {
                break;
            }
            if packet == engine::Packet::Close {
                said_goodbye = true;
                self.link.polling(Polling::say_goodbye);
            }
            self.step(Input::Packet(packet));
        }
        self.watch_unfinished(true);
        if said_goodbye || !self.protocol.is_over() {
            answer(reply, Ok(TAKEN));
        } else {
            self.refuse(reply);
        }
    }

    /// What is due is done before a request is looked at: the wheel may be a little late.
    fn be_punctual(&mut self) {
        let now = self.shard.now();
        loop {
            let expired = self.link.timers.borrow_mut().expired(now);
            let Some((timer, due)) = expired else { return };
            self.notice_timer(timer, due);
        }
    }

    /// Whether the request that waits was given up by its client: then the transport is broken.
    pub(super) fn look_for_cancellation(&mut self, cx: &mut Context<'_>) {
        if self.link.polling(|polling| polling.is_cancelled(cx)) == Some(true) {
            self.lost(&std::io::ErrorKind::ConnectionAborted.into());
        }
    }

    // -- the move

    /// A WebSocket comes on probation.
    pub(super) fn try_candidate(&mut self, candidate: Box<Candidate>) {
        if self.ending != Ending::No {
            return;
        }
        self.candidate = Some(candidate);
        self.set_release();
    }

    fn set_release(&self) {
        let at = self.shard.now().after(RELEASE);
        self.shard.set_timer(&self.link, Timer::Upgrade, at);
    }

    /// Lets a waiting request go, unless there is something for it.
    pub(super) fn release(&mut self) {
        let Some(candidate) = &self.candidate else { return };
        if candidate.until <= self.shard.now() {
            return self.drop_candidate();
        }
        if candidate.probed && self.link.waiting() == 0 {
            self.link.polling(Polling::release);
        }
        self.set_release();
    }

    fn drop_candidate(&mut self) {
        self.candidate = None;
        self.link.upgrading.set(false);
        self.link.timers.borrow_mut().clear(Timer::Upgrade);
    }

    /// Goes on with the WebSocket on probation, if there is one.
    pub(super) fn probe(&mut self, cx: &mut Context<'_>) {
        let Some(candidate) = &mut self.candidate else { return };
        let shard = Rc::clone(&self.shard);
        let was_probed = candidate.probed;
        let bounds = &shard.shared.rules.bounds;
        let verdict = candidate.drive(cx, &mut shard.scratch(), bounds, shard.now());
        let is_probed = candidate.probed;
        match verdict {
            Verdict::Tried if is_probed && !was_probed => self.release(),
            Verdict::Tried => {}
            Verdict::Over => self.drop_candidate(),
            Verdict::Moves => self.move_over(),
        }
    }

    fn move_over(&mut self) {
        let Some(candidate) = self.candidate.take() else { return };
        self.drop_candidate();
        // There is none, unless the client moves in haste.
        self.link.polling(Polling::release);
        let Candidate { stream, outbox, decoder, partial, farewell, .. } = *candidate;
        let more = self.link.move_to(stream, outbox, self.shard.now());
        self.shard.count_waiting(more);
        self.link.blocked.set(false);
        self.link.dirty.set(true);
        self.link.timers.borrow_mut().clear(Timer::Stall);
        (self.decoder, self.partial) = (decoder, partial);
        match farewell {
            None => self.decode(),
            Some(frame) => {
                self.shard.send(&self.link, &frame, Class::Farewell);
                self.ending = Ending::Saying { answer: false };
            }
        }
    }

    // -- the end

    /// Says goodbye to a polling session, in the answer to a request that may be on its way still.
    /// Returns whether it is over at once: nobody was heard for too long.
    pub(super) fn say_close_by_polling(&mut self, code: CloseCode, reason: &CloseReason) -> bool {
        let by_client = self.link.polling(|polling| polling.said_goodbye()) == Some(true);
        if code == CloseCode::PING_TIMEOUT && !by_client && !self.is_asked() {
            return true;
        }
        // A client that is about to move asks no more, and official ones hang if their WebSocket
        // goes before they did: so it still may, and hears the rest there.
        if let Some(candidate) = &mut self.candidate {
            candidate.farewell = Some(ws::encode::close(code, reason));
        }
        // A client that goes has its waiting request let go; it may come after its goodbye.
        let frame = if by_client { engine::frames::NOOP } else { engine::frames::CLOSE };
        self.shard.send(&self.link, &frame, Class::Farewell);
        self.link.closed.set(true);
        let at = self.shard.now().after(LINGER);
        self.shard.set_timer(&self.link, Timer::Linger, at);
        self.ending = Ending::Saying { answer: true };
        false
    }

    /// Whether a request waits.
    fn is_asked(&self) -> bool {
        self.link.polling(|polling| polling.is_waiting()) == Some(true)
    }

    /// The body that ended the session is answered with an error, which tells the client as much as
    /// a close does: only a DISCONNECT is worth waiting for another request.
    fn refuse(&mut self, reply: Reply) {
        answer(reply, Err(OpenError::BadRequest));
        if !self.is_asked() && self.link.waiting() <= engine::frames::CLOSE.len() {
            self.link.abort();
            self.ending = Ending::Done;
        }
    }

    /// Does what a request or a WebSocket on probation brought.
    pub(super) fn notice_request(&mut self, notice: Notice, cx: &mut Context<'_>) {
        match notice {
            Notice::Poll(reply) => self.polled(reply, cx),
            Notice::Post(body, reply) => self.posted(body, reply),
            Notice::Candidate(candidate) => self.try_candidate(candidate),
            _ => {}
        }
    }
}

fn answer(reply: Reply, answer: Result<Bytes, OpenError>) {
    // A client that is gone hears nothing.
    let _heard = reply.send(answer);
}
