//! The sockets of a connection: what their packets do.

use bytes::Bytes;
use bytestring::ByteString;
use router_core::{Args, RouteError, code, socket::DisconnectReason};
use wire::{
    CloseCode, CloseReason,
    socketio::{self, Kind, Nsp, Outgoing, Packet},
};

use super::{Grant, Member, Out, Phase, Protocol, Rates, Rules, Stage};
use crate::{
    clock::Moment,
    connection::{
        auth::{self, ClientSecret, Confirmation},
        bucket::Rate,
        effect::{Effect, SocketKey},
        frames::Parser,
    },
    nsps::{Admission, Auth},
};

impl Protocol {
    pub(super) fn packet(
        &mut self,
        rules: &Rules,
        now: Moment,
        packet: Packet,
        attachments: Vec<Bytes>,
        out: &mut Out,
    ) {
        let at = self.members.iter().position(|member| member.nsp == packet.nsp);
        match (packet.kind, at) {
            (Kind::Connect { auth }, None) => {
                if self.connects.take(rules.bounds.emits, now) != Rate::Pass {
                    out.push(Effect::Limit("emits_per_second"));
                    return self.refuse(CloseCode::RATE_LIMITED, "rate_limited", out);
                }
                self.connect(rules, packet.nsp, auth.as_deref(), out);
            }
            (Kind::Event { id, name, args }, Some(at)) => {
                let args = Args::from_checked_json(args, attachments);
                self.event(rules, now, at, id, name, args, out);
            }
            (Kind::Ack { id, args }, Some(at)) => {
                let args = Args::from_checked_json(args, attachments);
                self.ack(rules, now, at, id, args, out);
            }
            (Kind::Disconnect, Some(at)) => {
                let member = self.members.remove(at);
                if member.stage.is_admitted() {
                    let (key, reason) = (member.key, DisconnectReason::Client);
                    out.push(Effect::Leave { key, reason });
                }
                self.await_confirmation(rules, out);
            }
            // A socket that left may still have words of the client on their way to it.
            (Kind::Ack { .. } | Kind::Disconnect, None) => self.meter(rules, now, out),
            (Kind::Connect { .. } | Kind::ConnectError { .. }, _) | (Kind::Event { .. }, None) => {
                self.refuse(CloseCode::PROTOCOL_ERROR, "packet_order", out);
            }
        }
    }

    pub(super) fn connect(&mut self, rules: &Rules, nsp: Nsp, shown: Option<&str>, out: &mut Out) {
        let Some(Admission { auth, guarded }) = rules.nsps.admission(&nsp) else {
            // The reference server's own words.
            let error = r#"{"message":"Invalid namespace"}"#;
            out.push(Effect::Send(self.parser.packet(Outgoing::connect_error(&nsp, error))));
            return;
        };
        if self.members.len() >= rules.bounds.nsps {
            out.push(Effect::Limit("nsps_per_connection"));
            let error = socketio::connect_error_json("Too many namespaces.", "too_many_nsps");
            out.push(Effect::Send(self.parser.packet(Outgoing::connect_error(&nsp, &error))));
            return;
        }
        let Ok(client) = shown.map_or(Ok(None), ClientSecret::read) else {
            let error = socketio::connect_error_json(ClientSecret::RULE, "bad_client");
            out.push(Effect::Send(self.parser.packet(Outgoing::connect_error(&nsp, &error))));
            return;
        };
        let Some(tid) = (rules.new_tid)() else {
            self.close(CloseCode::INTERNAL, "", DisconnectReason::Server, out);
            return;
        };
        let key = self.next_key;
        self.next_key = self.next_key.wrapping_add(1);
        let stage = Stage::Shown { early: 0 };
        let told = shown.and_then(auth::without_credentials);
        let mut member = Member { key, nsp, tid, stage, guarded, auth: told, client };
        match (auth, &self.confirmation) {
            (Auth::Open, _) => member.admit(rules, None, None, out),
            (Auth::SessionSync, Confirmation::Done(identity)) => {
                // No socket heard of it if the session ended meanwhile.
                let identity = identity.clone();
                out.push(Effect::LookAgain(identity.clone()));
                self.confirmation = Confirmation::Again(identity);
            }
            (Auth::SessionSync, Confirmation::Running | Confirmation::Again(_)) => {}
            (Auth::SessionSync, Confirmation::None) => match shown.and_then(auth::credential) {
                Some(credential) => {
                    self.confirmation = Confirmation::Running;
                    out.push(Effect::Confirm(credential));
                }
                None => {
                    out.push(Effect::Send(member.connected(self.parser)));
                    let id = Some(Grant::Confirmation.request_id());
                    let request = Outgoing::event(&member.nsp, id, auth::REQUEST, "{}");
                    out.push(Effect::Send(self.parser.packet(request)));
                    member.stage = Stage::Asked { early: 0 };
                }
            },
        }
        // Most connections have one socket, and a vector's first growth is for four.
        self.members.reserve_exact(1);
        self.members.push(member);
        self.await_confirmation(rules, out);
    }

