//! Where the confirmation meets the sockets: who is let in, who is told off, and until when.

use bytes::Bytes;
use router_core::socket::DisconnectReason;
use wire::socketio::{self, Outgoing};

use super::{Member, Out, Protocol, Rules, Stage};
use crate::connection::{
    auth::{self, Failure, Identity},
    bucket::Bucket,
    effect::Effect,
    frames::Parser,
    timers::Timer,
};

impl Protocol {
    /// The clock of confirmation runs while a socket is unconfirmed, and while there is none: a
    /// transport alone is worth nothing. Nothing that a client does winds it up again.
    pub(super) fn await_confirmation(&mut self, rules: &Rules, out: &mut Out) {
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

    /// A confirmation serves every socket that waits for one, also those not answered yet.
    pub(super) fn admit_waiting(
        &mut self,
        rules: &Rules,
        identity: &Identity,
        resume: &str,
        out: &mut Out,
    ) {
        for member in self.members.iter_mut().filter(|member| !member.stage.is_admitted()) {
            member.admit(rules, Some(identity), Some(resume), out);
        }
        self.await_confirmation(rules, out);
    }

    /// Tells the sockets that waited that they are not confirmed. A connection that has no other
    /// is closed.
    pub(super) fn fail(&mut self, failure: Failure, whom: impl Fn(&Stage) -> bool, out: &mut Out) {
        let error = socketio::connect_error_json(failure.message, failure.code);
        let stays = self.members.iter().any(|member| member.stage.is_admitted());
        let parser = self.parser;
        self.members.retain(|member| {
            let frame = match &member.stage {
                Stage::Admitted(_) => return true,
                stage if !whom(stage) => return true,
                Stage::Shown { .. } => {
                    let refused = Outgoing::connect_error(&member.nsp, &error);
                    out.push(Effect::Send(parser.packet(refused)));
                    return false;
                }
                Stage::Asked { .. } | Stage::Answered { .. } => {
                    parser.event(&member.nsp, auth::ERROR, &failure.to_args())
                }
            };
            out.push(Effect::Send(frame));
            if stays {
                out.push(Effect::Send(parser.packet(Outgoing::disconnect(&member.nsp))));
            }
            !stays
        });
        out.push(Effect::NotConfirmed(failure.code));
        if !stays {
            self.close(failure.close, failure.code, DisconnectReason::Refused(failure.code), out);
        }
    }
}

impl Member {
    pub(super) fn connected(&self, parser: Parser) -> Bytes {
        parser.packet(Outgoing::connect(&self.nsp, self.tid.as_str()))
    }

    /// Answers the CONNECT if that is still owed, says who the client is, and lets it in.
    pub(super) fn admit(
        &mut self,
        rules: &Rules,
        identity: Option<&Identity>,
        resume: Option<&str>,
        out: &mut Out,
    ) {
        if matches!(self.stage, Stage::Shown { .. }) {
            out.push(Effect::Send(self.connected(rules.parser)));
        }
        self.stage = Stage::Admitted(Bucket::default());
        if let Some(identity) = identity {
            let address = rules.node.tenant(self.tid.clone());
            let args = auth::accept(&identity.user_id, &address, resume);
            out.push(Effect::Send(rules.parser.event(&self.nsp, auth::ACCEPT, &args)));
        }
        out.push(Effect::Admit {
            key: self.key,
            nsp: self.nsp.clone(),
            tid: self.tid.clone(),
            identity: identity.cloned(),
        });
    }
}
