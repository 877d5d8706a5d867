//! The wire protocols of Whisk: bytes in, packets out, and back.
//!
//! | module | layer | source |
//! |---|---|---|
//! | [`ws`] | opening handshake and frames of WebSocket | RFC 6455 |
//! | [`engine`] | packets and queries of Engine.IO 4 | Engine.IO protocol, revision 4 |
//! | [`socketio`] | packets of Socket.IO 5, as text or message-pack | Socket.IO protocol, revision 5 |
//! | [`close`] | the one table of close codes | RFC 6455 section 7.4, and our own ranges |
//!
//! Everything here is a pure function or a small state machine. It does no I/O and knows no
//! clock, bus or handler; whoever owns the socket feeds it and times it. Every bound is
//! checked before memory is spent on what the peer merely announced.
//!
//! The way in, layer by layer:
//!
//! ```
//! use bytes::BytesMut;
//! use wire::{engine, socketio, ws};
//!
//! let mut decoder = ws::Decoder::new(ws::DecodeLimits::default());
//! let mut buffer = BytesMut::from(&ws::client::text(r#"42["world.say",{"message":"hi"}]"#)[..]);
//!
//! let Some(ws::Message::Text(text)) = decoder.decode(&mut buffer)? else { panic!("a text") };
//! let engine::Packet::Message(text) = engine::Packet::decode(&text)? else { panic!("a message") };
//! let packet = socketio::decode(&text, &socketio::Limits::default())?;
//! let socketio::Kind::Event { name, args, .. } = packet.kind else { panic!("an event") };
//! assert_eq!((&*name, &*args), ("world.say", r#"{"message":"hi"}"#));
//!
//! // And out: one allocation, ready for any number of sockets.
//! let frame = socketio::Outgoing::event(&packet.nsp, None, &name, &args).to_frame();
//! assert_eq!(&frame[2..], br#"42["world.say",{"message":"hi"}]"#);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod close;
pub mod engine;
pub mod socketio;
pub mod ws;

mod text;

pub use close::{CloseCode, CloseReason};
