//! The Redis backend on real servers: the promises of every backend, and what a real server does to
//! whoever depends on it.
//!
//! Each test runs its own code against a `redis-server` on a free port of loopback. The promises
//! share one server and one cluster, the faults have one of their own each.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

mod auth;
mod cluster;
mod faults;
mod presence;
mod promises;
mod sentinel;
mod server;
mod sharded;
mod tls;
