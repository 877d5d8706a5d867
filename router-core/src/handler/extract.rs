//! The extractors that handlers take as arguments.

use std::{
    any::{Any, TypeId, type_name},
    collections::HashMap,
    fmt,
    future::Future,
    ops::Deref,
    sync::Arc,
};

use bytestring::ByteString;
use serde::de::DeserializeOwned;

use super::{Message, Occasion, Services};
use crate::{
    address::Address,
    args::Args,
    bus::Bus,
    error::{RouteError, code},
    session::{Session, SessionDocument},
    socket::{DisconnectReason, Handshake, Io, LocalSockets, Socket},
};

/// What a handler can take as an argument.
///
/// See [the table of extractors](crate::handler#extractors).
#[diagnostic::on_unimplemented(
    message = "a handler cannot take `{Self}` as an argument",
    label = "`{Self}` is no extractor",
    note = "wrap a type of your own as `Payload<{Self}>` to read it from the event's first argument",
    note = "the table of extractors stands in the documentation of `router_core::handler`"
)]
pub trait FromMessage: Sized {
    /// Makes the argument, or the error that the event is answered with.
    fn from_message(message: &Message) -> impl Future<Output = Result<Self, RouteError>>;
}

/// The event's first argument, read as a `T`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Payload<T>(pub T);

impl<T: DeserializeOwned> FromMessage for Payload<T> {
    async fn from_message(message: &Message) -> Result<Self, RouteError> {
        message.args.first().map(Self).map_err(|fault| {
            RouteError::new(code::BAD_PAYLOAD, fault.reason).with("path", fault.path)
        })
    }
}

impl FromMessage for Args {
    async fn from_message(message: &Message) -> Result<Self, RouteError> {
        Ok(message.args.clone())
    }
}

impl<T: DeserializeOwned> FromMessage for Session<T> {
    async fn from_message(message: &Message) -> Result<Self, RouteError> {
        let none = || RouteError::new(code::NO_SESSION, "There is no session.");
        let sid = message.socket().and_then(Socket::session_id).ok_or_else(none)?;
        let sessions = &message.services.sessions;
        match &message.occasion {
            // The record is gone; its last state came with the word of its end.
            Occasion::Disconnect(DisconnectReason::SessionEnded(Some(last))) => {
                Ok(Self::from_document(sessions, sid, SessionDocument::clone(last))?)
            }
            _ => Ok(Self::load(sessions, sid).await?),
        }
    }
}

impl FromMessage for Socket {
    async fn from_message(message: &Message) -> Result<Self, RouteError> {
        let gone = || RouteError::new(code::NODE_GONE, "The socket is not on this node.");
        message.socket().cloned().ok_or_else(gone)
    }
}

impl FromMessage for LocalSockets {
    async fn from_message(message: &Message) -> Result<Self, RouteError> {
        Ok(Self::new(Arc::clone(&message.services.hub)))
    }
}

impl FromMessage for Handshake {
    async fn from_message(message: &Message) -> Result<Self, RouteError> {
        Ok(Socket::from_message(message).await?.handshake().clone())
    }
}

impl FromMessage for Io {
    async fn from_message(message: &Message) -> Result<Self, RouteError> {
        let Services { hub, bus, .. } = &*message.services;
        let nsp = message.socket().map_or("/", Socket::nsp);
        Ok(Self::new(Arc::clone(hub), bus.clone(), nsp))
    }
}

impl FromMessage for Bus {
    async fn from_message(message: &Message) -> Result<Self, RouteError> {
        Ok(message.services.bus.clone())
    }
}

impl<E: FromMessage> FromMessage for Option<E> {
    async fn from_message(message: &Message) -> Result<Self, RouteError> {
        Ok(E::from_message(message).await.ok())
    }
}

impl<E: FromMessage> FromMessage for Result<E, RouteError> {
    async fn from_message(message: &Message) -> Result<Self, RouteError> {
        Ok(E::from_message(message).await)
    }
}

/// Who sent a message: a client's socket, or a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin(pub Address);

impl FromMessage for Origin {
    async fn from_message(message: &Message) -> Result<Self, RouteError> {
        Ok(Self(message.origin.clone()))
    }
}

/// An event's whole name, `route.method`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventName(pub ByteString);

impl FromMessage for EventName {
    async fn from_message(message: &Message) -> Result<Self, RouteError> {
        Ok(Self(message.event.clone()))
    }
}

impl FromMessage for DisconnectReason {
    async fn from_message(message: &Message) -> Result<Self, RouteError> {
        match &message.occasion {
            Occasion::Disconnect(reason) => Ok(reason.clone()),
            _ => Err(RouteError::internal()),
        }
    }
}

/// The code of the error with which a socket was not confirmed: `session_refused`, `unavailable`
/// or `auth_timeout`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConfirmFailure(pub &'static str);

impl FromMessage for ConfirmFailure {
    async fn from_message(message: &Message) -> Result<Self, RouteError> {
        match message.occasion {
            Occasion::NotConfirmed(code) => Ok(Self(code)),
            _ => Err(RouteError::internal()),
        }
    }
}

/// What the program registered under the type `T`, shared by all handlers.
///
/// Rejects with `internal`, and logs the type's name, when nothing was registered.
#[derive(Debug)]
pub struct Data<T: ?Sized>(Arc<T>);

impl<T: ?Sized> Clone for Data<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: ?Sized> Deref for Data<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Send + Sync + 'static> FromMessage for Data<T> {
    async fn from_message(message: &Message) -> Result<Self, RouteError> {
        message.services.data.get::<T>().map(Self).ok_or_else(|| {
            let missing = type_name::<T>();
            tracing::error!(missing, "no data of this type was registered with the service");
            RouteError::internal()
        })
    }
}

/// Values by their type.
#[derive(Clone, Default)]
pub struct DataMap(HashMap<TypeId, Arc<dyn Any + Send + Sync>>);

impl DataMap {
    /// Registers `value`, in place of a former one of the same type.
    pub fn insert<T: Send + Sync + 'static>(&mut self, value: T) {
        self.0.insert(TypeId::of::<T>(), Arc::new(value));
    }

    /// Registers a value that others hold too.
    pub fn insert_shared<T: Send + Sync + 'static>(&mut self, value: Arc<T>) {
        self.0.insert(TypeId::of::<T>(), value);
    }

    /// The value of this type.
    pub fn get<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        Arc::clone(self.0.get(&TypeId::of::<T>())?).downcast().ok()
    }
}

impl fmt::Debug for DataMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DataMap({} types)", self.0.len())
    }
}
