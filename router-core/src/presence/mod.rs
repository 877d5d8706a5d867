//! Who is on a channel: rosters, their keepers, and the reaper of what dead nodes left behind.
//!
//! **The roster stands in the store** ([`PresenceStore`](crate::backend::presence::PresenceStore)).
//! A member is a client, named by its public [`ClientId`]. Each has one *owner*, a node's life
//! ([`Lease`](crate::backend::registry::Lease)), which alone is responsible for its next change. Times
//! are kept in the owner's memory, so that a roster on which nothing happens costs the store nothing,
//! however long it is. Every change is told in the same atomic step in which it is made
//! ([`PresenceEvent`]), so each is heard once.
//!
//! **The node keeps its members** ([`Presence`]). What a member should be is a wish (here, waiting,
//! away, gone), and whatever the store did not confirm is asked of it again until it does:
//!
//! ```text
//!             enters                    silent or lost
//!   (nobody) ───────▶ here ────────────────────────────────▶ waiting
//!                      ▲  ▲     heard, or comes back           │ last_seen + disconnect_threshold
//!                      │  └───────────────────────────────────┘▼
//!                      └───────────────────────────────────── away   "disconnected" is told
//!                          comes back: "reconnected" is told   │ last_seen + removal_threshold
//!                                                              ▼
//!   leaves ───────────────────────────────────────────────▶ gone    "removed" is told
//! ```
//!
//! The same client by a newer socket, on whatever node, takes the member over; what becomes of the
//! older socket then changes nothing.
//!
//! **A dead node's members are adopted** by the reaper that each process with a [`Presence`] runs. A
//! life that the store says is over is sealed, so that it can claim no further channel; in each channel
//! that it had noted, another process takes its members and fences it, in one step, and goes on with
//! their times.
//!
//! **What is trusted.** A call without an answer may still take effect, after later ones. So what an
//! owner asks carries a [serial](Serial), an older of which changes nothing; channels are kept for a
//! while after their last member, longer than such a call can be under way; and each node compares
//! what it holds with what the store says it holds, a page every few seconds, and mends the
//! difference. That also mends what a failover of the store lost or brought back.
//!
//! ```
//! use router_core::{
//!     backend::memory::MemoryHub,
//!     channel::ChannelKey,
//!     node::{Node, NodeSpec},
//!     ns,
//!     presence::{Coming, Presence, Profile, Settings},
//!     session::Site,
//! };
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let node = Node::start(NodeSpec::new(ns("ws").node(0)), MemoryHub::new().backend()).await?;
//! let presence = Presence::start(&node);
//! let exam = ChannelKey::new(&Site::main(), &"exam:42".parse()?);
//! let ann = Coming {
//!     client: "ann".parse()?,
//!     user: None,
//!     address: "ws/0/socket-1".parse()?,
//!     profile: Profile { label: Some("Ann".try_into()?), meta: None },
//! };
//! presence.enter(&exam, &Settings::default(), ann.clone()).await?;
//! assert_eq!(presence.counts(&exam).await?.connected, 1);
//! let page = presence.page(&exam, None, 100).await?;
//! assert_eq!(page.members[0].coming, ann);
//! presence.left(&exam, &ann.client, &ann.address);
//! # Ok(())
//! # }
//! ```

mod desk;
mod event;
mod keeper;
mod member;
mod profile;
mod reaper;
mod record;
mod settings;
mod shell;
#[cfg(test)]
mod sim;
#[cfg(test)]
mod tests;

pub use event::{Counts, Entrance, Kind, Page, PresenceEvent};
pub use keeper::EnterError;
pub use member::{ClientId, Coming, Member, State};
pub use profile::{Label, Meta, Profile, ProfileError};
pub use settings::{Settings, SettingsError, Times};
pub use shell::Presence;

/// Milliseconds since 1970, by the clock of whoever wrote it
/// ([`clock::millis`](crate::clock::millis)).
pub type Millis = u64;

/// Counts what comes to one owner, so that an older request is told from a newer.
pub type Serial = u64;

/// How many members a page holds at most.
pub const PAGE_MAX: usize = 500;
