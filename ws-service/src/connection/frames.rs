//! Packets with their attachments, as one piece of finished frames.

use std::sync::{Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use bytestring::ByteString;
use router_core::Args;
use smallvec::SmallVec;
use wire::{
    engine,
    socketio::{ArgsError, Nsp, Outgoing},
    ws,
};

/// How Socket.IO packets are written and read. Clients must use the same parser as their server,
/// and cannot ask which one that is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Parser {
    /// Text with attachments behind it, as all clients have it by default.
    #[default]
    Json,
    /// One binary message for each packet, as clients have it with `socket.io-msgpack-parser`.
    Msgpack,
}

impl Parser {
    /// An event that asks for no acknowledgement.
    pub(crate) fn event(self, nsp: &Nsp, name: &str, args: &Args) -> Bytes {
        self.frame(Outgoing::event(nsp, None, name, args.json()), args.attachments())
    }

    /// An event that asks for an acknowledgement under `id`.
    pub(crate) fn question(self, nsp: &Nsp, id: u64, name: &str, args: &Args) -> Bytes {
        self.frame(Outgoing::event(nsp, Some(id), name, args.json()), args.attachments())
    }

    /// The acknowledgement of the event `id`.
    ///
    /// # Errors
    /// Where the arguments are no JSON, or have placeholders of no attachment: only message-pack
    /// has to look into them.
    pub(crate) fn ack(self, nsp: &Nsp, id: u64, args: &Args) -> Result<Bytes, ArgsError> {
        self.try_frame(Outgoing::ack(nsp, id, args.json()), args.attachments())
    }

    /// A packet without attachments.
    pub(crate) fn packet(self, packet: Outgoing<'_>) -> Bytes {
        self.frame(packet, &[])
    }

    fn frame(self, packet: Outgoing<'_>, attachments: &[Bytes]) -> Bytes {
        self.try_frame(packet, attachments).unwrap_or_else(|error| {
            tracing::warn!(%error, "an event cannot be written and is not sent");
            // Clients pass it over.
            engine::frames::NOOP
        })
    }

    /// The attachments follow their packet, and nothing may come between (Socket.IO protocol,
    /// "Packet encoding"): so they are one piece.
    fn try_frame(self, packet: Outgoing<'_>, attachments: &[Bytes]) -> Result<Bytes, ArgsError> {
        if self == Self::Msgpack {
            return packet.to_msgpack_frame(attachments);
        }
        if attachments.is_empty() {
            return Ok(packet.to_frame());
        }
        let mut out = BytesMut::new();
        packet.with_attachments(attachments.len()).append_frame(&mut out);
        for attachment in attachments {
            out.extend_from_slice(&ws::encode::binary(attachment));
        }
        Ok(out.freeze())
    }
}

/// An event for sockets of whatever nsps, written once for each nsp that turns up.
#[derive(Debug)]
pub(crate) struct Event {
    parser: Parser,
    name: ByteString,
    args: Args,
    frames: Mutex<SmallVec<[(ByteString, Bytes); 1]>>,
}

impl Event {
    /// Nothing is written yet.
    pub(crate) fn new(parser: Parser, name: ByteString, args: Args) -> Self {
        Self { parser, name, args, frames: Mutex::default() }
    }

    /// The event as it is written for a nsp.
    pub(crate) fn frame(&self, nsp: &ByteString) -> Bytes {
        let mut frames = self.frames.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, frame)) = frames.iter().find(|(of, _)| of == nsp) {
            return frame.clone();
        }
        // Sockets are only ever in nsps that have such a name.
        let name = Nsp::new(nsp.clone()).unwrap_or(Nsp::ROOT);
        let frame = self.parser.event(&name, &self.name, &self.args);
        frames.push((nsp.clone(), frame.clone()));
        frame
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attachments_are_one_piece_with_their_packet() {
        let json = r#"{"_placeholder":true,"num":0}"#;
        let args = Args::from_checked_json(json.into(), vec![Bytes::from_static(&[7])]);
        let frame = Parser::Json.event(&Nsp::ROOT, "e", &args);
        assert_eq!(&frame[2..4], b"45");
        assert_eq!(&frame[frame.len() - 3..], [0x82, 1, 7]);
    }

    #[test]
    fn what_message_pack_cannot_write_is_not_sent() {
        let args = Args::from_checked_json("{".into(), Vec::new());
        assert_eq!(Parser::Msgpack.event(&Nsp::ROOT, "e", &args), engine::frames::NOOP);
        assert!(Parser::Msgpack.ack(&Nsp::ROOT, 1, &args).is_err());
        assert!(Parser::Msgpack.ack(&Nsp::ROOT, 1, &Args::EMPTY).is_ok());
    }
}
