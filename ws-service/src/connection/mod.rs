//! The connection actor: one for each transport.
//!
//! It is a thin shell. What comes from the socket, from timers, from confirmations and from handlers
//! goes into the state machine [`protocol`]; what comes out of it is done here. All of that happens
//! in one future of the actor, [`Connection::drive`], which is woken by the socket or by a
//! [`Notice`](link::Notice). Of user code it runs only the beginning of handlers ([`dispatch`]).

pub(crate) mod asks;
mod auth;
pub(crate) mod bucket;
mod dispatch;
pub(crate) mod effect;
pub(crate) mod frames;
pub(crate) mod lifecycle;
pub(crate) mod link;
pub(crate) mod outbox;
mod polled;
pub(crate) mod polling;
pub(crate) mod probe;
pub(crate) mod protocol;
mod receive;
pub(crate) mod stream;
pub(crate) mod timers;
pub(crate) mod watches;

use std::{
    future::{Future, poll_fn},
    io,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use actix::{Actor, ActorFuture, AsyncContext};
use bytes::{Bytes, BytesMut};
use router_core::{
    Args,
    bus::Wanted,
    session::{ConfirmError, Confirmed, Credential, SessionError},
    socket::{DisconnectReason, OpeningRequest, SocketInfo},
};
use tokio::task::coop::unconstrained;
use wire::{CloseCode, CloseReason, engine, ws};

use self::{
    dispatch::Live,
    effect::{Effect, Input},
    lifecycle::Departure,
    link::{Judged, Link, Notice},
    outbox::Class,
    probe::Candidate,
    protocol::Protocol,
    stream::Stream,
    timers::Timer,
    watches::since_epoch,
};
use crate::{
    clock::{Moment, millis},
    gate::{self, Admitted},
    shard::Shard,
    shared::{Open, Shared},
    sid::Sid,
    unconfirmed::Permit,
};

/// How long a peer has to end the connection after our close frame.
const LINGER: Duration = Duration::from_secs(2);

/// One transport, from its upgrade to its end.
#[derive(Debug)]
pub(crate) struct Connection {
    shard: Rc<Shard>,
    link: Rc<Link>,
    protocol: Protocol,
    decoder: ws::Decoder,
    /// What of a frame is here; empty, and without memory, between frames.
    partial: BytesMut,
    sockets: Vec<Live>,
    /// Handlers that run.
    running: u32,
    /// Handlers that were begun on the spot in this round.
    begun: u32,
    /// Keeps the node listening to what is for the confirmed user.
    attending: Option<Box<Wanted>>,
    /// Until the first socket is admitted.
    permit: Option<Permit>,
    /// As what the session gate let it in.
    admitted: Option<Rc<Admitted>>,
    /// The request that opened it.
    request: Arc<OpeningRequest>,
    ending: Ending,
    /// The id of a session that began by long-polling.
    sid: Option<Box<Sid>>,
    /// A WebSocket to which a polling session may move.
    candidate: Option<Box<Candidate>>,
    /// Counts the connection for as long as it lives.
    open: Open,
}

/// How far the end is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// Not begun.
    No,
    /// The close frame is on its way out. `answer` if the peer sent its own first.
    Saying { answer: bool },
    /// Everything is said; the peer has yet to end its side.
    Said,
    /// Over.
    Done,
}

/// Who may open a connection, and with what it came.
#[derive(Debug)]
pub(crate) struct Guest {
    pub(crate) permit: Permit,
    pub(crate) request: Arc<OpeningRequest>,
    /// As what the session gate let it in, if there is one.
    pub(crate) admitted: Option<Rc<Admitted>>,
}

impl Connection {
    /// Takes a socket over. `response` answers the upgrade, unless its host does; `early` is what came
    /// behind the request.
    pub(crate) fn start(
        shard: &Rc<Shard>,
        stream: Stream,
        response: &Bytes,
        early: BytesMut,
        sid: &Sid,
        guest: Guest,
    ) {
        shard.read_clock();
        let connection = Self::new(shard, stream, early, guest);
        let open = engine::Packet::Open(open_json(&shard.shared, sid, &[]).into());
        if !response.is_empty() {
            shard.send(&connection.link, response, Class::Message);
        }
        shard.send(&connection.link, &open.to_frame(), Class::Message);
        connection.start_actor();
    }

    fn new(shard: &Rc<Shard>, stream: Stream, early: BytesMut, guest: Guest) -> Self {
        let Guest { permit, request, admitted } = guest;
        let shared = &shard.shared;
        Self {
            shard: Rc::clone(shard),
            protocol: Protocol::new(&shared.rules),
            decoder: ws::Decoder::new(shared.rules.bounds.frames),
            partial: early,
            sockets: Vec::new(),
            running: 0,
            begun: 0,
            attending: None,
            // A bare session is never confirmed, so it waits for nothing.
            permit: shared.rules.raw.is_none().then_some(permit),
            admitted,
            request,
            ending: Ending::No,
            sid: None,
            candidate: None,
            open: Open::new(shared),
            link: shard.add_link(stream),
        }
    }

