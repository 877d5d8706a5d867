//! The protocol of one connection as a pure state machine: `step(input) -> effects`.
//!
//! It knows no clock, socket or actor. Three things are kept apart, so that long-polling can share
//! them: the Engine.IO session (heartbeat, messages), the sockets (one per nsp), and the
//! confirmation, of which a connection has one for all its sockets ([`auth`](super::auth)).
//!
//! What the reference server of Socket.IO leaves open or closes silently is closed with a code of
//! the table in [`wire::close`].

use bytestring::ByteString;
use router_core::{Args, NodeAddress, RouteError, TenantId, code, socket::DisconnectReason};
use wire::{
    CloseCode, CloseReason, engine,
    socketio::{self, Assembler, Kind, Nsp, Outgoing, Packet},
    ws,
};

use super::{
    auth::{self, Confirmation, Failure, Identity},
    bucket::{Bucket, Rate},
    effect::{Effect, Input, SocketKey},
    frames,
    timers::Timer,
};
use crate::{
    bounds::Bounds,
    clock::Moment,
    nsps::{Auth, Nsps},
};

/// What all connections of a service share.
#[derive(Debug)]
pub(crate) struct Rules {
    pub(crate) bounds: Bounds,
    pub(crate) nsps: Nsps,
    /// The node, for the addresses of its sockets.
    pub(crate) node: NodeAddress,
    /// Makes a random id for a new socket; `None` when the system has no randomness.
    pub(crate) new_tid: fn() -> Option<TenantId>,
}

/// The state of one connection.
#[derive(Debug)]
pub(crate) struct Protocol {
    phase: Phase,
    /// Whether a ping was sent that is not answered yet.
    pinged: bool,
    /// Whether the clock of confirmation runs.
    awaiting: bool,
    confirmation: Confirmation,
    members: Vec<Member>,
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
    /// Its events run.
    Admitted(Bucket),
}

impl Stage {
    fn is_admitted(&self) -> bool {
        matches!(self, Self::Admitted(_))
    }
}

/// The acknowledgement id of `whisk.auth.request`, the one event of ours that asks for one.
const REQUEST_ID: u64 = 0;

/// Effects in the making: one call's, to be done in order.
type Out = Vec<Effect>;

impl Protocol {
    /// A connection that is about to open.
    pub(crate) fn new(rules: &Rules) -> Self {
        Self {
            phase: Phase::Open,
            pinged: false,
            awaiting: false,
            confirmation: Confirmation::None,
            members: Vec::new(),
            next_key: 0,
            assembler: Assembler::new(rules.bounds.assembled),
        }
    }

    /// Whether nothing that comes is heard any more.
    pub(crate) fn is_over(&self) -> bool {
        self.phase == Phase::Over
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
        match input {
            Input::Opened => {
                out.push(Effect::Set(Timer::Heartbeat, rules.bounds.ping_interval));
                self.await_confirmation(rules, out);
            }
            Input::Message(message) => self.message(rules, now, message, out),
            Input::Violation(violation) => {
                self.refuse(violation.close_code(), violation.name(), out);
            }
            Input::Timer(timer) => self.timer(rules, timer, out),
            Input::Confirmed(Ok(confirmed)) => {
                let identity =
                    Identity { sid: confirmed.sid, user_id: confirmed.user_id };
                self.admit_waiting(rules, &identity, &confirmed.resume, out);
                self.confirmation = Confirmation::Done(identity);
            }
            Input::Confirmed(Err(error)) => {
                self.confirmation = Confirmation::None;
                self.fail(Failure::of(&error), |stage| !matches!(stage, Stage::Asked { .. }), out);
            }
            Input::Finished { key, id, result } => self.finished(key, id, result, out),
            Input::Disconnect { key, reason } => self.disconnect(rules, key, reason, out),
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
            ws::Message::Text(text) => self.text(rules, now, &text, out),
            ws::Message::Binary(bytes) => match self.assembler.attachment(bytes) {
                Ok(Some((packet, attachments))) => {
                    self.packet(rules, now, packet, attachments, out);
                }
                Ok(None) => {}
                Err(error) => self.refuse(error.close_code(), "attachment", out),
            },
            ws::Message::Ping(payload) => out.push(Effect::Send(ws::encode::pong(&payload))),
            ws::Message::Pong(_) => {}
            ws::Message::Close(said) => {
                let code = said.map_or(CloseCode::NORMAL, |(code, _)| code);
                self.leave_all(&DisconnectReason::Client, out);
                self.phase = Phase::Over;
                out.push(Effect::Close { code, reason: CloseReason::default(), answer: true });
            }
        }
    }

