//! A confirmation that runs out: renewed in place, on the living socket, or its end.

use std::time::Duration;

use router_core::{
    Args,
    session::{ConfirmError, Confirmed},
    socket::DisconnectReason,
};
use wire::socketio::Outgoing;

use super::{Member, Out, Protocol, REQUEST_ID, Rules};
use crate::{
    clock::Moment,
    connection::{
        auth::{self, Confirmation, Failure},
        effect::Effect,
        timers::Timer,
    },
    gate::Renewed,
    nsps::Auth,
};

/// How long it is waited before a client is asked once more, whose answer nobody could judge.
const AGAIN: Duration = Duration::from_secs(2);

/// How long the connection's confirmation is good.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Validity {
    /// As long as the session lives.
    #[default]
    Unbounded,
    /// Until then.
    Good { until: Moment },
    /// The client was asked for another credential, and has until then.
    Asked { until: Moment },
    /// That credential is being judged.
    Judged { until: Moment },
}

impl Validity {
    pub(super) fn is_asked(self) -> bool {
        matches!(self, Self::Asked { .. })
    }

    pub(super) fn is_judged(self) -> bool {
        matches!(self, Self::Judged { .. })
    }
}

impl Protocol {
    /// The connection was confirmed: `good_for` this time, where there is a bound.
    pub(super) fn keep_valid(
        &mut self,
        rules: &Rules,
        now: Moment,
        good_for: Option<Duration>,
        out: &mut Out,
    ) {
        self.validity = Validity::Unbounded;
        if let Some(good_for) = good_for {
            self.validity = Validity::Good { until: now.after(good_for) };
            let ahead = time_to_renew(rules).min(good_for / 2);
            out.push(Effect::Set(Timer::Renewal, good_for - ahead));
        }
    }

    /// It is time to ask, or too late.
    pub(super) fn renewal_due(&mut self, rules: &Rules, now: Moment, out: &mut Out) {
        if self.served(rules).next().is_none() {
            // Nobody is left whom it served.
            self.validity = Validity::Unbounded;
            return;
        }
        let until = match self.validity {
            Validity::Unbounded => return,
            Validity::Good { until } | Validity::Asked { until } | Validity::Judged { until } => {
                until
            }
        };
        if now >= until {
            out.push(Effect::Limit("renewal_timeout"));
            return self.expire(rules, out);
        }
        out.push(Effect::Set(Timer::Renewal, until.since(now)));
        if !self.validity.is_judged() {
            self.validity = Validity::Asked { until };
            self.ask_again(rules, out);
        }
    }

    /// Asks one of the sockets that the confirmation serves, for all of them.
    fn ask_again(&self, rules: &Rules, out: &mut Out) {
        if let Some(member) = self.served(rules).next() {
            let request = Outgoing::event(&member.nsp, Some(REQUEST_ID), auth::REQUEST, "{}");
            out.push(Effect::Send(self.parser.packet(request)));
        }
    }

    /// The client showed another credential.
    pub(super) fn renew(&mut self, args: Args, out: &mut Out) {
        if let Validity::Asked { until } = self.validity {
            self.validity = Validity::Judged { until };
            out.push(if self.by_gate {
                Effect::Readmit(args)
            } else {
                Effect::Confirm(auth::answered(args.json()))
            });
        }
    }

    /// The session gate's own judge looked at the other credential.
    pub(super) fn readmitted(
        &mut self,
        rules: &Rules,
        now: Moment,
        renewed: Renewed,
        out: &mut Out,
    ) {
        let Validity::Judged { until } = self.validity else { return };
        match renewed {
            Renewed::For(good_for) => {
                out.push(Effect::Clear(Timer::Renewal));
                self.keep_valid(rules, now, Some(good_for), out);
            }
            Renewed::Unknown => self.ask_once_more(now, until, out),
            Renewed::Refused => self.expire(rules, out),
        }
    }

    /// Nobody could tell; the client is asked once more while there is time.
    fn ask_once_more(&mut self, now: Moment, until: Moment, out: &mut Out) {
        self.validity = Validity::Asked { until };
        out.push(Effect::Set(Timer::Renewal, until.since(now).min(AGAIN)));
    }

    /// The other credential was judged.
    pub(super) fn renewed(
        &mut self,
        rules: &Rules,
        now: Moment,
        result: Result<Box<Confirmed>, ConfirmError>,
        out: &mut Out,
    ) {
        let Validity::Judged { until } = self.validity else { return };
        let same = |confirmed: &Confirmed| match &self.confirmation {
            Confirmation::Done(known) | Confirmation::Again(known) => {
                (&known.sid, &known.user_id) == (&confirmed.sid, &confirmed.user_id)
            }
            Confirmation::None | Confirmation::Running => false,
        };
        match result {
            Ok(confirmed) if same(&confirmed) => {
                if let Some(member) = self.served(rules).next() {
                    let address = rules.node.tenant(member.tid.clone());
                    let resume = Some(confirmed.resume.as_str());
                    let args = auth::accept(&confirmed.user_id, &address, resume);
                    out.push(Effect::Send(self.parser.event(&member.nsp, auth::ACCEPT, &args)));
                }
                out.push(Effect::Clear(Timer::Renewal));
                self.keep_valid(rules, now, confirmed.good_for, out);
            }
            Err(ConfirmError::Unavailable(_)) => {
                self.ask_once_more(now, until, out);
            }
            // A socket does not change hands.
            Ok(_) | Err(_) => self.expire(rules, out),
        }
    }

    fn expire(&mut self, rules: &Rules, out: &mut Out) {
        let failure = Failure::EXPIRED;
        for member in self.served(rules) {
            let told = self.parser.event(&member.nsp, auth::ERROR, &failure.to_args());
            out.push(Effect::Send(told));
        }
        out.push(Effect::NotConfirmed(failure.code));
        self.close(failure.close, failure.code, DisconnectReason::Refused(failure.code), out);
    }

    /// The admitted sockets that the confirmation serves; all, where a session gate let them in.
    fn served<'a>(&'a self, rules: &'a Rules) -> impl Iterator<Item = &'a Member> {
        let is_served = move |member: &&Member| {
            let is_confirmed = || {
                let admission = rules.nsps.admission(&member.nsp);
                admission.is_some_and(|it| it.auth == Auth::SessionSync)
            };
            member.stage.is_admitted() && (self.by_gate || is_confirmed())
        };
        self.members.iter().filter(is_served)
    }
}

/// Without the limit, as long as a client has by default.
fn time_to_renew(rules: &Rules) -> Duration {
    rules.bounds.renewal_timeout.unwrap_or(Duration::from_secs(10))
}
