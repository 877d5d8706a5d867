//! What a route or observer module needs, and the pure parts that every Whisk service shares.
//!
//! A module of yours is a function that registers handlers, and the handlers: async functions of
//! [extractors](handler#extractors).
//!
//! ```
//! use router_core::{Bus, Observers, Payload, RouteError, Routes, ns, socket::LocalSockets};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Deserialize)]
//! struct Say {
//!     message: String,
//! }
//!
//! #[derive(Serialize, Deserialize)]
//! struct Reply {
//!     message: String,
//! }
//!
//! pub fn routes(cfg: &mut Routes) {
//!     cfg.route("world").on("say", say);
//! }
//!
//! /// `world.say`: what it returns is the acknowledgement.
//! async fn say(bus: Bus, Payload(say): Payload<Say>) -> Result<(), RouteError> {
//!     let reply = Reply { message: format!("{} to the world!", say.message) };
//!     bus.broadcast(ns("ws"), "world.reply", &reply).await?;
//!     Ok(())
//! }
//!
//! pub fn observers(cfg: &mut Observers) {
//!     cfg.observer("world").on_broadcast(
//!         "reply",
//!         |sockets: LocalSockets, Payload(reply): Payload<Reply>| async move {
//!             sockets.emit("world.reply", &reply).await
//!         },
//!     );
//! }
//! ```
//!
//! Modules, in reading order: what is said ([`address`], [`args`], [`envelope`], [`error`]), what
//! users write ([`handler`], [`route`], [`observer`], [`session`], [`socket`]), who is there
//! ([`channel`], [`presence`]), what carries it
//! ([`bus`], [`node`]), what a backend owes ([`backend`]), and what operates it ([`config`], [`limits`],
//! [`metrics`], [`keys`]).

pub mod address;
pub mod args;
pub mod envelope;
pub mod error;

pub mod channel;
pub mod handler;
pub mod observer;
pub mod presence;
pub mod route;
pub mod session;
pub mod socket;

pub mod bus;
pub mod node;

pub mod backend;

pub mod clock;
pub mod config;
pub mod id;
pub mod keys;
pub mod limits;
pub mod metrics;
pub mod pattern;

#[cfg(any(test, feature = "testing"))]
#[allow(
    clippy::expect_used,
    clippy::panic,
    reason = "assertions of tests panic; that is their job"
)]
pub mod testing;

pub use address::{
    Address, AddressError, Incarnation, Namespace, NodeAddress, NodeId, TenantId, ns,
};
pub use args::{Args, PayloadError};
pub use bus::Bus;
pub use envelope::{Envelope, Kind};
pub use error::{RouteError, code};
pub use handler::{
    ConfirmFailure, Data, EventName, FromMessage, Handler, Message, Origin, Payload,
};
pub use observer::Observers;
pub use route::Routes;
pub use session::Session;

/// The README's example compiles.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