    fn start_actor(self) {
        Actor::start(self);
    }

    /// Does all that there is to do, and waits for more.
    fn drive(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.shard.read_clock();
        self.begun = 0;
        self.link.set_waker(cx.waker());
        for notice in self.link.take_notices() {
            if self.ending != Ending::Done {
                self.notice(notice, cx);
            }
        }
        self.probe(cx);
        self.receive(cx);
        if self.ending == Ending::Done {
            self.shard.flush_soon();
            return Poll::Ready(());
        }
        if self.link.dirty.get() || self.link.blocked.get() {
            self.write(cx);
        }
        self.look_for_cancellation(cx);
        self.end(cx);
        // What this round gave other sockets of the thread is written with what comes next.
        self.shard.flush_soon();
        if self.ending == Ending::Done {
            return Poll::Ready(());
        }
        Poll::Pending
    }

    fn write(&mut self, cx: &mut Context<'_>) {
        if let Err(error) = self.shard.write(&self.link, cx) {
            self.lost(&error);
        }
    }

    fn lost(&mut self, error: &io::Error) {
        tracing::debug!(%error, "a connection broke");
        self.link.closed.set(true);
        self.step(Input::Lost);
        self.ending = Ending::Done;
    }

    /// After the close frame: ends our side when it is out, and waits for the peer to end its own.
    fn end(&mut self, cx: &mut Context<'_>) {
        let Ending::Saying { answer } = self.ending else { return };
        if self.link.waiting() > 0 || self.link.blocked.get() {
            return;
        }
        match self.link.poll_shutdown(cx) {
            Poll::Pending => {}
            // The peer's close frame was the last of it (RFC 6455 section 7.1.1).
            Poll::Ready(Ok(())) if answer => self.ending = Ending::Done,
            Poll::Ready(Ok(())) => {
                self.ending = Ending::Said;
                // The end of the peer's side may be here already.
                cx.waker().wake_by_ref();
            }
            Poll::Ready(Err(_)) => self.ending = Ending::Done,
        }
    }

    fn notice(&mut self, notice: Notice, cx: &mut Context<'_>) {
        match notice {
            Notice::Timer(timer, due) => self.notice_timer(timer, due),
            Notice::Pace => self.keep_pace(),
            Notice::Ping => self.step(Input::Ping),
            Notice::Confirmed(judged) => {
                let confirmed = self.attend(judged);
                self.step(Input::Confirmed(confirmed));
            }
            Notice::Renewed(judged) => {
                let confirmed = self.attend(judged);
                self.step(Input::Renewed(confirmed));
            }
            Notice::Readmitted(renewed) => self.step(Input::Readmitted(renewed)),
            Notice::LookedAgain(outcome) => self.step(Input::LookedAgain(outcome)),
            Notice::Guarded { key, outcome } => self.step(Input::Guarded { key, outcome }),
            Notice::Finished { key, route, id, result } => self.finished(key, route, id, result),
            Notice::Disconnect { key, reason } => self.step(Input::Disconnect { key, reason }),
            Notice::Slow(limit) => self.slow(limit),
            Notice::Broken => self.lost(&io::ErrorKind::BrokenPipe.into()),
            Notice::Poll(_) | Notice::Post(..) | Notice::Candidate(_) => {
                self.notice_request(notice, cx);
            }
        }
    }

    fn notice_timer(&mut self, timer: Timer, due: Moment) {
        match timer {
            Timer::Linger => {
                // What the peer did not read by now it will not read.
                self.link.abort();
                self.ending = Ending::Done;
            }
            Timer::Stall => self.stalled(),
            Timer::Upgrade => self.release(),
            Timer::Silence if self.is_late(due) => self.put_silence_off(),
            Timer::Silence => self.look_for_silence(),
            Timer::Reconnect => {
                let drain = &self.shard.shared.drain;
                let within = drain.within(self.shard.now());
                let after_ms = drain.after_ms();
                self.step(Input::Drain { after_ms, busy: self.running > 0, within });
            }
            timer => {
                // Times go on from when this one was due, not from when the wheel came round;
                // unless all of the thread stood still.
                let since = if self.is_late(due) { self.shard.now() } else { due };
                self.step_since(Input::Timer(timer), since);
            }
        }
    }

    /// Whether all of the thread stood still since a timer was due.
    fn is_late(&self, due: Moment) -> bool {
        self.shard.now().since(due) > self.shard.shared.rules.bounds.tick * 2
    }

