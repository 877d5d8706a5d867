//! The protocol of one connection as a pure state machine: `step(input) -> effects`.
//!
//! It knows no clock, socket or actor. Three things are kept apart, so that long-polling can share
//! them: the Engine.IO session (here), the sockets, one per nsp (`sockets`), and the confirmation, of
//! which a connection has one for all its sockets (`confirmation`, [`auth`](super::auth)).
//!
//! What the reference server of Socket.IO leaves open or closes silently is closed with a code of
//! the table in [`wire::close`].

mod confirmation;
mod renewal;
mod sockets;

use std::time::Duration;

use bytestring::ByteString;
use router_core::{NodeAddress, TenantId, socket::DisconnectReason};
use wire::{
    CloseCode, CloseReason, engine,
    socketio::{self, Assembler, Nsp, Outgoing},
    ws,
};

use self::renewal::{Grant, Terms};
use super::{
    auth::{ClientSecret, Confirmation, Failure, Identity},
    bucket::{Bucket, Rate},
    effect::{Effect, Input, SocketKey},
    frames::Parser,
    timers::Timer,
};
use crate::{
    bounds::Bounds,
    clock::Moment,
    nsps::Nsps,
    raw::{EngineMessage, Panicked, RawHandler},
};

/// What all connections of a service share.
#[derive(Debug)]
pub(crate) struct Rules {
    pub(crate) bounds: Bounds,
    pub(crate) nsps: Nsps,
    /// The node, for the addresses of its sockets.
    pub(crate) node: NodeAddress,
    pub(crate) parser: Parser,
    /// Makes a random id for a new socket; `None` when the system has no randomness.
    pub(crate) new_tid: fn() -> Option<TenantId>,
    /// Where sessions are bare: no Socket.IO inside them.
    pub(crate) raw: Option<RawHandler>,
}

/// The state of one connection.
#[derive(Debug)]
pub(crate) struct Protocol {
    phase: Phase,
    /// Whether a ping was sent that is not answered yet.
    pinged: bool,
    /// How often the peer is pinged for the rosters that its sockets are on.
    pace: Option<Duration>,
    /// Whether the clock of confirmation runs.
    awaiting: bool,
    confirmation: Confirmation,
    terms: Terms,
    members: Vec<Member>,
    /// How fast sockets may be connected: each costs the session's store a write.
    connects: Bucket,
    /// How fast messages may come that are no event and no answer to ours.
    frames: Bucket,
    parser: Parser,
    next_key: SocketKey,
    assembler: Assembler,
}

/// How far the connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    /// Told to go; running handlers may finish.
    Draining,
    /// Nothing that comes is heard any more.
    Over,
}

/// One socket.
#[derive(Debug)]
struct Member {
    key: SocketKey,
    nsp: Nsp,
    tid: TenantId,
    stage: Stage,
    /// Whether guards are asked before it is admitted.
    guarded: bool,
    /// What its CONNECT carried; taken when it is admitted.
    auth: Option<ByteString>,
    /// The secret by which its client is the same when it comes back; taken likewise.
    client: Option<ClientSecret>,
}

/// How far a socket is.
#[derive(Debug)]
enum Stage {
    /// Its CONNECT waits for the confirmation. `early` counts the events that came before it.
    Shown { early: u64 },
    /// Its CONNECT is answered and its credential asked for.
    Asked { early: u64 },
    /// The answer waits for the confirmation.
    Answered { early: u64 },
    /// It is confirmed where that is needed, and its nsp's guards are asked.
    Guarded(Box<Guarded>),
    /// Its events run.
    Admitted(Rates),
}

/// How fast an admitted socket may go.
#[derive(Debug, Default)]
struct Rates {
    events: Bucket,
    /// Subscriptions to channels, which have a pace of their own.
    joins: Bucket,
}

/// A socket whose guards are asked.
#[derive(Debug)]
struct Guarded {
    early: u64,
    /// Whether its CONNECT is answered.
    answered: bool,
    /// What tells it that it is confirmed.
    accept: Option<bytes::Bytes>,
}

impl Stage {
    fn is_admitted(&self) -> bool {
        matches!(self, Self::Admitted(_))
    }

    /// Whether it waits for the confirmation.
    fn is_unconfirmed(&self) -> bool {
        matches!(self, Self::Shown { .. } | Self::Asked { .. } | Self::Answered { .. })
    }
}

/// Effects in the making: one call's, to be done in order.
type Out = Vec<Effect>;

