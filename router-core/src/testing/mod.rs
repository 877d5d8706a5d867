//! A system in memory, with which route and observer modules are tested without a network.
//!
//! A [`TestSystem`] is one node with the modules under test; a [`TestSocket`] is a client of it.
//! Handlers run as in a ws-service: extractors, gates, caught panics, the same acknowledgements.
//! Waiting assertions have a deadline of five seconds and panic with what came instead.
//!
//! ```
//! use router_core::{Bus, Observers, Payload, RouteError, Routes, ns};
//! use router_core::{socket::LocalSockets, testing::TestSystem};
//!
//! fn routes(cfg: &mut Routes) {
//!     cfg.route("world").on("say", say);
//! }
//!
//! async fn say(bus: Bus, Payload(text): Payload<String>) -> Result<usize, RouteError> {
//!     bus.broadcast(ns("ws"), "world.reply", &text).await?;
//!     Ok(text.len())
//! }
//!
//! fn observers(cfg: &mut Observers) {
//!     cfg.observer("world").on_broadcast(
//!         "reply",
//!         |sockets: LocalSockets, Payload(text): Payload<String>| async move {
//!             sockets.emit("world.reply", &text).await
//!         },
//!     );
//! }
//!
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! let system = TestSystem::builder().routes(routes).observers(observers).start().await;
//! let ann = system.connect_as("ann").await;
//! let bob = system.connect_as("bob").await;
//!
//! let said: usize = ann.push("world.say", "hello").await.ok();
//! assert_eq!(said, 5);
//! let broadcast: String = system.assert_broadcast("world.reply").await;
//! assert_eq!(broadcast, "hello");
//! let heard: String = bob.assert_received("world.reply").await;
//! assert_eq!(heard, "hello");
//!
//! ann.push("world.shout", "hello").await.assert_error("unknown_event");
//! # });
//! ```

mod hub;
mod socket;
mod spy;
mod system;

pub use socket::{Ack, Asked, TestSocket};
pub use spy::Sent;
pub use system::{TestSystem, TestSystemBuilder};
