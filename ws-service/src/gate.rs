//! The session gate: a function of the program that is asked about every opening request, on every
//! transport, before a socket exists.

use std::{borrow::Cow, fmt, panic::AssertUnwindSafe, rc::Rc, sync::Arc, time::Duration};

use futures_util::{FutureExt as _, future::LocalBoxFuture};
use router_core::{
    Args,
    bus::Wanted,
    handler::DataMap,
    session::{SessionId, UserId},
    socket::{Handshake, OpeningRequest},
};

use crate::{connection::Guest, respond::Answer, shared::Shared};

/// With what a gate lets a connection in.
///
/// The user and session are those of the connection's sockets in nsps with
/// [`Auth::Open`](crate::Auth::Open), which are then on the private channels of both. In nsps under
/// session-sync a socket shows its credential all the same, and it must be the same user's: a cookie
/// alone, which a browser sends along with any page's request, confirms nobody there.
#[derive(Debug, Default)]
pub struct Admission {
    user: Option<UserId>,
    session: Option<SessionId>,
    locals: DataMap,
    good_for: Option<Duration>,
}

impl Admission {
    /// Of nobody in particular.
    pub fn anonymous() -> Self {
        Self::default()
    }

    /// Of this user.
    pub fn user(user: UserId) -> Self {
        Self { user: Some(user), ..Self::default() }
    }

    /// Of this user, with a session of Whisk's own: one that the web-service or `Sessions` made. A
    /// session that does not live sends the sockets away at once.
    pub fn session(user: UserId, session: SessionId) -> Self {
        Self { session: Some(session), ..Self::user(user) }
    }

    /// With a value that handlers find by its type: `Socket::granted`.
    #[must_use]
    pub fn with<T: Send + Sync + 'static>(mut self, value: T) -> Self {
        self.locals.insert(value);
        self
    }

    /// For this time, as a token that expires says. The client is asked for another credential
    /// before (see [`SessionGate::renew`]); not renewed, the connection is closed with 4005
    /// `auth_expired`, and the client comes back through the gate.
    #[must_use]
    pub fn good_for(mut self, time: Duration) -> Self {
        self.good_for = Some(time);
        self
    }
}

/// Why a gate does not let a connection in: what the HTTP answer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    status: u16,
    reason: Cow<'static, str>,
}

impl Refusal {
    /// 403, and why.
    pub fn forbidden(reason: impl Into<Cow<'static, str>>) -> Self {
        Self { status: 403, reason: reason.into() }
    }

    /// Another status of 400 to 599, and why; 403 in place of what is no such status.
    pub fn new(status: u16, reason: impl Into<Cow<'static, str>>) -> Self {
        let status = if (400..600).contains(&status) { status } else { 403 };
        Self { status, reason: reason.into() }
    }
}

type Gate = dyn Fn(Handshake) -> LocalBoxFuture<'static, Result<Admission, Refusal>> + Send + Sync;
type Renew =
    dyn Fn(Args, Handshake) -> LocalBoxFuture<'static, Result<Duration, Refusal>> + Send + Sync;

/// Who may open connections: an async function of the opening request, which
/// [`Handshake`] gives: headers, cookies, address, query, origin.
///
/// ```
/// use router_core::{session::UserId, socket::Handshake};
/// use ws_service::{Admission, Refusal, SessionGate};
///
/// /// What the program knows of a visitor.
/// struct Visitor {
///     name: String,
/// }
///
/// let gate = SessionGate::new(async |request: Handshake| {
///     let name = request.cookie("visitor").ok_or_else(|| Refusal::forbidden("Log in first."))?;
///     let user = UserId::new(name.clone()).ok_or_else(|| Refusal::new(400, "No such name."))?;
///     Ok(Admission::user(user).with(Visitor { name }))
/// });
/// ```
#[derive(Clone)]
pub struct SessionGate {
    gate: Arc<Gate>,
    renew: Option<Arc<Renew>>,
}

impl fmt::Debug for SessionGate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionGate").field("renews", &self.renew.is_some()).finish()
    }
}

