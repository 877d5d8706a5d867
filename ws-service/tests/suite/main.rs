//! The service from outside, under its own listener: real sockets on loopback, the memory backend,
//! several nodes in one process. Whatever is done to one socket, a neighbour must not notice.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail as tests do; the exemption of clippy.toml covers `#[test]` alone"
)]

mod authority;
mod bad_input;
mod binary;
mod bounds;
mod broadcast;
mod channels;
mod client;
mod confirm;
mod drain;
mod events;
mod gate;
mod guards;
mod host;
mod http;
mod http_client;
mod msgpack;
mod peers;
mod polling;
mod presence;
mod race;
mod raw;
mod rooms;
mod support;
mod tls;
mod upgrade;
mod upkeep;

/// Whether the services of these tests are mounted in an App, or have their own listener.
const MOUNTED: bool = false;
