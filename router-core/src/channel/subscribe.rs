//! How a socket comes to be on a channel, and off it.
//!
//! What is done for one socket on one channel follows each other: gates, the bus's confirmation, the
//! index, hooks. A failure on the way takes back what was done.

use std::sync::Arc;

use bytestring::ByteString;
use futures_util::future::join_all;

use super::{
    ChannelHook, ChannelName, Position, SubscribeError,
    local::{Change, Seat},
    message,
    node::ChannelNode,
    roster::Gone,
    rules::Rules,
};
use crate::{
    address::TenantId,
    args::Args,
    error::{RouteError, code},
    handler::{ErasedHandler, Message, Occasion, Services},
    presence::Profile,
    route::dispatch::guarded,
    session::SessionId,
    socket::{JoinError, Recipients, Socket, SocketJob},
};

/// How a socket wants to be on a channel.
#[derive(Debug, Clone, Default)]
pub(super) struct Wish {
    /// The client's query, as the text of arguments.
    pub(super) query: ByteString,
    /// Whether the server itself puts the socket there: no gate is asked.
    pub(super) by_server: bool,
    /// What the client says of itself on the roster; `None` if it only watches.
    pub(super) profile: Option<Profile>,
}

/// What refuses without a reason: the same for every channel, whether somebody is there or not.
pub(super) fn refused() -> RouteError {
    RouteError::new(code::REFUSED, "This channel cannot be subscribed to.")
}

impl ChannelNode {
    /// Puts a socket on a channel. When this returns, the bus has confirmed that the node listens to
    /// it: what is published after the returned position arrives.
    pub(super) async fn subscribe(
        &self,
        services: &Arc<Services>,
        socket: &Socket,
        name: &ChannelName,
        wish: Wish,
    ) -> Result<Position, SubscribeError> {
        let Some(tid) = socket.address().tid() else { return Err(JoinError::Gone.into()) };
        if self.limits().subscription_query.exceeded_by(wish.query.len() as u64) {
            self.metrics().limit("subscription_query");
            return Err(SubscribeError::QueryTooLong);
        }
        let _turn = self.seats.take((tid.clone(), name.clone())).await;
        let rules = self.rules(name);
        if !wish.by_server
            && let Err(error) = self.judge(services, socket, name, &rules, &wish.query).await
        {
            // Asked again, the gates may have changed their mind.
            self.take_off(services, socket, name, Gone::Left).await;
            return Err(SubscribeError::Refused(error));
        }
        self.hub.subscribe(tid, name, self.key(name)).await?;
        let seat = Seat { query: wish.query, present: wish.profile.is_some() };
        self.enter(services, socket, name, seat, &rules).await;
        if self.hub.find(tid).is_none() {
            // It went meanwhile; whoever let it go may have looked too early.
            self.take_off(services, socket, name, Gone::Left).await;
            return Err(JoinError::Gone.into());
        }
        if let Some(profile) = wish.profile
            && let Err(error) = self.appear(socket, name, &rules, profile).await
        {
            self.take_off(services, socket, name, Gone::Left).await;
            return Err(SubscribeError::Presence(error));
        }
        match self.position(name).await {
            Ok(position) => Ok(position),
            Err(error) => {
                self.take_off(services, socket, name, Gone::Left).await;
                Err(SubscribeError::Unavailable(error))
            }
        }
    }

    /// Takes a socket off a channel; nothing if it is not on it.
    pub(super) async fn unsubscribe(
        &self,
        services: &Arc<Services>,
        socket: &Socket,
        name: &ChannelName,
        gone: Gone,
    ) {
        let Some(tid) = socket.address().tid() else { return };
        let _turn = self.seats.take((tid.clone(), name.clone())).await;
        self.take_off(services, socket, name, gone).await;
    }

    /// A socket is gone: it is on nothing any more. Returns when the hooks have seen it.
    pub(super) async fn depart(&self, services: &Arc<Services>, socket: &Socket, gone: Gone) {
        let Some(tid) = socket.address().tid() else { return };
        self.requests.forget(tid);
        let seats = self.local().seats(tid);
        join_all(seats.iter().map(|name| self.unsubscribe(services, socket, name, gone))).await;
    }

    /// Asks the gates whether a socket may be on a channel.
    async fn judge(
        &self,
        services: &Arc<Services>,
        socket: &Socket,
        name: &ChannelName,
        rules: &Rules,
        query: &ByteString,
    ) -> Result<(), RouteError> {
        if !rules.is_open {
            return Err(refused());
        }
        if rules.gates.is_empty() {
            return Ok(());
        }
        let Ok(_place) = self.gate.enter().await else {
            self.metrics().limit("route_queue");
            return Err(RouteError::overloaded(1_000));
        };
        let args = Args::from_checked_json(query.clone(), Vec::new());
        let occasion = Occasion::Subscription(name.clone());
        let message = message_for(services, socket, occasion, name.text(), args);
        let asked = async {
            for gate in &rules.gates {
                ask(gate, message.clone()).await?;
            }
            Ok(())
        };
        self.in_time(asked).await.unwrap_or_else(|| Err(RouteError::unavailable()))
    }

