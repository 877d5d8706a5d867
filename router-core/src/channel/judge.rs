//! What gates say: of a socket that wants to be on a channel, and again when its session changes.

use std::{sync::Arc, time::Duration};

use bytestring::ByteString;
use futures_util::future::join_all;

use super::{
    ChannelName, message,
    moments::Hooks,
    node::ChannelNode,
    roster::Gone,
    rules::{Asked, Rules},
};
use crate::{
    args::Args,
    error::{RouteError, code},
    handler::{Message, Occasion, Services},
    route::dispatch::guarded,
    session::SessionId,
    socket::{Recipients, Socket, SocketJob},
};

/// How long, and how often, a second judgement waits that found too many before it.
const PATIENCE: Duration = Duration::from_millis(100);
const ATTEMPTS: usize = 20;

/// What refuses without a reason: the same for every channel, whether somebody is there or not.
pub(super) fn refused() -> RouteError {
    RouteError::new(code::REFUSED, "This channel cannot be subscribed to.")
}

/// Whether an error says that nobody could judge, so that the client may ask again.
pub(super) fn is_passing(error: &RouteError) -> bool {
    matches!(error.code(), code::UNAVAILABLE | code::OVERLOADED | code::TIMEOUT)
}

impl ChannelNode {
    /// Asks the gates whether a socket may be on a channel.
    pub(super) async fn judge(
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
        let occasion = Occasion::Subscription(name.clone());
        let args = Args::from_checked_json(query.clone(), Vec::new());
        let message = Message::of(services, socket.clone(), occasion, name.text(), args);
        for gate in &rules.gates {
            self.ask_gate(gate, message.clone()).await?;
        }
        Ok(())
    }

    /// Asks a gate, of a subscription or of what is to be published. One that panicked or took too
    /// long did not refuse: the client may try again.
    pub(super) async fn ask_gate(
        &self,
        gate: &Asked,
        message: Message,
    ) -> Result<Args, RouteError> {
        let Ok(_place) = gate.pool.enter().await else {
            self.metrics().limit("route_queue");
            return Err(RouteError::overloaded(1_000));
        };
        let outcome = self.in_time(guarded(&gate.handler, message)).await;
        match outcome.unwrap_or_else(|| Err(RouteError::unavailable())) {
            Err(error) if error.code() == code::INTERNAL => Err(RouteError::unavailable()),
            outcome => outcome,
        }
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

    async fn judge_again(self: &Arc<Self>, services: &Arc<Services>, socket: &Socket) {
        let Some(tid) = socket.address().tid() else { return };
        // Also those of which gates said something before the change, and which are not there yet.
        let names = self.channels_of(tid);
        join_all(names.iter().map(|name| self.judge_seat(services, socket, name))).await;
        let told = message::session(socket.user_id());
        if let Err(error) = socket.emit_args(message::SESSION, told).await {
            tracing::debug!(%error, "a socket was not told that its session changed");
        }
    }

    async fn judge_seat(
        self: &Arc<Self>,
        services: &Arc<Services>,
        socket: &Socket,
        name: &ChannelName,
    ) {
        let Some(tid) = socket.address().tid() else { return };
        let turn = self.seats.take((tid.clone(), name.clone())).await;
        let Some(seat) = self.local().seat(tid, name).cloned() else { return };
        if seat.by_server {
            return;
        }
        let rules = self.rules(name);
        let mut outcome = self.judge(services, socket, name, &rules, &seat.query).await;
        for _ in 0..ATTEMPTS {
            if !outcome.as_ref().is_err_and(|error| error.code() == code::OVERLOADED) {
                break;
            }
            // Many sessions may change at once, which is no fault of this one.
            tokio::time::sleep(PATIENCE).await;
            outcome = self.judge(services, socket, name, &rules, &seat.query).await;
        }
        let Err(error) = outcome else { return };
        let mut moments = Vec::new();
        let gone = if is_passing(&error) { Gone::now() } else { Gone::Left };
        self.take_off(socket, name, gone, &mut moments).await;
        drop(turn);
        let told = message::unsubscribed(name, error);
        if let Err(error) = socket.emit_args(message::UNSUBSCRIBED, told).await {
            tracing::debug!(%error, "a socket was not told that it is off a channel");
        }
        self.run_moments(services, moments, Hooks::Await).await;
    }
}