    fn stalled(&mut self) {
        let Some(at) = self.link.stalls_at(&self.shard.shared.rules.bounds) else { return };
        if at > self.shard.now() {
            self.shard.set_timer(&self.link, Timer::Stall, at);
        } else {
            self.slow("outbox_stall");
        }
    }

    /// The peer does not take what it is sent. A close frame would wait behind all the rest, so
    /// there is none.
    fn slow(&mut self, limit: &'static str) {
        self.shard.shared.services.metrics.limit(limit);
        tracing::debug!(limit, "a socket is too slow and is cut");
        self.link.closed.set(true);
        self.step(Input::Slow);
        self.link.abort();
        self.ending = Ending::Done;
    }

    /// Asks the state machine, and does what it says.
    fn step(&mut self, input: Input) {
        self.step_since(input, self.shard.now());
    }

    /// The same, with times that count from `since`.
    fn step_since(&mut self, input: Input, since: Moment) {
        let mut effects = self.shard.take_effects();
        let now = self.shard.now();
        self.protocol.step(&self.shard.shared.rules, now, input, &mut effects);
        for effect in effects.drain(..) {
            self.perform(effect, since);
        }
        self.shard.keep_effects(effects);
    }

    fn perform(&mut self, effect: Effect, since: Moment) {
        let shared = &self.shard.shared;
        match effect {
            Effect::Send(frame) => self.shard.send(&self.link, &frame, Class::Message),
            Effect::Set(timer, time) => {
                self.shard.set_timer(&self.link, timer, since.after(time));
            }
            Effect::Hasten(timer, time) => {
                let at = since.after(time);
                if self.link.timers.borrow().get(timer).is_none_or(|set| set > at) {
                    self.shard.set_timer(&self.link, timer, at);
                }
            }
            Effect::Clear(timer) => self.link.timers.borrow_mut().clear(timer),
            Effect::Confirm(credential) => self.confirm(credential, Notice::Confirmed),
            Effect::Renew(credential) => self.confirm(credential, Notice::Renewed),
            Effect::Readmit(args) => self.readmit(args),
            Effect::LookAgain(identity) => self.look_again(identity),
            Effect::NotConfirmed(code) => {
                shared.services.metrics.confirmation(code);
                lifecycle::not_confirmed(shared, code);
            }
            Effect::Guard { key, applicant } => {
                let info = self.info(applicant);
                self.guard(key, info);
            }
            Effect::Admit { key, applicant } => {
                let info = self.info(applicant);
                self.admit(key, info);
            }
            Effect::Enter { key, info } => self.admit(key, info),
            Effect::Event { key, id, name, args } => self.event(key, id, name, args),
            Effect::Answered { key, id, args } => {
                let asked = self.link.asks.borrow_mut().answered(key, id, args);
                if !asked {
                    self.step(Input::Unasked);
                }
            }
            Effect::Leave { key, reason } => self.leave(key, reason),
            Effect::Limit(limit) => shared.services.metrics.limit(limit),
            Effect::Close { code, reason, answer } => self.say_close(code, &reason, answer),
            Effect::Abort(code) => count_close(shared, code),
        }
    }

    fn info(&self, applicant: effect::Applicant) -> Arc<SocketInfo> {
        lifecycle::info(&self.shard.shared, &self.request, self.admitted.as_deref(), applicant)
    }

    fn admit(&mut self, key: effect::SocketKey, info: Arc<SocketInfo>) {
        if info.sid.is_some() {
            self.shard.shared.services.metrics.confirmation("confirmed");
        }
        self.permit = None;
        let local = lifecycle::admit(&self.shard, &self.link, key, info);
        // As with the protocol's members: room for just this one.
        self.sockets.reserve_exact(1);
        self.sockets.push(Live { local, lanes: Default::default() });
    }

    /// Asks the guards of a socket's nsp, as a task of its own.
    fn guard(&self, key: effect::SocketKey, info: Arc<SocketInfo>) {
        let (shared, link) = (Arc::clone(&self.shard.shared), Rc::clone(&self.link));
        actix_rt::spawn(async move {
            let outcome = lifecycle::guard(&shared, &info).await.map(|()| info);
            link.notify(Notice::Guarded { key, outcome });
        });
    }

    fn leave(&mut self, key: effect::SocketKey, reason: DisconnectReason) {
        let at = self.sockets.iter().position(|live| live.local.key == key);
        if let Some(at) = at {
            // Its waiting events are dropped with it.
            let live = self.sockets.swap_remove(at);
            self.shard.release_events(&self.link, live.lanes.waiting_bytes());
            self.link.asks.borrow_mut().leave(key);
            self.link.watches(|watches| watches.end_all(&live.local.info));
            let last_seen = since_epoch(self.link.heard.get(), self.shard.now());
            lifecycle::leave(&self.shard, &live.local, Departure { reason, last_seen });
        }
    }

