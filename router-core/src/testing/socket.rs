//! A client of a test system.

use std::sync::Arc;

use serde::{Serialize, de::DeserializeOwned};
use tokio::sync::oneshot;

use super::{
    hub::{Got, Mailbox},
    system::{Core, Jobs, on_thread, wait},
};
use crate::{
    address::Address,
    args::Args,
    clock,
    error::RouteError,
    handler::{Occasion, Services},
    route::{Hook, Router},
    session::SessionId,
    socket::{DisconnectReason, Socket},
};

/// An admitted socket, as a client sees it.
#[derive(Debug)]
pub struct TestSocket {
    pub(super) core: Arc<Core>,
    pub(super) jobs: Jobs,
    pub(super) socket: Socket,
    pub(super) mailbox: Arc<Mailbox>,
}

/// What an event was acknowledged with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ack(Result<Args, RouteError>);

/// An acknowledgement that the client owes. Dropped, it is never given.
#[derive(Debug)]
pub struct Asked(oneshot::Sender<Args>);

impl Asked {
    /// Acknowledges with one value.
    ///
    /// # Panics
    /// When the value cannot be written as JSON.
    pub fn answer<T: Serialize + ?Sized>(self, value: &T) {
        // The server may have given up.
        let _late = self.0.send(Args::one(value).expect("JSON"));
    }
}

impl TestSocket {
    /// Where the socket lives.
    pub fn address(&self) -> &Address {
        self.socket.address()
    }

    /// The socket's session, where it has one.
    pub fn session_id(&self) -> Option<&SessionId> {
        self.socket.session_id()
    }

    /// The socket as a handler holds it: to join and leave rooms without a handler.
    pub fn handle(&self) -> &Socket {
        &self.socket
    }

    /// Emits an event with one argument and waits for its acknowledgement.
    ///
    /// # Panics
    /// When the payload cannot be written as JSON.
    pub async fn push<T: Serialize + ?Sized>(&self, event: &str, payload: &T) -> Ack {
        self.push_args(event, Args::one(payload).expect("JSON")).await
    }

    /// Emits an event with several arguments and waits for its acknowledgement.
    ///
    /// # Panics
    /// When a payload cannot be written as JSON.
    pub async fn push_many<T: Serialize>(&self, event: &str, payloads: &[T]) -> Ack {
        self.push_args(event, Args::many(payloads).expect("JSON")).await
    }

    /// Emits an event with arguments as they are, and waits for its acknowledgement.
    pub async fn push_args(&self, event: &str, args: Args) -> Ack {
        let Some(found) = self.core.router.find_for(event, self.socket.info()) else {
            return Ack(Err(Router::unknown_event(&self.core.services.metrics)));
        };
        let mut message = self.core.message(&self.socket, Occasion::Event, event);
        message.args = args;
        let core = Arc::clone(&self.core);
        let run = move || async move { core.router.run(found, message).await };
        Ack(on_thread(&self.jobs, run).await)
    }

    /// The next event of this name that the socket got, its payload read as a `T`.
    ///
    /// # Panics
    /// When none came in time, or its payload is no `T`.
    pub async fn assert_received<T: DeserializeOwned>(&self, event: &str) -> T {
        self.got(event).await.args.first().expect("the payload is a T")
    }

    /// The next event of this name that the socket got, all its arguments read as a tuple or list.
    ///
    /// # Panics
    /// When none came in time, or its arguments are no `T`.
    pub async fn assert_received_all<T: DeserializeOwned>(&self, event: &str) -> T {
        self.got(event).await.args.all().expect("the arguments are a T")
    }

    /// The next event of this name that the socket got and is to acknowledge, its payload read as a
    /// `T`.
    ///
    /// # Panics
    /// When none came in time, its payload is no `T`, or it asks for no acknowledgement.
    pub async fn assert_asked<T: DeserializeOwned>(&self, event: &str) -> (T, Asked) {
        let got = self.got(event).await;
        let payload = got.args.first().expect("the payload is a T");
        (payload, Asked(got.answer.expect("the event asks for an acknowledgement")))
    }

    async fn got(&self, event: &str) -> Got {
        let got = wait(&self.mailbox.changed, || self.mailbox.take(event)).await;
        got.unwrap_or_else(|| panic!("no {event} was received, but {:?}", self.mailbox.names()))
    }

    /// Takes the oldest event of this name that has come until now, its payload read as a `T`.
    ///
    /// # Panics
    /// When its payload is no `T`.
    pub fn received<T: DeserializeOwned>(&self, event: &str) -> Option<T> {
        self.mailbox.take(event).map(|got| got.args.first().expect("the payload is a T"))
    }

    /// Asserts that no event of this name has come until now. What was emitted on the socket's own
    /// node before has come by then.
    ///
    /// # Panics
    /// When one has.
    pub fn assert_not_received(&self, event: &str) {
        let got = self.mailbox.take(event).map(|got| got.args);
        assert!(got.is_none(), "{event} was received: {got:?}");
    }

    /// Asserts that the socket has been sent away, and why.
    ///
    /// # Panics
    /// When it was not in time.
    pub async fn assert_disconnected(&self) -> DisconnectReason {
        let gone = wait(&self.mailbox.changed, || self.mailbox.gone()).await;
        gone.expect("the socket was sent away")
    }

    /// Closes the socket as its client does, and runs the disconnect hook.
    pub async fn disconnect(self) {
        self.end(DisconnectReason::Client).await;
    }

    /// Breaks the socket's connection, as a network does, and runs the disconnect hook.
    pub async fn lose(self) {
        self.end(DisconnectReason::TransportClosed).await;
    }

    async fn end(self, reason: DisconnectReason) {
        self.core.remove(&self.socket, reason.clone());
        let (core, socket, gone) = (Arc::clone(&self.core), self.socket.clone(), reason.clone());
        let depart = move || async move {
            let Services { upkeep, .. } = &*core.services;
            upkeep.depart(&core.services, &socket, &gone, clock::millis()).await;
        };
        on_thread(&self.jobs, depart).await;
        self.hook(Hook::Disconnect, Occasion::Disconnect(reason)).await;
    }

    pub(super) async fn hook(&self, hook: Hook, occasion: Occasion) {
        let message = self.core.message(&self.socket, occasion, "");
        let core = Arc::clone(&self.core);
        on_thread(&self.jobs, move || async move {
            if let Some(run) = core.router.hook(hook, message) {
                run.await;
            }
        })
        .await;
    }
}

impl Ack {
    /// The acknowledged value.
    ///
    /// # Panics
    /// When the event was answered with an error, or the value is no `T`.
    pub fn ok<T: DeserializeOwned>(self) -> T {
        match self.0 {
            Ok(args) => args.first().expect("the acknowledgement is a T"),
            Err(error) => panic!("the event was answered with an error: {error}"),
        }
    }

    /// Asserts that the event was answered with an error of this code, and returns it.
    ///
    /// # Panics
    /// When it was not.
    pub fn assert_error(self, code: &str) -> RouteError {
        match self.0 {
            Err(error) if error.code() == code => error,
            other => panic!("expected the error {code}, got {other:?}"),
        }
    }

    /// The acknowledgement as it is.
    ///
    /// # Errors
    /// The error that the event was answered with.
    pub fn into_result(self) -> Result<Args, RouteError> {
        self.0
    }
}
