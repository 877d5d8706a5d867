//! The service from outside: real sockets on loopback, the memory backend, several nodes in one
//! process. Whatever is done to one socket, a neighbour must not notice.

mod bad_input;
mod bounds;
mod broadcast;
mod client;
mod confirm;
mod drain;
mod events;
mod http;
mod support;
mod tls;
