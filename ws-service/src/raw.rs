//! Bare Engine.IO: sessions, transports and heartbeats as ever, and no Socket.IO inside them.

use std::{fmt, panic::AssertUnwindSafe, sync::Arc};

use bytes::Bytes;
use bytestring::ByteString;
use wire::engine::Packet;

/// A message of a bare Engine.IO session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EngineMessage {
    /// Text.
    Text(ByteString),
    /// Bytes; by long-polling they travel as base64.
    Binary(Bytes),
}

/// What a session sends in answer to a message. See [`Builder::raw`](crate::Builder::raw).
#[derive(Debug, Default)]
pub struct EngineReply {
    messages: Vec<EngineMessage>,
    closes: bool,
}

impl EngineReply {
    /// Sends a message, in the order of the calls.
    pub fn send(&mut self, message: EngineMessage) {
        self.messages.push(message);
    }

    /// Closes the session after what was sent.
    pub fn close(&mut self) {
        self.closes = true;
    }
}

/// What a service does with the messages of bare sessions.
#[derive(Clone)]
pub(crate) struct RawHandler(Arc<Handle>);

type Handle = dyn Fn(EngineMessage, &mut EngineReply) + Send + Sync;

/// The handler panicked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Panicked;

impl RawHandler {
    pub(crate) fn new(
        handle: impl Fn(EngineMessage, &mut EngineReply) + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(handle))
    }

    /// The frames of the answer, and whether the session ends after them.
    pub(crate) fn run(&self, message: EngineMessage) -> Result<(Vec<Bytes>, bool), Panicked> {
        // What a panic left half done is the reply, which is dropped with it.
        let run = AssertUnwindSafe(|| {
            let mut reply = EngineReply::default();
            (self.0)(message, &mut reply);
            reply
        });
        let EngineReply { messages, closes } =
            std::panic::catch_unwind(run).map_err(|_| Panicked)?;
        let frame = |message| match message {
            EngineMessage::Text(text) => Packet::Message(text).to_frame(),
            EngineMessage::Binary(bytes) => Packet::Binary(bytes).to_frame(),
        };
        Ok((messages.into_iter().map(frame).collect(), closes))
    }
}

impl fmt::Debug for RawHandler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RawHandler")
    }
}