    fn text(&mut self, rules: &Rules, now: Moment, text: &ByteString, out: &mut Out) {
        match engine::Packet::decode(text) {
            Ok(engine::Packet::Message(text)) => self.engine_message(rules, now, &text, out),
            Ok(engine::Packet::Pong(_)) => {
                self.pinged = false;
                out.push(Effect::Set(Timer::Heartbeat, rules.bounds.ping_interval));
            }
            Ok(engine::Packet::Close) => {
                self.leave_all(&DisconnectReason::Client, out);
                self.end(CloseCode::NORMAL, "", out);
            }
            // In revision 4 only the server pings, and only it opens.
            Ok(engine::Packet::Ping(_) | engine::Packet::Open(_)) => {
                self.refuse(CloseCode::PROTOCOL_ERROR, "engine_packet", out);
            }
            // They mean something only while a session changes its transport.
            Ok(engine::Packet::Upgrade | engine::Packet::Noop | engine::Packet::Binary(_)) => {}
            Err(_) => self.refuse(CloseCode::PROTOCOL_ERROR, "engine_packet", out),
        }
    }

    fn engine_message(&mut self, rules: &Rules, now: Moment, text: &ByteString, out: &mut Out) {
        match socketio::decode(text, &rules.bounds.packets) {
            Ok(packet) => match self.assembler.packet(packet, text.len()) {
                Ok(Some(packet)) => self.packet(rules, now, packet, Vec::new(), out),
                Ok(None) => {}
                Err(error) => self.refuse(error.close_code(), "attachment", out),
            },
            Err(error) => self.refuse(error.close_code(), error.name(), out),
        }
    }

    fn timer(&mut self, rules: &Rules, timer: Timer, out: &mut Out) {
        match timer {
            Timer::Heartbeat if self.pinged => {
                self.close(CloseCode::PING_TIMEOUT, "", DisconnectReason::PingTimeout, out);
            }
            Timer::Heartbeat => {
                self.pinged = true;
                out.push(Effect::Send(engine::frames::PING));
                out.push(Effect::Set(Timer::Heartbeat, rules.bounds.ping_timeout));
            }
            Timer::Confirm => {
                out.push(Effect::Limit("confirm_timeout"));
                self.awaiting = false;
                self.fail(Failure::TIMEOUT, |_| true, out);
            }
            Timer::Fragment => {
                out.push(Effect::Limit("fragment_timeout"));
                self.refuse(CloseCode::FRAGMENT_TIMEOUT, "fragment_timeout", out);
            }
            Timer::Drain => self.close(CloseCode::RESTART, "", DisconnectReason::Drain, out),
            // The shell's own.
            Timer::Stall | Timer::Linger | Timer::Reconnect => {}
        }
    }

    // -- the sockets

    fn packet(
        &mut self,
        rules: &Rules,
        now: Moment,
        packet: Packet,
        attachments: Vec<bytes::Bytes>,
        out: &mut Out,
    ) {
        let at = self.members.iter().position(|member| member.nsp == packet.nsp);
        match (packet.kind, at) {
            (Kind::Connect { auth }, None) => {
                self.connect(rules, packet.nsp, auth.as_deref(), out);
            }
            (Kind::Event { id, name, args }, Some(at)) => {
                let args = Args::from_checked_json(args, attachments);
                self.event(rules, now, at, id, name, args, out);
            }
            (Kind::Ack { id, args }, Some(at)) => self.ack(at, id, &args, out),
            (Kind::Disconnect, Some(at)) => {
                let member = self.members.remove(at);
                if member.stage.is_admitted() {
                    let (key, reason) = (member.key, DisconnectReason::Client);
                    out.push(Effect::Leave { key, reason });
                }
                self.await_confirmation(rules, out);
            }
            // A socket that left may still have words of the client on their way to it.
            (Kind::Ack { .. } | Kind::Disconnect, None) => {}
            (Kind::Connect { .. } | Kind::ConnectError { .. }, _) | (Kind::Event { .. }, None) => {
                self.refuse(CloseCode::PROTOCOL_ERROR, "packet_order", out);
            }
        }
    }