impl Protocol {
    /// A connection that is about to open.
    pub(crate) fn new(rules: &Rules) -> Self {
        Self {
            phase: Phase::Open,
            pinged: false,
            pace: None,
            awaiting: false,
            confirmation: Confirmation::None,
            terms: Terms::default(),
            members: Vec::new(),
            connects: Bucket::default(),
            frames: Bucket::default(),
            parser: rules.parser,
            next_key: 0,
            assembler: Assembler::new(rules.bounds.assembled),
        }
    }

    /// Whether nothing that comes is heard any more.
    pub(crate) fn is_over(&self) -> bool {
        self.phase == Phase::Over
    }

    /// Whether it was told to go, and waits for handlers that run.
    pub(crate) fn is_draining(&self) -> bool {
        self.phase == Phase::Draining
    }

    /// Whether a packet still waits for its attachments.
    pub(crate) fn is_mid_packet(&self) -> bool {
        self.assembler.is_waiting()
    }

    /// Takes an input at `now` and appends what is to be done.
    pub(crate) fn step(&mut self, rules: &Rules, now: Moment, input: Input, out: &mut Out) {
        if self.is_over() {
            return;
        }
        self.take(rules, now, input, out);
        self.ask_around(rules, out);
    }

    fn take(&mut self, rules: &Rules, now: Moment, input: Input, out: &mut Out) {
        match input {
            Input::Opened { good_for } => {
                self.keep(rules, now, Grant::Admission, good_for, out);
                out.push(Effect::Set(Timer::Heartbeat, self.ping_interval(rules)));
                // A bare session has nobody to be confirmed.
                if rules.raw.is_none() {
                    self.await_confirmation(rules, out);
                }
            }
            Input::Message(message) => self.message(rules, now, message, out),
            Input::Packet(packet) => self.engine_packet(rules, now, packet, out),
            Input::Violation(violation) => {
                self.refuse(violation.close_code(), violation.name(), out);
            }
            Input::Malformed => self.refuse(CloseCode::PROTOCOL_ERROR, "engine_packet", out),
            Input::TooLarge => {
                out.push(Effect::Limit("max_payload"));
                self.refuse(CloseCode::TOO_LARGE, "max_payload", out);
            }
            Input::Overlap => self.refuse(CloseCode::TRANSPORT_RESET, "overlap", out),
            Input::Pace(pace) => {
                self.pace = pace;
                if !self.pinged {
                    // Not from now on: rosters that come and go would put it off for ever.
                    out.push(Effect::Hasten(Timer::Heartbeat, self.ping_interval(rules)));
                }
            }
            Input::Ping if self.pinged => {}
            Input::Ping => self.ping(rules, out),
            Input::Timer(timer) => self.timer(rules, now, timer, out),
            Input::Renewed(result) => self.renewed(rules, now, result, out),
            Input::Confirmed(Ok(confirmed)) => {
                self.keep(rules, now, Grant::Confirmation, confirmed.good_for, out);
                let identity = Identity { sid: confirmed.sid, user_id: confirmed.user_id };
                self.admit_waiting(rules, &identity, Some(&confirmed.resume), out);
                self.confirmation = Confirmation::Done(identity);
            }
            Input::Confirmed(Err(error)) => {
                self.confirmation = Confirmation::None;
                self.unconfirmed(Failure::of(&error), out);
            }
            Input::Readmitted(renewed) => self.readmitted(rules, now, renewed, out),
            Input::LookedAgain(outcome) => self.looked_again(rules, outcome, out),
            Input::Unasked => self.meter(rules, now, out),
            Input::Guarded { key, outcome } => self.guarded(rules, key, outcome, out),
            Input::Finished { key, id, result } => self.finished(key, id, result, out),
            Input::Disconnect { key, reason } => self.disconnect(rules, now, key, reason, out),
            Input::Drain { after_ms, busy, within } => self.drain(after_ms, busy, within, out),
            Input::Idle if self.phase == Phase::Draining => {
                self.close(CloseCode::RESTART, "", DisconnectReason::Drain, out);
            }
            Input::Idle => {}
            Input::Slow => self.abort(CloseCode::SLOW, &DisconnectReason::Slow, out),
            Input::Lost => {
                self.abort(CloseCode::ABNORMAL, &DisconnectReason::TransportClosed, out);
            }
        }
    }

    // -- the Engine.IO session

