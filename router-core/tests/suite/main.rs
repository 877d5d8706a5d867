//! What route and observer modules can rely on, through the `testing` feature as users have it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

mod bus;
mod channels;
mod compile_errors;
mod gates;
mod handlers;
mod limits;
mod node;
mod presence;
mod queries;
mod rooms;
mod seats;
