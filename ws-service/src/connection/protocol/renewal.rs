//! What holds for a time: the connection's confirmation, and the session gate's admission. Each is
//! renewed in place, on the living connection and by its own judge, or ends it.

use std::time::Duration;

use router_core::{
    Args,
    session::{ConfirmError, Confirmed},
    socket::DisconnectReason,
};
use wire::socketio::Outgoing;

use super::{Member, Out, Protocol, Rules};
use crate::{
    clock::Moment,
    connection::{
        auth::{self, Confirmation, Failure},
        effect::{Effect, SocketKey},
        timers::Timer,
    },
    gate::Renewed,
    nsps::Auth,
};

/// How long it is waited before a client is asked once more, whose answer nobody could judge.
const AGAIN: Duration = Duration::from_secs(2);

/// What may hold for a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Grant {
    /// The connection's confirmation, which serves its sockets in nsps under session-sync.
    Confirmation,
    /// The session gate's, which serves all of them.
    Admission,
}

impl Grant {
    const ALL: [Self; 2] = [Self::Confirmation, Self::Admission];

    /// The grant that an acknowledgement with this id is for: the two questions of the session's own.
    pub(super) fn of_request(id: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|grant| grant.request_id() == id)
    }

    pub(super) const fn request_id(self) -> u64 {
        match self {
            Self::Confirmation => 0,
            Self::Admission => auth::REQUESTS - 1,
        }
    }

    /// The question's payload.
    const fn question(self) -> &'static str {
        match self {
            Self::Confirmation => "{}",
            Self::Admission => r#"{"for":"admission"}"#,
        }
    }

    const fn timer(self) -> Timer {
        match self {
            Self::Confirmation => Timer::Renewal,
            Self::Admission => Timer::Admission,
        }
    }
}

/// How long a grant is good.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Term {
    /// As long as the session lives.
    #[default]
    Unbounded,
    /// Until then; it is not time yet to ask for more.
    Good { until: Moment },
    /// It is time, and there is nobody to ask.
    Due { until: Moment },
    /// The client was asked on this socket, and has until then.
    Asked { until: Moment, whom: SocketKey },
    /// What it answered is being judged.
    Judged { until: Moment },
}

impl Term {
    fn until(self) -> Option<Moment> {
        match self {
            Self::Unbounded => None,
            Self::Good { until }
            | Self::Due { until }
            | Self::Asked { until, .. }
            | Self::Judged { until } => Some(until),
        }
    }

    fn is_judged(self) -> bool {
        matches!(self, Self::Judged { .. })
    }
}

/// The two of a connection.
#[derive(Debug, Default)]
pub(super) struct Terms {
    confirmation: Term,
    admission: Term,
}

impl Terms {
    fn get(&self, grant: Grant) -> Term {
        match grant {
            Grant::Confirmation => self.confirmation,
            Grant::Admission => self.admission,
        }
    }

    fn set(&mut self, grant: Grant, term: Term) {
        match grant {
            Grant::Confirmation => self.confirmation = term,
            Grant::Admission => self.admission = term,
        }
    }

    /// Whether the client was asked for this one on this socket.
    pub(super) fn is_asked(&self, grant: Grant, on: SocketKey) -> bool {
        matches!(self.get(grant), Term::Asked { whom, .. } if whom == on)
    }
}

impl Protocol {
    /// A grant is good for so long from now on, where there is a bound.
    pub(super) fn keep(
        &mut self,
        rules: &Rules,
        now: Moment,
        grant: Grant,
        good_for: Option<Duration>,
        out: &mut Out,
    ) {
        match good_for {
            Some(good_for) => {
                self.terms.set(grant, Term::Good { until: now.after(good_for) });
                let ahead = time_to_renew(rules).min(good_for / 2);
                out.push(Effect::Set(grant.timer(), good_for - ahead));
            }
            None if self.terms.get(grant) != Term::Unbounded => {
                self.terms.set(grant, Term::Unbounded);
                out.push(Effect::Clear(grant.timer()));
            }
            None => {}
        }
    }

    /// It is time to ask, or too late.
    pub(super) fn grant_due(&mut self, rules: &Rules, now: Moment, grant: Grant, out: &mut Out) {
        let term = self.terms.get(grant);
        let Some(until) = term.until() else { return };
        if now >= until {
            return self.run_out(rules, grant, out);
        }
        out.push(Effect::Set(grant.timer(), until.since(now)));
        if !term.is_judged() {
            self.terms.set(grant, Term::Due { until });
        }
    }

    /// Asks for what is due on one of the sockets that it serves, for all of them; on another, once
    /// the one that was asked is gone. Called at the end of every step.
    pub(super) fn ask_around(&mut self, rules: &Rules, out: &mut Out) {
        for grant in Grant::ALL {
            let until = match self.terms.get(grant) {
                Term::Due { until } => until,
                Term::Asked { until, whom } if !self.members.iter().any(|it| it.key == whom) => {
                    until
                }
                _ => continue,
            };
            let term = self.served(rules, grant).next().map_or(Term::Due { until }, |member| {
                let (id, question) = (Some(grant.request_id()), grant.question());
                let request = Outgoing::event(&member.nsp, id, auth::REQUEST, question);
                out.push(Effect::Send(self.parser.packet(request)));
                Term::Asked { until, whom: member.key }
            });
            self.terms.set(grant, term);
        }
    }