    fn message(&mut self, rules: &Rules, now: Moment, message: ws::Message, out: &mut Out) {
        match message {
            ws::Message::Text(text) => match engine::Packet::decode(&text) {
                Ok(packet) => self.engine_packet(rules, now, packet, out),
                Err(_) => self.refuse(CloseCode::PROTOCOL_ERROR, "engine_packet", out),
            },
            ws::Message::Binary(bytes) => self.binary(rules, now, bytes, out),
            ws::Message::Ping(payload) => {
                out.push(Effect::Send(ws::encode::pong(&payload)));
                self.meter(rules, now, out);
            }
            ws::Message::Pong(_) => self.meter(rules, now, out),
            ws::Message::Close(said) => {
                let code = said.map_or(CloseCode::NORMAL, |(code, _)| code);
                self.leave_all(&DisconnectReason::TransportClosed, out);
                self.phase = Phase::Over;
                out.push(Effect::Close { code, reason: CloseReason::default(), answer: true });
            }
        }
    }

    fn binary(&mut self, rules: &Rules, now: Moment, bytes: bytes::Bytes, out: &mut Out) {
        if let Some(raw) = &rules.raw {
            return self.raw(raw, EngineMessage::Binary(bytes), out);
        }
        if self.parser == Parser::Msgpack {
            let bounds = &rules.bounds;
            match socketio::msgpack::decode(&bytes, &bounds.packets, bounds.assembled) {
                Ok((packet, attachments)) => self.packet(rules, now, packet, attachments, out),
                Err(error) => self.refuse(error.close_code(), error.name(), out),
            }
            return;
        }
        match self.assembler.attachment(bytes) {
            Ok(Some((packet, attachments))) => self.packet(rules, now, packet, attachments, out),
            Ok(None) => {}
            Err(error) => self.refuse(error.close_code(), attachment(error.close_code()), out),
        }
    }

    fn engine_packet(&mut self, rules: &Rules, now: Moment, packet: engine::Packet, out: &mut Out) {
        match packet {
            engine::Packet::Message(text) => match &rules.raw {
                Some(raw) => self.raw(raw, EngineMessage::Text(text), out),
                None => self.engine_message(rules, now, &text, out),
            },
            engine::Packet::Binary(bytes) => self.binary(rules, now, bytes, out),
            engine::Packet::Pong(_) => {
                self.pinged = false;
                out.push(Effect::Set(Timer::Heartbeat, self.ping_interval(rules)));
                self.meter(rules, now, out);
            }
            engine::Packet::Close => {
                self.leave_all(&DisconnectReason::TransportClosed, out);
                self.end(CloseCode::NORMAL, "", out);
            }
            // In revision 4 only the server pings, and only it opens.
            engine::Packet::Ping(_) | engine::Packet::Open(_) => {
                self.refuse(CloseCode::PROTOCOL_ERROR, "engine_packet", out);
            }
            // They mean something only while a session changes its transport.
            engine::Packet::Upgrade | engine::Packet::Noop => self.meter(rules, now, out),
        }
    }

    /// Counts a message that no other bound counts: each costs work, and says nothing.
    fn meter(&mut self, rules: &Rules, now: Moment, out: &mut Out) {
        if self.frames.take(rules.bounds.frames_that_are_no_events, now) != Rate::Pass {
            out.push(Effect::Limit("frames_per_second"));
            self.refuse(CloseCode::RATE_LIMITED, "rate_limited", out);
        }
    }

    fn raw(&mut self, raw: &RawHandler, message: EngineMessage, out: &mut Out) {
        match raw.run(message) {
            Ok((frames, closes)) => {
                out.extend(frames.into_iter().map(Effect::Send));
                if closes {
                    self.end(CloseCode::NORMAL, "", out);
                }
            }
            Err(Panicked) => self.end(CloseCode::INTERNAL, "", out),
        }
    }

    fn engine_message(&mut self, rules: &Rules, now: Moment, text: &ByteString, out: &mut Out) {
        if self.parser == Parser::Msgpack {
            return self.refuse(CloseCode::INVALID_PAYLOAD, "text", out);
        }
        match socketio::decode(text, &rules.bounds.packets) {
            Ok(packet) => match self.assembler.packet(packet, text.len()) {
                Ok(Some(packet)) => self.packet(rules, now, packet, Vec::new(), out),
                Ok(None) => {}
                Err(error) => self.refuse(error.close_code(), attachment(error.close_code()), out),
            },
            Err(error) => self.refuse(error.close_code(), error.name(), out),
        }
    }

