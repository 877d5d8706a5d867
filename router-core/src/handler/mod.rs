//! Handlers: async functions of extractors, and how their arguments and results are made.
//!
//! A handler is a plain async function. It has no base class and no macro: [`Handler`] is
//! implemented for every `Fn` of up to eight arguments which are all [`FromMessage`] and whose
//! result is an [`IntoReply`].
//!
//! # Extractors
//!
//! | argument | gives | rejects with |
//! |---|---|---|
//! | [`Payload<T>`](crate::Payload) | the first argument as a `T` | `bad_payload` and the path |
//! | [`Args`](crate::Args) | all arguments as they came | never |
//! | [`Session<T>`](crate::session::Session) | the sender's session, newest state | `no_session`, `bad_session`, `unavailable` |
//! | [`Socket`](crate::socket::Socket) | the sender; in an observer, the tenant | `node_gone` |
//! | [`Handshake`](crate::socket::Handshake) | with what the socket's client came | `node_gone` |
//! | `Option<E>` | the extractor `E`, `None` where it rejects | never |
//! | `Result<E, RouteError>` | the extractor `E`, or why not | never |
//! | [`LocalSockets`](crate::socket::LocalSockets) | all sockets of this node | never |
//! | [`Io`](crate::socket::Io) | the sockets of all nodes, in the sender's nsp or `/` | never |
//! | [`Channels`](crate::channel::Channels) | all channels of the site | never |
//! | [`Channel`](crate::channel::Channel) | the channel that is asked about | `internal` elsewhere |
//! | [`Bus`](crate::bus::Bus) | the bus, as this node | never |
//! | [`Data<T>`](crate::Data) | what the program registered | `internal` |
//! | [`Origin`] | who sent it | never |
//! | [`EventName`] | the event's whole name | never |
//! | [`DisconnectReason`](crate::socket::DisconnectReason) | in a disconnect hook | `internal` elsewhere |
//! | [`ConfirmFailure`] | in a refusal or error hook | `internal` elsewhere |
//!
//! An extractor that rejects becomes the event's acknowledgement, `{"error":{"code","message",…}}`;
//! the handler is not run and the socket stays.
//!
//! # Your own extractor
//!
//! ```
//! use router_core::{FromMessage, Message, RouteError};
//!
//! /// The user's id, for handlers that need no more of the session.
//! struct Caller(String);
//!
//! impl FromMessage for Caller {
//!     async fn from_message(message: &Message) -> Result<Self, RouteError> {
//!         let user = message.socket().and_then(|socket| socket.user_id());
//!         user.map(|user| Self(user.to_string()))
//!             .ok_or_else(|| RouteError::new("anonymous", "Log in first."))
//!     }
//! }
//! ```

mod call;
mod extract;
mod message;
mod reply;

pub use call::Handler;
pub(crate) use call::{ErasedHandler, erase};
pub use extract::{ConfirmFailure, Data, DataMap, EventName, FromMessage, Origin, Payload};
pub use message::{Message, Occasion, Services};
pub use reply::{IntoArgs, IntoReply};
