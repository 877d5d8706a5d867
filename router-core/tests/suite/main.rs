//! What route and observer modules can rely on, through the `testing` feature as users have it.

mod bus;
mod compile_errors;
mod gates;
mod handlers;
mod node;
mod queries;
mod rooms;