    fn timer(&mut self, rules: &Rules, now: Moment, timer: Timer, out: &mut Out) {
        match timer {
            Timer::Heartbeat if self.pinged => {
                self.close(CloseCode::PING_TIMEOUT, "", DisconnectReason::PingTimeout, out);
            }
            Timer::Heartbeat => self.ping(rules, out),
            Timer::Confirm => {
                out.push(Effect::Limit("confirm_timeout"));
                self.awaiting = false;
                self.fail(Failure::TIMEOUT, |_| true, out);
            }
            Timer::Fragment => {
                out.push(Effect::Limit("fragment_timeout"));
                self.refuse(CloseCode::FRAGMENT_TIMEOUT, "fragment_timeout", out);
            }
            Timer::Renewal => self.grant_due(rules, now, Grant::Confirmation, out),
            Timer::Admission => self.grant_due(rules, now, Grant::Admission, out),
            Timer::Drain => self.close(CloseCode::RESTART, "", DisconnectReason::Drain, out),
            // The shell's own.
            Timer::Stall | Timer::Linger | Timer::Reconnect | Timer::Upgrade | Timer::Silence => {}
        }
    }

    fn ping(&mut self, rules: &Rules, out: &mut Out) {
        self.pinged = true;
        out.push(Effect::Send(engine::frames::PING));
        out.push(Effect::Set(Timer::Heartbeat, rules.bounds.ping_timeout));
    }

    fn ping_interval(&self, rules: &Rules) -> Duration {
        let usual = rules.bounds.ping_interval;
        self.pace.map_or(usual, |pace| pace.min(usual))
    }

    // -- the end

    fn drain(&mut self, after_ms: u64, busy: bool, within: Duration, out: &mut Out) {
        let args = format!(r#"{{"after_ms":{after_ms}}}"#);
        for member in self.members.iter().filter(|member| member.stage.is_admitted()) {
            let packet = Outgoing::event(&member.nsp, None, "whisk.reconnect", &args);
            out.push(Effect::Send(self.parser.packet(packet)));
        }
        if busy {
            self.phase = Phase::Draining;
            out.push(Effect::Set(Timer::Drain, within));
        } else {
            self.close(CloseCode::RESTART, "", DisconnectReason::Drain, out);
        }
    }

    /// The peer broke the protocol or a bound.
    pub(super) fn refuse(&mut self, code: CloseCode, why: &'static str, out: &mut Out) {
        if let Some(limit) = limit_behind(why) {
            out.push(Effect::Limit(limit));
        }
        let name = code.name().unwrap_or(why);
        self.close(code, why, DisconnectReason::Refused(name), out);
    }

    fn close(
        &mut self,
        code: CloseCode,
        why: &'static str,
        reason: DisconnectReason,
        out: &mut Out,
    ) {
        if !code.comes_back() {
            // Official clients come back after any close, unless they were put out before it.
            for member in &self.members {
                if member.stage.is_answered() {
                    let packet = Outgoing::disconnect(&member.nsp);
                    out.push(Effect::Send(self.parser.packet(packet)));
                }
            }
        }
        self.leave_all(&reason, out);
        self.end(code, why, out);
    }

    fn end(&mut self, code: CloseCode, why: impl Into<CloseReason>, out: &mut Out) {
        self.phase = Phase::Over;
        out.push(Effect::Close { code, reason: why.into(), answer: false });
    }

    fn abort(&mut self, code: CloseCode, reason: &DisconnectReason, out: &mut Out) {
        self.leave_all(reason, out);
        self.phase = Phase::Over;
        out.push(Effect::Abort(code));
    }

    fn leave_all(&mut self, reason: &DisconnectReason, out: &mut Out) {
        for member in self.members.drain(..).filter(|member| member.stage.is_admitted()) {
            out.push(Effect::Leave { key: member.key, reason: reason.clone() });
        }
    }
}

/// The limit that a refusal of the codecs stands for, by its name in the configuration.
fn limit_behind(why: &str) -> Option<&'static str> {
    match why {
        "too_large" => Some("max_payload"),
        "too_many_fragments" => Some("max_fragments"),
        "too_deep" => Some("json_depth"),
        "too_many_attachments" => Some("max_attachments"),
        _ => None,
    }
}

/// Why an attachment was refused: for its size, or because it did not belong there.
fn attachment(code: CloseCode) -> &'static str {
    if code == CloseCode::TOO_LARGE { "too_large" } else { "attachment" }
}

#[cfg(test)]
mod tests;