    #[allow(clippy::too_many_arguments, reason = "the parts of one packet")]
    pub(super) fn event(
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
                member.answer(rules.parser, id, &RouteError::unavailable(), out);
            }
            Stage::Admitted(rates) => match rates.take(rules, &name, now) {
                (_, Rate::Pass) => out.push(Effect::Event { key: member.key, id, name, args }),
                (limit, Rate::Wait { retry_after_ms }) => {
                    out.push(Effect::Limit(limit));
                    let error = RouteError::new(code::RATE_LIMITED, "Too many events.")
                        .with("retry_after_ms", retry_after_ms);
                    member.answer(rules.parser, id, &error, out);
                }
                (_, Rate::Abuse) => self.refuse(CloseCode::RATE_LIMITED, "rate_limited", out),
            },
            stage => {
                let early = stage.count_early();
                if early > rules.bounds.unconfirmed_events {
                    out.push(Effect::Limit("unconfirmed_events"));
                    self.refuse(CloseCode::TOO_MANY_UNCONFIRMED, "too_many_unconfirmed", out);
                    return;
                }
                let error = RouteError::new(code::NOT_CONFIRMED, "Not confirmed yet.");
                member.answer(rules.parser, id, &error, out);
            }
        }
    }

    pub(super) fn ack(
        &mut self,
        rules: &Rules,
        now: Moment,
        at: usize,
        id: u64,
        args: Args,
        out: &mut Out,
    ) {
        let member = &mut self.members[at];
        let early = match (&member.stage, Grant::of_request(id)) {
            (Stage::Asked { early }, Some(Grant::Confirmation)) => *early,
            (Stage::Admitted(_), None) => {
                out.push(Effect::Answered { key: member.key, id, args });
                return;
            }
            (Stage::Admitted(_), Some(grant)) if self.terms.is_asked(grant, member.key) => {
                return self.renew(grant, args, out);
            }
            _ => return self.meter(rules, now, out),
        };
        member.stage = Stage::Answered { early };
        if matches!(self.confirmation, Confirmation::None) {
            self.confirmation = Confirmation::Running;
            out.push(Effect::Confirm(auth::answered(args.json())));
        }
    }

    pub(super) fn finished(
        &self,
        key: SocketKey,
        id: Option<u64>,
        result: Result<Args, RouteError>,
        out: &mut Out,
    ) {
        let member = self.members.iter().find(|member| member.key == key);
        let (Some(member), Some(id)) = (member, id) else { return };
        let args = result.unwrap_or_else(|error| error.to_args());
        match self.parser.ack(&member.nsp, id, &args) {
            Ok(frame) => out.push(Effect::Send(frame)),
            // The handler answered with what is no JSON.
            Err(_) => member.answer(self.parser, Some(id), &RouteError::internal(), out),
        }
    }

    pub(super) fn disconnect(
        &mut self,
        rules: &Rules,
        now: Moment,
        key: SocketKey,
        reason: DisconnectReason,
        out: &mut Out,
    ) {
        let Some(at) = self.members.iter().position(|member| member.key == key) else { return };
        if reason == DisconnectReason::TransportClosed {
            return self.close(CloseCode::TRANSPORT_RESET, "", reason, out);
        }
        let member = self.members.remove(at);
        let mut why = CloseReason::default();
        if let DisconnectReason::Booted(reason) = &reason {
            let told = serde_json::json!({ "reason": &**reason }).to_string();
            let told = Args::from_checked_json(told.into(), Vec::new());
            out.push(Effect::Send(self.parser.event(&member.nsp, "whisk.boot", &told)));
            why = CloseReason::new(reason.clone());
        }
        let code = match reason {
            DisconnectReason::SessionEnded(_) => CloseCode::SESSION_ENDED,
            _ => CloseCode::BOOTED,
        };
        out.push(Effect::Send(self.parser.packet(Outgoing::disconnect(&member.nsp))));
        if matches!(reason, DisconnectReason::SessionEnded(_)) {
            // What the connection proved once is worth nothing any more.
            self.confirmation = Confirmation::None;
            self.keep(rules, now, Grant::Confirmation, None, out);
        }
        if member.stage.is_admitted() {
            out.push(Effect::Leave { key, reason });
        }
        if self.members.is_empty() {
            self.end(code, why, out);
        } else {
            self.await_confirmation(rules, out);
        }
    }
}

impl Rates {
    /// Whether an event may pass, and the limit that says so.
    fn take(&mut self, rules: &Rules, event: &str, now: Moment) -> (&'static str, Rate) {
        // Each of these costs the store.
        if matches!(event, "whisk.subscribe" | "whisk.update" | "whisk.knock") {
            return ("joins_per_second", self.joins.take(rules.bounds.joins, now));
        }
        ("emits_per_second", self.events.take(rules.bounds.emits, now))
    }
}

impl Member {
    fn answer(&self, parser: Parser, id: Option<u64>, error: &RouteError, out: &mut Out) {
        // An error's own arguments can always be written.
        if let Some(id) = id
            && let Ok(frame) = parser.ack(&self.nsp, id, &error.to_args())
        {
            out.push(Effect::Send(frame));
        }
    }
}
