//! The web-service over real HTTP on loopback, on the backend in memory.
//!
//! Each test starts the services that it needs on free ports, and is a browser by hand: it keeps
//! the cookie that it was given and sends the headers that it wants. Nothing waits for a time; what
//! takes time is asked for again until a deadline.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod assets;
mod cookie;
mod health;
mod logout;
mod mounted;
mod renewal;
mod rig;
mod session;
mod stop;
