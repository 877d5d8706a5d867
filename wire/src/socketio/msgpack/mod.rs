//! The message-pack parser of Socket.IO: a packet is one binary message.
//!
//! Compatible with `socket.io-msgpack-parser` 3 and what it writes with, `notepack.io` 2: a map
//! `{type, nsp, data, id}` with the types 0 to 4 of the text protocol. Other keys are passed
//! over (clients send `options`), and `nil` and *undefined* are the same as no `data` or `id`
//! (Python's client sends `nil`).
//!
//! Behind this parser nothing knows of it: a decoded packet has the form of the text protocol,
//! JSON text with placeholders and the attachments beside it. So some values change their type,
//! in the way in which JavaScript's own JSON does it:
//!
//! | message-pack | JSON |
//! |---|---|
//! | `bin`, `ext` 0 (an `ArrayBuffer`) | a placeholder, and an attachment |
//! | `fixext 1` of type 0 (*undefined*) | `null`; in a map the key is left out |
//! | `fixext 8` of type 0 (a `Date`) | its ISO 8601 text; `null` if it is no date |
//! | NaN and the infinities | `null` |
//! | an integer as a key of a map | its decimal text |
//!
//! The decoder is our own rather than a general one, since it is all about bounds: no length in
//! a header is believed before the bytes are there, nesting takes no stack, and what the text
//! grows to is bounded while it grows.

mod date;
mod decode;
mod encode;
mod read;
mod to_json;

pub use decode::decode;
pub use read::FormatError;