impl SessionGate {
    /// A gate that asks `gate`. Its future runs on the connection's thread and need not be `Send`.
    /// One that does not answer within the limit `gate_timeout`, or panics, refuses with 503.
    pub fn new<F>(gate: impl Fn(Handshake) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Admission, Refusal>> + 'static,
    {
        Self { gate: Arc::new(move |request| Box::pin(gate(request))), renew: None }
    }

    /// Judges what a client answers when its admission runs out: for how long it is good from now on.
    /// The client is asked by `whisk.auth.request` with `{"for":"admission"}`, on one of its sockets.
    #[must_use]
    pub fn renew<F>(mut self, renew: impl Fn(Args, Handshake) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Duration, Refusal>> + 'static,
    {
        let renew: Arc<Renew> = Arc::new(move |args, request| Box::pin(renew(args, request)));
        self.renew = Some(renew);
        self
    }
}

/// A connection that the gate let in.
#[derive(Debug)]
pub(crate) struct Admitted {
    pub(crate) user: Option<UserId>,
    pub(crate) session: Option<SessionId>,
    pub(crate) locals: Arc<DataMap>,
    pub(crate) good_for: Option<Duration>,
    /// Keeps the node listening to what is for the user.
    _attending: Option<Wanted>,
}

/// Asks the gate about a guest, if there is one.
///
/// # Errors
/// The answer to the request.
pub(crate) async fn admit(shared: &Shared, guest: Guest) -> Result<Guest, Answer> {
    let Some(gate) = &shared.gate else { return Ok(guest) };
    let request = Handshake::new(Arc::clone(&guest.request), None);
    let admission = in_time(shared, || (gate.gate)(request)).await??;
    let Admission { user, session, locals, good_for } = admission;
    let attending = match &user {
        Some(user) => {
            let attending = shared.services.upkeep.attend(user).await;
            Some(attending.map_err(|_| Answer::UNAVAILABLE)?)
        }
        None => None,
    };
    let locals = Arc::new(locals);
    let admitted = Admitted { user, session, locals, good_for, _attending: attending };
    Ok(Guest { admitted: Some(Rc::new(admitted)), ..guest })
}

/// Judges another credential of an admitted connection.
pub(crate) async fn renew(shared: &Shared, request: &Arc<OpeningRequest>, args: Args) -> Renewed {
    let renew = shared.gate.as_ref().and_then(|gate| gate.renew.as_ref());
    let Some(renew) = renew else { return Renewed::Refused };
    let request = Handshake::new(Arc::clone(request), None);
    match in_time(shared, || renew(args, request)).await {
        Ok(Ok(good_for)) => Renewed::For(good_for),
        Ok(Err(_)) => Renewed::Refused,
        Err(_) => Renewed::Unknown,
    }
}

/// What became of a renewal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Renewed {
    /// Good for this time from now on.
    For(Duration),
    /// The credential is not good.
    Refused,
    /// Nobody could tell.
    Unknown,
}

/// The outcome of user code that may hang or panic.
async fn in_time<T, F: Future<Output = T>>(
    shared: &Shared,
    work: impl FnOnce() -> F,
) -> Result<T, Answer> {
    // What a panic leaves half done is dropped with the future.
    let work = AssertUnwindSafe(async { work().await }).catch_unwind();
    let metrics = &shared.services.metrics;
    let outcome = match shared.rules.bounds.gate_timeout {
        Some(most) => tokio::time::timeout(most, work).await.inspect_err(|_| {
            metrics.limit("gate_timeout");
        }),
        None => Ok(work.await),
    };
    outcome.map_err(|_| Answer::UNAVAILABLE)?.map_err(|_| {
        metrics.handler_panics.inc();
        tracing::error!("the session gate panicked");
        Answer::UNAVAILABLE
    })
}

impl From<Refusal> for Answer {
    fn from(Refusal { status, reason }: Refusal) -> Self {
        // Engine.IO's shape; 4 is its code of what an application forbids.
        let body = serde_json::json!({ "code": 4, "message": reason });
        Self::new(status, body.to_string())
    }
}
