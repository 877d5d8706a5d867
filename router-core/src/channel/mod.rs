//! Channels: what clients subscribe to and anyone publishes on.
//!
//! A channel is a name of a site. Sockets of whatever nsp and node are on it, once the channel's
//! gates let them in; what is published on it has an offset there and reaches all of them.
//!
//! | handle | is |
//! |---|---|
//! | [`Channels`] | all channels of the site, in every process; an extractor |
//! | [`Channel`] | one of them; in gates, hooks and handlers of channels an extractor |
//! | [`Upkeep`] | the same, for the service that holds the sockets |
//! | [`Publisher`] | all channels, for a process that is no node |
//! | [`Private`] | the channel of a user or session, on which confirmed sockets are by themselves |
//! | [`ChannelRoutes`] | what holds for channels, by name or pattern: `Routes::channel` |
//!
//! ```
//! use router_core::{
//!     Payload, RouteError, Routes, Session,
//!     channel::{Channel, ChannelHook},
//!     socket::Socket,
//! };
//!
//! pub fn routes(cfg: &mut Routes) {
//!     cfg.channel("exam:*").gate(may_enter).hook(ChannelHook::Subscribed, greet).publish();
//! }
//!
//! #[derive(serde::Deserialize)]
//! struct Query {
//!     seat: u32,
//! }
//!
//! /// Asked before a socket is put on the channel.
//! async fn may_enter(_: Session, Payload(query): Payload<Query>) -> Result<(), RouteError> {
//!     if query.seat < 100 { Ok(()) } else { Err(RouteError::new("no_seat", "There is no such seat.")) }
//! }
//!
//! async fn greet(channel: Channel, socket: Socket) -> Result<(), RouteError> {
//!     channel.publish_from(&socket, "came", &socket.id()).await?;
//!     Ok(())
//! }
//! # Routes::build([routes as fn(&mut Routes)]).unwrap();
//! ```

mod asking;
mod error;
mod events;
pub(crate) mod frame;
mod handle;
mod judge;
mod local;
mod message;
mod moments;
mod name;
pub(crate) mod node;
mod position;
mod publisher;
mod requests;
mod roster;
mod rules;
mod subscribe;
mod turns;
mod upkeep;

pub use asking::{Answered, Answers};
pub use error::{PublishError, SubscribeError};
pub use events::routes;
pub use handle::{Channel, Channels, Private, Published};
pub use name::{ChannelKey, ChannelName, ChannelNameError};
pub use position::{Level, Position};
pub use publisher::Publisher;
pub use rules::{Access, ChannelHook, ChannelRoutes, ChannelRules};
pub use upkeep::Upkeep;
