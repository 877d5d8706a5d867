//! The ws-service: it holds sockets, as actors.
//!
//! A [`WsService`] is put together by its [builder](WsService::builder) and runs until it is told to
//! stop. Its sockets speak Socket.IO 5 over Engine.IO 4, on WebSockets and by long-polling. What they
//! emit goes to the routes of [`router_core`]; what other processes say comes to its observers, which
//! relay it to the sockets of the node.
//!
//! How a message travels:
//!
//! | step | module |
//! |---|---|
//! | a TCP connection is accepted, its HTTP request read | `listener` |
//! | the request to upgrade is judged, the socket taken over | `upgrade`, `gate` |
//! | a request for a session of another node is passed to it | `peer` |
//! | a poll or post finds the shard of its session | `polling`, `shard::sessions` |
//! | a polling session is served, and moves to a WebSocket | `connection::polled`, `probe` |
//! | bytes become messages, messages go into the protocol | `connection::receive`, `connection::protocol` |
//! | an event finds its handler, the handler its acknowledgement | `connection::dispatch` |
//! | an event for many sockets is encoded once, one message to each thread | `hub` |
//! | a thread walks its sockets and writes each outbox at once | `shard` |
//!
//! Everything that decides is a state machine without clock, socket or actor: `connection::protocol`
//! and `auth`, the outbox, the bucket, the timers and the wheel.

mod bounds;
mod builder;
mod clock;
mod connection;
mod drain;
mod gate;
mod health;
mod hub;
mod listener;
mod memory;
mod mount;
mod nsps;
mod origins;
mod patience;
mod peer;
mod polling;
mod proxies;
mod raw;
mod respond;
mod service;
mod shard;
mod shared;
mod sid;
mod unconfirmed;
mod upgrade;

pub use builder::{BuildError, Builder};
pub use connection::frames::Parser;
pub use gate::{Admission, Refusal, SessionGate};
pub use mount::{Mount, MountedService};
pub use nsps::Auth;
pub use origins::Origins;
pub use proxies::{TrustedProxy, TrustedProxyError};
pub use raw::{EngineMessage, EngineReply};
pub use service::{Handle, RunError, WsService};