    fn connect(&mut self, rules: &Rules, nsp: Nsp, shown: Option<&str>, out: &mut Out) {
        let Some(auth) = rules.nsps.auth(&nsp) else {
            // The reference server's own words.
            let error = r#"{"message":"Invalid namespace"}"#;
            out.push(Effect::Send(Outgoing::connect_error(&nsp, error).to_frame()));
            return;
        };
        if self.members.len() >= rules.bounds.nsps {
            out.push(Effect::Limit("nsps_per_connection"));
            let error = socketio::connect_error_json("Too many namespaces.", "too_many_nsps");
            out.push(Effect::Send(Outgoing::connect_error(&nsp, &error).to_frame()));
            return;
        }
        let Some(tid) = (rules.new_tid)() else {
            self.close(CloseCode::INTERNAL, "", DisconnectReason::Server, out);
            return;
        };
        let key = self.next_key;
        self.next_key = self.next_key.wrapping_add(1);
        let mut member = Member { key, nsp, tid, stage: Stage::Shown { early: 0 } };
        match (auth, &self.confirmation) {
            (Auth::Open, _) => member.admit(rules, None, None, out),
            (Auth::SessionSync, Confirmation::Done(identity)) => {
                member.admit(rules, Some(identity), None, out);
            }
            (Auth::SessionSync, Confirmation::Running) => {}
            (Auth::SessionSync, Confirmation::None) => match shown.and_then(auth::credential) {
                Some(credential) => {
                    self.confirmation = Confirmation::Running;
                    out.push(Effect::Confirm(credential));
                }
                None => {
                    out.push(Effect::Send(member.connected()));
                    let request = Outgoing::event(&member.nsp, Some(REQUEST_ID), auth::REQUEST, "{}");
                    out.push(Effect::Send(request.to_frame()));
                    member.stage = Stage::Asked { early: 0 };
                }
            },
        }
        self.members.push(member);
        self.await_confirmation(rules, out);
    }

    /// The clock of confirmation runs while a socket is unconfirmed, and while there is none: a
    /// transport alone is worth nothing. Nothing that a client does winds it up again.
    fn await_confirmation(&mut self, rules: &Rules, out: &mut Out) {
        let awaiting = self.members.is_empty()
            || self.members.iter().any(|member| !member.stage.is_admitted());
        match rules.bounds.confirm_timeout {
            Some(timeout) if awaiting && !self.awaiting => {
                out.push(Effect::Set(Timer::Confirm, timeout));
            }
            Some(_) if !awaiting && self.awaiting => out.push(Effect::Clear(Timer::Confirm)),
            _ => {}
        }
        self.awaiting = awaiting;
    }

    #[allow(clippy::too_many_arguments, reason = "the parts of one packet")]
    fn event(
        &mut self,
        rules: &Rules,
        now: Moment,
        at: usize,
        id: Option<u64>,
        name: ByteString,
        args: Args,
        out: &mut Out,
    ) {
        let draining = self.phase == Phase::Draining;
        let member = &mut self.members[at];
        match &mut member.stage {
            Stage::Admitted(_) if draining => {
                member.answer(id, &RouteError::unavailable(), out);
            }
            Stage::Admitted(bucket) => match bucket.take(rules.bounds.emits_per_second, now) {
                Rate::Pass => out.push(Effect::Event { key: member.key, id, name, args }),
                Rate::Wait { retry_after_ms } => {
                    out.push(Effect::Limit("emits_per_second"));
                    let error = RouteError::new(code::RATE_LIMITED, "Too many events.")
                        .with("retry_after_ms", retry_after_ms);
                    member.answer(id, &error, out);
                }
                Rate::Abuse => self.refuse(CloseCode::RATE_LIMITED, "rate_limited", out),
            },
            Stage::Shown { early } | Stage::Asked { early } | Stage::Answered { early } => {
                *early += 1;
                if *early > rules.bounds.unconfirmed_events {
                    out.push(Effect::Limit("unconfirmed_events"));
                    self.refuse(CloseCode::TOO_MANY_UNCONFIRMED, "too_many_unconfirmed", out);
                    return;
                }
                let error = RouteError::new(code::NOT_CONFIRMED, "Not confirmed yet.");
                member.answer(id, &error, out);
            }
        }
    }

    fn ack(&mut self, at: usize, id: u64, args: &ByteString, out: &mut Out) {
        let member = &mut self.members[at];
        let Stage::Asked { early } = member.stage else { return };
        if id != REQUEST_ID {
            return;
        }
        member.stage = Stage::Answered { early };
        if matches!(self.confirmation, Confirmation::None) {
            self.confirmation = Confirmation::Running;
            out.push(Effect::Confirm(auth::answered(args)));
        }
    }

    fn finished(
        &self,
        key: SocketKey,
        id: Option<u64>,
        result: Result<Args, RouteError>,
        out: &mut Out,
    ) {
        let member = self.members.iter().find(|member| member.key == key);
        let (Some(member), Some(id)) = (member, id) else { return };
        let args = result.unwrap_or_else(|error| error.to_args());
        out.push(Effect::Send(frames::ack(&member.nsp, id, &args)));
    }

