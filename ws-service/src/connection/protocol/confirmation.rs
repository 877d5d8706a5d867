//! Where the confirmation meets the sockets: who is let in, who is told off, and until when.

use std::sync::Arc;

use bytes::Bytes;
use router_core::{
    RouteError,
    session::ConfirmError,
    socket::{DisconnectReason, SocketInfo},
};
use wire::socketio::{self, Outgoing};

use super::{Guarded, Member, Out, Protocol, Rates, Rules, Stage};
use crate::connection::{
    auth::{self, Confirmation, Failure, Identity},
    effect::{Applicant, Effect, SocketKey},
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
        resume: Option<&str>,
        out: &mut Out,
    ) {
        for member in self.members.iter_mut().filter(|member| member.stage.is_unconfirmed()) {
            member.admit(rules, Some(identity), resume, out);
        }
        self.await_confirmation(rules, out);
    }

    /// The confirmation did not come. Sockets that did not show anything yet may still do so.
    pub(super) fn unconfirmed(&mut self, failure: Failure, out: &mut Out) {
        let shown = |stage: &Stage| stage.is_unconfirmed() && !matches!(stage, Stage::Asked { .. });
        self.fail(failure, shown, out);
    }

    /// The session of the connection's confirmation still lives, or not.
    pub(super) fn looked_again(
        &mut self,
        rules: &Rules,
        outcome: Result<(), ConfirmError>,
        out: &mut Out,
    ) {
        match (std::mem::take(&mut self.confirmation), outcome) {
            (Confirmation::Again(identity), Ok(())) => {
                self.admit_waiting(rules, &identity, None, out);
                self.confirmation = Confirmation::Done(identity);
            }
            (Confirmation::Again(identity), Err(error)) => {
                if !matches!(error, ConfirmError::Refused) {
                    self.confirmation = Confirmation::Done(identity);
                }
                self.unconfirmed(Failure::of(&error), out);
            }
            // It was heard of before, and nothing new was shown.
            (Confirmation::None, _) => {
                self.unconfirmed(Failure::of(&ConfirmError::Refused), out);
            }
            (newer, _) => self.confirmation = newer,
        }
    }

    /// Tells the sockets that waited that they are not confirmed. A connection that has no other
    /// is closed.
    pub(super) fn fail(&mut self, failure: Failure, whom: impl Fn(&Stage) -> bool, out: &mut Out) {
        let error = socketio::connect_error_json(failure.message, failure.code);
        let stays = self.members.iter().any(|member| match &member.stage {
            Stage::Admitted(_) => true,
            stage => matches!(stage, Stage::Guarded(_)) && !whom(stage),
        });
        let parser = self.parser;
        self.members.retain(|member| {
            let frame = match &member.stage {
                Stage::Admitted(_) => return true,
                stage if !whom(stage) => return true,
                stage if !stage.is_answered() => {
                    let refused = Outgoing::connect_error(&member.nsp, &error);
                    out.push(Effect::Send(parser.packet(refused)));
                    return false;
                }
                _ => parser.event(&member.nsp, auth::ERROR, &failure.to_args()),
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

    /// Lets the client in, unless guards are to be asked first.
    pub(super) fn admit(
        &mut self,
        rules: &Rules,
        identity: Option<&Identity>,
        resume: Option<&str>,
        out: &mut Out,
    ) {
        let accept = identity.map(|identity| {
            let address = rules.node.tenant(self.tid.clone());
            let args = auth::accept(&identity.user_id, &address, resume);
            rules.parser.event(&self.nsp, auth::ACCEPT, &args)
        });
        let applicant = Applicant {
            nsp: self.nsp.clone(),
            tid: self.tid.clone(),
            identity: identity.cloned(),
            auth: self.auth.take(),
            client: self.client.take(),
        };
        let (key, answered) = (self.key, self.stage.is_answered());
        if self.guarded {
            let early = self.stage.early().map_or(0, |early| *early);
            self.stage = Stage::Guarded(Box::new(Guarded { early, answered, accept }));
            out.push(Effect::Guard { key, applicant });
            return;
        }
        self.welcome(rules, answered, accept, out);
        out.push(Effect::Admit { key, applicant });
    }

    /// Answers the CONNECT if that is still owed, and says who the client is.
    fn welcome(&mut self, rules: &Rules, answered: bool, accept: Option<Bytes>, out: &mut Out) {
        if !answered {
            out.push(Effect::Send(self.connected(rules.parser)));
        }
        self.stage = Stage::Admitted(Rates::default());
        out.extend(accept.map(Effect::Send));
    }
}

impl Protocol {
    /// The guards of a socket's nsp let it in, or not. A refused one costs no other.
    pub(super) fn guarded(
        &mut self,
        rules: &Rules,
        key: SocketKey,
        outcome: Result<Arc<SocketInfo>, RouteError>,
        out: &mut Out,
    ) {
        let Some(at) = self.members.iter().position(|member| member.key == key) else { return };
        let Stage::Guarded(guarded) = &mut self.members[at].stage else { return };
        let (answered, accept) = (guarded.answered, guarded.accept.take());
        match outcome {
            Ok(info) => {
                self.members[at].welcome(rules, answered, accept, out);
                out.push(Effect::Enter { key, info });
            }
            Err(error) => {
                let nsp = self.members.remove(at).nsp;
                if answered {
                    let told = self.parser.event(&nsp, auth::ERROR, &error.to_args());
                    out.push(Effect::Send(told));
                    out.push(Effect::Send(self.parser.packet(Outgoing::disconnect(&nsp))));
                } else {
                    let error = error.to_connect_error();
                    let refused = Outgoing::connect_error(&nsp, &error);
                    out.push(Effect::Send(self.parser.packet(refused)));
                }
            }
        }
        self.await_confirmation(rules, out);
    }
}

impl Stage {
    /// The count of events that came before the socket was admitted.
    fn early(&mut self) -> Option<&mut u64> {
        match self {
            Self::Shown { early } | Self::Asked { early } | Self::Answered { early } => Some(early),
            Self::Guarded(guarded) => Some(&mut guarded.early),
            Self::Admitted(_) => None,
        }
    }

    /// Counts an event that came too early, and says how many there were.
    pub(super) fn count_early(&mut self) -> u64 {
        self.early().map_or(0, |early| {
            *early += 1;
            *early
        })
    }

    /// Whether the socket's CONNECT is answered.
    pub(super) fn is_answered(&self) -> bool {
        match self {
            Self::Shown { .. } => false,
            Self::Guarded(guarded) => guarded.answered,
            Self::Asked { .. } | Self::Answered { .. } | Self::Admitted(_) => true,
        }
    }
}
