//! Puts a packet together with the binary messages that belong to it
//! (Socket.IO protocol, "Packet encoding", binary events and acknowledgements).

use bytes::Bytes;

use super::packet::Packet;
use crate::CloseCode;

/// What breaks an assembly; the connection cannot go on after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum AssemblyError {
    /// A text packet while attachments are awaited.
    #[error("a packet came in place of an attachment")]
    Interrupted,
    /// A binary message that no packet announced.
    #[error("an attachment that no packet announced")]
    Unannounced,
    /// The packet and its attachments together are over the bound.
    #[error("a packet and its attachments are too large")]
    TooLarge,
}

impl AssemblyError {
    /// The code to close the connection with.
    pub const fn close_code(self) -> CloseCode {
        match self {
            Self::TooLarge => CloseCode::TOO_LARGE,
            Self::Interrupted | Self::Unannounced => CloseCode::PROTOCOL_ERROR,
        }
    }
}

/// Holds at most one unfinished packet of a connection; idle it is two words.
///
/// The number of attachments is bounded by [`Limits`](super::Limits) and the placeholders are
/// known to be of them, before a packet gets here; their bytes are bounded here.
#[derive(Debug)]
pub struct Assembler {
    max_bytes: usize,
    waiting: Option<Box<Waiting>>,
}

#[derive(Debug)]
struct Waiting {
    packet: Packet,
    attachments: Vec<Bytes>,
    bytes: usize,
}

impl Assembler {
    /// An assembler of packets that are, together with their attachments, at most `max_bytes`
    /// long.
    pub const fn new(max_bytes: usize) -> Self {
        Self { max_bytes, waiting: None }
    }

    /// Takes a packet whose text was `text_len` bytes long; gives it back if it is whole.
    ///
    /// # Errors
    ///
    /// [`AssemblyError::Interrupted`] or [`AssemblyError::TooLarge`].
    pub fn packet(
        &mut self,
        packet: Packet,
        text_len: usize,
    ) -> Result<Option<Packet>, AssemblyError> {
        if self.waiting.is_some() {
            return Err(AssemblyError::Interrupted);
        }
        if packet.attachments == 0 {
            return Ok(Some(packet));
        }
        if text_len > self.max_bytes {
            return Err(AssemblyError::TooLarge);
        }
        // Grows by what arrives: the announced number may be a bluff where it has no bound.
        self.waiting = Some(Box::new(Waiting { packet, attachments: Vec::new(), bytes: text_len }));
        Ok(None)
    }

    /// Takes a binary message; gives the packet and all its attachments with the last one.
    ///
    /// # Errors
    ///
    /// [`AssemblyError::Unannounced`] or [`AssemblyError::TooLarge`].
    pub fn attachment(
        &mut self,
        attachment: Bytes,
    ) -> Result<Option<(Packet, Vec<Bytes>)>, AssemblyError> {
        let Some(mut waiting) = self.waiting.take() else {
            return Err(AssemblyError::Unannounced);
        };
        waiting.bytes = waiting.bytes.saturating_add(attachment.len());
        if waiting.bytes > self.max_bytes {
            return Err(AssemblyError::TooLarge);
        }
        waiting.attachments.push(attachment);
        if waiting.attachments.len() == waiting.packet.attachments {
            return Ok(Some((waiting.packet, waiting.attachments)));
        }
        self.waiting = Some(waiting);
        Ok(None)
    }

    /// Whether attachments are awaited. A shell bounds how long this may last.
    pub const fn is_waiting(&self) -> bool {
        self.waiting.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::super::packet::{Kind, Nsp};
    use super::*;

    fn packet(attachments: usize) -> Packet {
        let kind = Kind::Ack { id: 1, args: "".into() };
        Packet { nsp: Nsp::ROOT, attachments, kind }
    }

    #[test]
    fn a_packet_waits_for_all_its_attachments() {
        let mut assembler = Assembler::new(100);
        assert_eq!(assembler.packet(packet(0), 5), Ok(Some(packet(0))));
        assert_eq!(assembler.packet(packet(2), 5), Ok(None));
        assert_eq!(assembler.attachment(Bytes::from_static(b"a")), Ok(None));
        assert!(assembler.is_waiting());
        let whole = assembler.attachment(Bytes::from_static(b"b")).unwrap().unwrap();
        assert_eq!(whole, (packet(2), vec![Bytes::from_static(b"a"), Bytes::from_static(b"b")]));
        assert!(!assembler.is_waiting());
    }

    #[test]
    fn what_does_not_belong_together_is_refused() {
        let mut assembler = Assembler::new(10);
        assert_eq!(assembler.attachment(Bytes::new()), Err(AssemblyError::Unannounced));
        assert_eq!(assembler.packet(packet(1), 11), Err(AssemblyError::TooLarge));
        assert_eq!(assembler.packet(packet(2), 5), Ok(None));
        assert_eq!(assembler.packet(packet(0), 5), Err(AssemblyError::Interrupted));
        assert_eq!(assembler.attachment(Bytes::from_static(b"abc")), Ok(None));
        assert_eq!(assembler.attachment(Bytes::from_static(b"def")), Err(AssemblyError::TooLarge));
    }
}