    fn disconnect(
        &mut self,
        rules: &Rules,
        key: SocketKey,
        reason: DisconnectReason,
        out: &mut Out,
    ) {
        let Some(at) = self.members.iter().position(|member| member.key == key) else { return };
        let member = self.members.remove(at);
        let code = match reason {
            DisconnectReason::SessionEnded => CloseCode::SESSION_ENDED,
            _ => CloseCode::BOOTED,
        };
        out.push(Effect::Send(Outgoing::disconnect(&member.nsp).to_frame()));
        if reason == DisconnectReason::SessionEnded {
            // What the connection proved once is worth nothing any more.
            self.confirmation = Confirmation::None;
        }
        if member.stage.is_admitted() {
            out.push(Effect::Leave { key, reason });
        }
        if self.members.is_empty() {
            self.end(code, "", out);
        } else {
            self.await_confirmation(rules, out);
        }
    }

    fn drain(&mut self, after_ms: u64, busy: bool, within: std::time::Duration, out: &mut Out) {
        let args = format!(r#"{{"after_ms":{after_ms}}}"#);
        for member in self.members.iter().filter(|member| member.stage.is_admitted()) {
            let frame = Outgoing::event(&member.nsp, None, "whisk.reconnect", &args).to_frame();
            out.push(Effect::Send(frame));
        }
        if busy {
            self.phase = Phase::Draining;
            out.push(Effect::Set(Timer::Drain, within));
        } else {
            self.close(CloseCode::RESTART, "", DisconnectReason::Drain, out);
        }
    }

    // -- the confirmation

    /// A confirmation serves every socket that waits for one, also those not answered yet.
    fn admit_waiting(&mut self, rules: &Rules, identity: &Identity, resume: &str, out: &mut Out) {
        for member in self.members.iter_mut().filter(|member| !member.stage.is_admitted()) {
            member.admit(rules, Some(identity), Some(resume), out);
        }
        self.await_confirmation(rules, out);
    }

    /// Tells the sockets that waited that they are not confirmed. A connection that has no other
    /// is closed.
    fn fail(&mut self, failure: Failure, whom: impl Fn(&Stage) -> bool, out: &mut Out) {
        let error = socketio::connect_error_json(failure.message, failure.code);
        let stays = self.members.iter().any(|member| member.stage.is_admitted());
        self.members.retain(|member| {
            let frame = match &member.stage {
                Stage::Admitted(_) => return true,
                stage if !whom(stage) => return true,
                Stage::Shown { .. } => {
                    out.push(Effect::Send(Outgoing::connect_error(&member.nsp, &error).to_frame()));
                    return false;
                }
                Stage::Asked { .. } | Stage::Answered { .. } => {
                    frames::event(&member.nsp, auth::ERROR, &failure.to_args())
                }
            };
            out.push(Effect::Send(frame));
            if stays {
                out.push(Effect::Send(Outgoing::disconnect(&member.nsp).to_frame()));
            }
            !stays
        });
        out.push(Effect::NotConfirmed(failure.code));
        if !stays {
            self.close(failure.close, failure.code, DisconnectReason::Refused(failure.code), out);
        }
    }

    // -- the end

    /// The peer broke the protocol or a bound.
    fn refuse(&mut self, code: CloseCode, why: &'static str, out: &mut Out) {
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
                if !matches!(member.stage, Stage::Shown { .. }) {
                    out.push(Effect::Send(Outgoing::disconnect(&member.nsp).to_frame()));
                }
            }
        }
        self.leave_all(&reason, out);
        self.end(code, why, out);
    }

    fn end(&mut self, code: CloseCode, why: &'static str, out: &mut Out) {
        self.phase = Phase::Over;
        out.push(Effect::Close { code, reason: CloseReason::from(why), answer: false });
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

impl Member {
    fn connected(&self) -> bytes::Bytes {
        Outgoing::connect(&self.nsp, self.tid.as_str()).to_frame()
    }

    /// Answers the CONNECT if that is still owed, says who the client is, and lets it in.
    fn admit(
        &mut self,
        rules: &Rules,
        identity: Option<&Identity>,
        resume: Option<&str>,
        out: &mut Out,
    ) {
        if matches!(self.stage, Stage::Shown { .. }) {
            out.push(Effect::Send(self.connected()));
        }
        self.stage = Stage::Admitted(Bucket::default());
        if let Some(identity) = identity {
            let address = rules.node.tenant(self.tid.clone());
            let args = auth::accept(&identity.user_id, &address, resume);
            out.push(Effect::Send(frames::event(&self.nsp, auth::ACCEPT, &args)));
        }
        out.push(Effect::Admit {
            key: self.key,
            nsp: self.nsp.clone(),
            tid: self.tid.clone(),
            identity: identity.cloned(),
        });
    }

    fn answer(&self, id: Option<u64>, error: &RouteError, out: &mut Out) {
        if let Some(id) = id {
            out.push(Effect::Send(frames::ack(&self.nsp, id, &error.to_args())));
        }
    }
}

#[cfg(test)]
#[path = "protocol_tests.rs"]
mod tests;
