//! The codecs against their protocols, from the outside.
//!
//! `rfc6455` goes through the sections of the Autobahn test suite that concern a codec, as
//! tables; `limits` spends what a peer may spend; `msgpack` compares with the reference parser; `socketio` reads and writes the packets of
//! the protocol's own examples and their broken relatives; `properties` says what holds for
//! any bytes at all.

mod limits;
mod msgpack;
mod properties;
mod rfc6455;
mod socketio;
mod support;
