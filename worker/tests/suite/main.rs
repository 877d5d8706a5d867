//! Workers that ask and tell each other, on the backend in memory, with their health checks over
//! real HTTP on loopback. What takes time is asked for again until a deadline.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

mod bus;
mod life;
mod presence;
mod rig;