    /// The outcome of what user code does, if it comes within the limit `gate_timeout`.
    pub(super) async fn in_time<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let Some(most) = self.limits().gate_timeout.get() else { return Some(work.await) };
        let outcome = tokio::time::timeout(most, work).await.ok();
        if outcome.is_none() {
            self.metrics().limit("gate_timeout");
        }
        outcome
    }

    async fn enter(
        &self,
        services: &Arc<Services>,
        socket: &Socket,
        name: &ChannelName,
        seat: Seat,
        rules: &Rules,
    ) {
        let Some(tid) = socket.address().tid() else { return };
        let moment =
            if rules.has_hooks() { Some(self.moments.take(name.clone()).await) } else { None };
        let rules = self.rules(name);
        let change = self.local().enter(tid, name, seat, &rules);
        if moment.is_none() || change == Change::Nothing {
            return;
        }
        if change == Change::Edge {
            self.run_hooks(services, socket, name, &rules, ChannelHook::Opened).await;
        }
        self.run_hooks(services, socket, name, &rules, ChannelHook::Subscribed).await;
    }

    /// Takes a socket off, in its turn.
    async fn take_off(
        &self,
        services: &Arc<Services>,
        socket: &Socket,
        name: &ChannelName,
        gone: Gone,
    ) {
        let Some(tid) = socket.address().tid() else { return };
        let Some(rules) = self.local().here(name).map(|here| Arc::clone(&here.rules)) else {
            // The index may know it all the same, when the way there was broken off.
            return self.hub.unsubscribe(tid, name).await;
        };
        let moment =
            if rules.has_hooks() { Some(self.moments.take(name.clone()).await) } else { None };
        self.hub.unsubscribe(tid, name).await;
        let (change, seat) = self.local().leave(tid, name);
        if seat.is_some_and(|seat| seat.present) {
            self.disappear(socket, name, gone).await;
        }
        if moment.is_none() || change == Change::Nothing {
            return;
        }
        self.run_hooks(services, socket, name, &rules, ChannelHook::Unsubscribed).await;
        if change == Change::Edge {
            self.run_hooks(services, socket, name, &rules, ChannelHook::Closed).await;
        }
    }

    async fn run_hooks(
        &self,
        services: &Arc<Services>,
        socket: &Socket,
        name: &ChannelName,
        rules: &Rules,
        hook: ChannelHook,
    ) {
        for handler in rules.hooks(hook) {
            let occasion = Occasion::ChannelHook(hook, name.clone());
            let message = message_for(services, socket, occasion, name.text(), Args::EMPTY);
            match self.in_time(guarded(handler, message)).await {
                Some(Ok(_)) => {}
                Some(Err(error)) => {
                    // Its text may quote what a client sent, which stays out of logs.
                    tracing::warn!(?hook, code = error.code(), "a hook of a channel failed");
                }
                None => tracing::warn!(?hook, "a hook of a channel did not end in time"),
            }
        }
    }

    /// A session changed: the gates of its sockets' channels are asked again, and the clients told.
    pub(super) async fn judge_session(self: Arc<Self>, sid: SessionId) {
        let Some(services) = self.services() else { return };
        let node = Arc::clone(&self);
        // Gates run where the socket's handlers do.
        let job = SocketJob::new(move |info| {
            let (node, services) = (Arc::clone(&node), Arc::clone(&services));
            async move {
                let socket = Socket::new(info, Arc::clone(&services.hub));
                node.judge_again(&services, &socket).await;
            }
        });
        self.hub.run(Recipients::Session(sid), job).await;
    }

    async fn judge_again(&self, services: &Arc<Services>, socket: &Socket) {
        let Some(tid) = socket.address().tid() else { return };
        let seats = self.local().seats(tid);
        join_all(seats.iter().map(|name| self.judge_seat(services, socket, tid, name))).await;
        let told = message::session(socket.user_id());
        if let Err(error) = socket.emit_args(message::SESSION, told).await {
            tracing::debug!(%error, "a socket was not told that its session changed");
        }
    }

    async fn judge_seat(
        &self,
        services: &Arc<Services>,
        socket: &Socket,
        tid: &TenantId,
        name: &ChannelName,
    ) {
        let _turn = self.seats.take((tid.clone(), name.clone())).await;
        let Some(query) = self.local().seat(tid, name).map(|seat| seat.query.clone()) else {
            return;
        };
        let rules = self.rules(name);
        if let Err(error) = self.judge(services, socket, name, &rules, &query).await {
            self.take_off(services, socket, name, Gone::Left).await;
            let told = message::unsubscribed(name, error);
            if let Err(error) = socket.emit_args(message::UNSUBSCRIBED, told).await {
                tracing::debug!(%error, "a socket was not told that it is off a channel");
            }
        }
    }
}

/// A message for a handler that is asked about a socket on a channel.
pub(super) fn message_for(
    services: &Arc<Services>,
    socket: &Socket,
    occasion: Occasion,
    event: ByteString,
    args: Args,
) -> Message {
    Message {
        occasion,
        event,
        args,
        origin: socket.address().clone(),
        socket: Some(socket.clone()),
        services: Arc::clone(services),
    }
}

/// Asks a gate. One that panicked did not refuse: the client may try again.
pub(super) async fn ask(gate: &ErasedHandler, message: Message) -> Result<Args, RouteError> {
    guarded(gate, message).await.map_err(|error| match error.code() {
        code::INTERNAL => RouteError::unavailable(),
        _ => error,
    })
}