    /// The node listens to what is for the confirmed user while the connection lives.
    fn attend(&mut self, judged: Judged) -> Result<Box<Confirmed>, ConfirmError> {
        judged.map(|(confirmed, attending)| {
            self.attending = Some(attending);
            confirmed
        })
    }

    fn confirm(&self, credential: Credential, tell: fn(Judged) -> Notice) {
        let (shared, link) = (Arc::clone(&self.shard.shared), Rc::clone(&self.link));
        let admitted = self.admitted.clone();
        actix_rt::spawn(async move {
            let result = confirmed(&shared, admitted.as_deref(), &credential).await;
            if let Err(ConfirmError::Unavailable(error)) = &result {
                tracing::debug!(%error, "a credential could not be judged");
            }
            link.notify(tell(result));
        });
    }

    /// Asks the session gate's own judge about another credential.
    fn readmit(&self, args: Args) {
        let (shared, link) = (Arc::clone(&self.shard.shared), Rc::clone(&self.link));
        let request = Arc::clone(&self.request);
        actix_rt::spawn(async move {
            let renewed = gate::renew(&shared, &request, args).await;
            link.notify(Notice::Readmitted(renewed));
        });
    }

    fn look_again(&self, identity: auth::Identity) {
        let (shared, link) = (Arc::clone(&self.shard.shared), Rc::clone(&self.link));
        actix_rt::spawn(async move {
            let outcome = shared.confirmer.look_again(&identity.sid, &identity.user_id).await;
            link.notify(Notice::LookedAgain(outcome.map(drop)));
        });
    }

    fn say_close(&mut self, code: CloseCode, reason: &CloseReason, answer: bool) {
        count_close(&self.shard.shared, code);
        for timer in [
            Timer::Heartbeat,
            Timer::Confirm,
            Timer::Fragment,
            Timer::Drain,
            Timer::Renewal,
            Timer::Admission,
        ] {
            self.link.timers.borrow_mut().clear(timer);
        }
        self.partial = BytesMut::new();
        self.permit = None;
        if self.link.is_polling() {
            if self.say_close_by_polling(code, reason) {
                self.link.abort();
                self.ending = Ending::Done;
            }
            return;
        }
        let frame = ws::encode::close(code, reason);
        self.shard.send(&self.link, &frame, Class::Farewell);
        self.link.closed.set(true);
        let at = self.shard.now().after(LINGER);
        self.shard.set_timer(&self.link, Timer::Linger, at);
        self.ending = Ending::Saying { answer };
    }
}

/// Judges a credential. A confirmed socket is on its user's private channel before anybody hears
/// that it is confirmed.
async fn confirmed(
    shared: &Shared,
    admitted: Option<&Admitted>,
    credential: &Credential,
) -> Judged {
    let confirmed = shared.confirmer.confirm(credential).await?;
    let user = admitted.and_then(|admitted| admitted.user.as_ref());
    if user.is_some_and(|user| *user != confirmed.user_id) {
        // The gate let in somebody else.
        return Err(ConfirmError::Refused);
    }
    let attending = shared.services.upkeep.attend(&confirmed.user_id).await;
    let attending = attending.map_err(SessionError::from)?;
    Ok((Box::new(confirmed), Box::new(attending)))
}

fn count_close(shared: &Shared, code: CloseCode) {
    shared.services.metrics.closed(code.name().unwrap_or("other"));
}

/// The data of the open packet.
fn open_json(shared: &Shared, sid: &Sid, upgrades: &[&str]) -> String {
    let bounds = &shared.rules.bounds;
    engine::Handshake {
        sid: &sid.to_string(),
        upgrades,
        ping_interval: millis(bounds.ping_interval),
        ping_timeout: millis(bounds.ping_timeout),
        max_payload: u64::try_from(bounds.frames.max_payload).unwrap_or(u64::MAX),
    }
    .to_json()
}

impl Actor for Connection {
    type Context = actix::Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let good_for = self.admitted.as_ref().and_then(|admitted| admitted.good_for);
        self.step(Input::Opened { good_for });
        self.decode();
        ctx.spawn(Drive);
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // Also where the thread ends under a connection: nothing may stay behind in the tables.
        for live in std::mem::take(&mut self.sockets) {
            lifecycle::forget(&self.shard, &live.local);
        }
        if let Some(sid) = &self.sid {
            self.shard.remove_session(sid);
        }
        self.link.close();
        self.shard.remove_link(&self.link);
    }
}

/// The one future of the actor.
struct Drive;

impl ActorFuture<Connection> for Drive {
    type Output = ();

    fn poll(
        self: Pin<&mut Self>,
        connection: &mut Connection,
        _: &mut actix::Context<Connection>,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        // A round has bounds of its own.
        let mut round = unconstrained(poll_fn(|cx| connection.drive(cx)));
        Pin::new(&mut round).poll(cx)
    }
}