    /// The client answered for a grant.
    pub(super) fn renew(&mut self, grant: Grant, args: Args, out: &mut Out) {
        let Term::Asked { until, .. } = self.terms.get(grant) else { return };
        self.terms.set(grant, Term::Judged { until });
        out.push(match grant {
            Grant::Confirmation => Effect::Renew(auth::answered(args.json())),
            Grant::Admission => Effect::Readmit(args),
        });
    }

    /// The session gate's own judge looked at the answer.
    pub(super) fn readmitted(
        &mut self,
        rules: &Rules,
        now: Moment,
        renewed: Renewed,
        out: &mut Out,
    ) {
        let Term::Judged { until } = self.terms.admission else { return };
        match renewed {
            Renewed::For(time) => self.keep(rules, now, Grant::Admission, Some(time), out),
            Renewed::Unknown => self.ask_later(now, until, Grant::Admission, out),
            Renewed::Refused => self.expire(rules, Grant::Admission, out),
        }
    }

    /// The other credential was judged.
    pub(super) fn renewed(
        &mut self,
        rules: &Rules,
        now: Moment,
        result: Result<Box<Confirmed>, ConfirmError>,
        out: &mut Out,
    ) {
        let Term::Judged { until } = self.terms.confirmation else { return };
        let same = |confirmed: &Confirmed| match &self.confirmation {
            Confirmation::Done(known) | Confirmation::Again(known) => {
                (&known.sid, &known.user_id) == (&confirmed.sid, &confirmed.user_id)
            }
            Confirmation::None | Confirmation::Running => false,
        };
        match result {
            Ok(confirmed) if same(&confirmed) => {
                if let Some(member) = self.served(rules, Grant::Confirmation).next() {
                    let address = rules.node.tenant(member.tid.clone());
                    let resume = Some(confirmed.resume.as_str());
                    let args = auth::accept(&confirmed.user_id, &address, resume);
                    out.push(Effect::Send(self.parser.event(&member.nsp, auth::ACCEPT, &args)));
                }
                self.keep(rules, now, Grant::Confirmation, confirmed.good_for, out);
            }
            Err(ConfirmError::Unavailable(_)) => {
                self.ask_later(now, until, Grant::Confirmation, out);
            }
            // A socket does not change hands.
            Ok(_) | Err(_) => self.expire(rules, Grant::Confirmation, out),
        }
    }

    /// Nobody could tell; the client is asked once more while there is time.
    fn ask_later(&mut self, now: Moment, until: Moment, grant: Grant, out: &mut Out) {
        self.terms.set(grant, Term::Good { until });
        out.push(Effect::Set(grant.timer(), until.since(now).min(AGAIN)));
    }

    fn run_out(&mut self, rules: &Rules, grant: Grant, out: &mut Out) {
        let is_used = |it: &Member| !it.stage.is_unconfirmed() && it.needs(rules, grant);
        if grant == Grant::Confirmation && !self.members.iter().any(is_used) {
            // Nobody lost anything. Whoever comes now shows a credential of its own.
            self.terms.set(grant, Term::Unbounded);
            self.confirmation = Confirmation::None;
            return;
        }
        out.push(Effect::Limit("renewal_timeout"));
        self.expire(rules, grant, out);
    }

    fn expire(&mut self, rules: &Rules, grant: Grant, out: &mut Out) {
        let failure = Failure::EXPIRED;
        for member in self.served(rules, grant) {
            let told = self.parser.event(&member.nsp, auth::ERROR, &failure.to_args());
            out.push(Effect::Send(told));
        }
        out.push(Effect::NotConfirmed(failure.code));
        self.close(failure.close, failure.code, DisconnectReason::Refused(failure.code), out);
    }

    /// The admitted sockets that are there by a grant.
    fn served<'a>(&'a self, rules: &'a Rules, grant: Grant) -> impl Iterator<Item = &'a Member> {
        self.members.iter().filter(move |it| it.stage.is_admitted() && it.needs(rules, grant))
    }
}

impl Member {
    /// Whether the socket is there by a grant.
    fn needs(&self, rules: &Rules, grant: Grant) -> bool {
        let is_confirmed = || {
            let admission = rules.nsps.admission(&self.nsp);
            admission.is_some_and(|it| it.auth == Auth::SessionSync)
        };
        grant == Grant::Admission || is_confirmed()
    }
}

/// Without the limit, as long as a client has by default.
fn time_to_renew(rules: &Rules) -> Duration {
    rules.bounds.renewal_timeout.unwrap_or(Duration::from_secs(10))
}
