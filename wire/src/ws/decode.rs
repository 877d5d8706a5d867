//! Frames to messages, for the reader of a socket.
//!
//! Whatever a header announces is judged before a byte of its payload is waited for. The
//! decoder itself never reserves memory: unfinished frames stay in the caller's buffer, which
//! grows only by what has arrived, and finished payloads are split off it without a copy.

use bytes::{Buf, Bytes, BytesMut};
use bytestring::ByteString;

use super::frame::{self, Length, Opcode, Sender, Start, Violation};
use crate::CloseCode;

/// Bounds on what a peer may send. `usize::MAX` switches a bound off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeLimits {
    /// Bytes of payload in one frame, and in one message put together from fragments.
    pub max_payload: usize,
    /// Frames that one message may be cut into.
    pub max_fragments: usize,
    /// Bytes that each fragment of an unfinished message is charged beyond its payload, so
    /// that empty fragments are not free.
    pub fragment_charge: usize,
    /// Payload and charges of one unfinished message together, in bytes.
    pub max_held: usize,
}

impl DecodeLimits {
    /// No bounds: for suites and benchmarks.
    pub const OFF: Self = Self {
        max_payload: usize::MAX,
        max_fragments: usize::MAX,
        fragment_charge: 0,
        max_held: usize::MAX,
    };

    /// The default counts around another `max_payload`; a message of that size in the most
    /// fragments just fits `max_held`.
    pub const fn with_max_payload(max_payload: usize) -> Self {
        let (max_fragments, fragment_charge) = (64, 128);
        Self {
            max_payload,
            max_fragments,
            fragment_charge,
            max_held: max_payload.saturating_add(max_fragments * fragment_charge),
        }
    }
}

impl Default for DecodeLimits {
    /// 256 KiB, 64 fragments, 128 bytes charged for each.
    fn default() -> Self {
        Self::with_max_payload(256 * 1024)
    }
}

/// What a peer said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// A whole text message.
    Text(ByteString),
    /// A whole binary message.
    Binary(Bytes),
    /// To be answered with a pong of the same payload (RFC 6455 section 5.5.3).
    Ping(Bytes),
    /// The answer to a ping, or an unasked heartbeat.
    Pong(Bytes),
    /// The last message: nothing after it is decoded. To be answered with a close frame if
    /// none was sent yet (RFC 6455 section 5.5.1).
    Close(Option<(CloseCode, ByteString)>),
}

/// Reads one direction of a connection. It holds a few words while no fragmented message is
/// open.
#[derive(Debug)]
pub struct Decoder {
    limits: DecodeLimits,
    partial: Option<Box<Partial>>,
    sender: Sender,
    /// After a close frame, or the violation that ended the connection.
    ended: Option<Option<Violation>>,
}

/// A fragmented message of which at least one frame is here and the last is not.
#[derive(Debug)]
struct Partial {
    text: bool,
    payload: BytesMut,
    fragments: usize,
    /// How much of a text is known to be whole characters.
    valid: usize,
}

impl Decoder {
    /// A decoder of what a client sends.
    pub const fn new(limits: DecodeLimits) -> Self {
        Self { limits, partial: None, sender: Sender::Client, ended: None }
    }

    /// A decoder of what a server sends, for test clients.
    pub(super) const fn of_server(limits: DecodeLimits) -> Self {
        Self { limits, partial: None, sender: Sender::Server, ended: None }
    }

    /// Takes the next message off the front of `buf`; `Ok(None)` when more bytes are needed.
    ///
    /// Payloads share their memory with `buf`: a message that is kept for long keeps that
    /// read's whole block. After a close frame the rest is thrown away and the answer is
    /// always `Ok(None)`.
    ///
    /// # Errors
    ///
    /// A [`Violation`], as early as the bytes prove it; the same one again at each later call.
    pub fn decode(&mut self, buf: &mut BytesMut) -> Result<Option<Message>, Violation> {
        if let Some(end) = self.ended {
            buf.clear();
            return end.map_or(Ok(None), Err);
        }
        let decoded = self.next_message(buf);
        match &decoded {
            Ok(Some(Message::Close(_))) => self.end(buf, None),
            Err(violation) => self.end(buf, Some(*violation)),
            Ok(_) => {}
        }
        decoded
    }

    /// Whether a message is begun and not finished, in fragments or in a half frame that
    /// [`decode`](Self::decode) left in `buf`. A shell bounds how long this may last.
    pub fn is_mid_message(&self, buf: &BytesMut) -> bool {
        self.ended.is_none() && (self.partial.is_some() || !buf.is_empty())
    }

    /// Whether a close frame or a violation ended the connection.
    pub fn has_ended(&self) -> bool {
        self.ended.is_some()
    }

    /// Bytes that an unfinished fragmented message is charged; zero for an idle decoder. The
    /// bytes of a half frame are in the caller's buffer and not counted here.
    pub fn held(&self) -> usize {
        self.partial
            .as_ref()
            .map_or(0, |partial| self.charge(partial.payload.len(), partial.fragments))
    }

    fn end(&mut self, buf: &mut BytesMut, violation: Option<Violation>) {
        self.ended = Some(violation);
        self.partial = None;
        buf.clear();
    }

    fn next_message(&mut self, buf: &mut BytesMut) -> Result<Option<Message>, Violation> {
        while let Some((start, payload)) = self.next_frame(buf)? {
            // A frame that is no more than a middle fragment yields nothing; look further.
            if let Some(message) = self.take(start, payload)? {
                return Ok(Some(message));
            }
        }
        Ok(None)
    }

    /// Splits off one whole frame, unmasked. Judges in the order in which bytes arrive, so
    /// that the verdict does not depend on how the bytes are cut.
    fn next_frame(&self, buf: &mut BytesMut) -> Result<Option<(Start, BytesMut)>, Violation> {
        let Some(&first) = buf.first() else {
            return Ok(None);
        };
        let start = Start::parse(first)?;
        match (start.opcode, &self.partial) {
            (Opcode::Continuation, None) => return Err(Violation::StrayContinuation),
            (Opcode::Text | Opcode::Binary, Some(_)) => return Err(Violation::InterruptedMessage),
            _ => {}
        }
        let Some(length) = Length::parse(buf, start.opcode, self.sender)? else {
            return Ok(None);
        };
        if !start.opcode.is_control() {
            self.check_bounds(start, length.payload)?;
        }
        let payload = usize::try_from(length.payload).map_err(|_| Violation::TooLarge)?;
        let key = match self.sender {
            Sender::Server => None,
            Sender::Client => match buf[length.end..].first_chunk::<4>() {
                Some(key) => Some(*key),
                None => return Ok(None),
            },
        };
        let header = length.end + key.map_or(0, |key| key.len());
        if buf.len() - header < payload {
            return Ok(None);
        }
        buf.advance(header);
        let mut payload = buf.split_to(payload);
        if let Some(key) = key {
            frame::mask(&mut payload, key);
        }
        Ok(Some((start, payload)))
    }

    /// Whether the message that this data frame begins or goes on with stays inside its bounds.
    fn check_bounds(&self, start: Start, announced: u64) -> Result<(), Violation> {
        let announced = usize::try_from(announced).map_err(|_| Violation::TooLarge)?;
        let (before, fragments) = self
            .partial
            .as_ref()
            .map_or((0, 0), |partial| (partial.payload.len(), partial.fragments));
        let total = before.saturating_add(announced);
        if total > self.limits.max_payload {
            return Err(Violation::TooLarge);
        }
        let whole = start.fin && fragments == 0;
        let fragments = fragments + 1;
        if !whole
            && (fragments > self.limits.max_fragments
                || self.charge(total, fragments) > self.limits.max_held)
        {
            return Err(Violation::TooManyFragments);
        }
        Ok(())
    }

    fn charge(&self, payload: usize, fragments: usize) -> usize {
        payload.saturating_add(fragments.saturating_mul(self.limits.fragment_charge))
    }

    /// Turns a frame into a message, unless it only goes on with one.
    fn take(&mut self, start: Start, payload: BytesMut) -> Result<Option<Message>, Violation> {
        match start.opcode {
            Opcode::Text if start.fin => text(payload.freeze()).map(Some),
            Opcode::Binary if start.fin => Ok(Some(Message::Binary(payload.freeze()))),
            Opcode::Text | Opcode::Binary => {
                let mut partial = Box::new(Partial::new(start.opcode == Opcode::Text));
                partial.push(&payload)?;
                self.partial = Some(partial);
                Ok(None)
            }
            Opcode::Continuation => {
                let Some(mut partial) = self.partial.take() else {
                    return Err(Violation::StrayContinuation);
                };
                partial.push(&payload)?;
                if start.fin {
                    return partial.finish().map(Some);
                }
                self.partial = Some(partial);
                Ok(None)
            }
            Opcode::Ping => Ok(Some(Message::Ping(payload.freeze()))),
            Opcode::Pong => Ok(Some(Message::Pong(payload.freeze()))),
            Opcode::Close => close(payload.freeze()).map(Some),
        }
    }
}

impl Partial {
    fn new(text: bool) -> Self {
        Self { text, payload: BytesMut::new(), fragments: 0, valid: 0 }
    }

    /// Appends a fragment. A text is refused at the fragment that makes it certain that no
    /// further byte can mend it.
    fn push(&mut self, fragment: &[u8]) -> Result<(), Violation> {
        self.payload.extend_from_slice(fragment);
        self.fragments += 1;
        if self.text {
            match std::str::from_utf8(&self.payload[self.valid..]) {
                Ok(_) => self.valid = self.payload.len(),
                // No error length: the last character is only cut, by the end of the fragment.
                Err(cut) if cut.error_len().is_none() => self.valid += cut.valid_up_to(),
                Err(_) => return Err(Violation::InvalidUtf8),
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<Message, Violation> {
        let payload = self.payload.freeze();
        if self.text { text(payload) } else { Ok(Message::Binary(payload)) }
    }
}

fn text(payload: Bytes) -> Result<Message, Violation> {
    ByteString::try_from(payload).map(Message::Text).map_err(|_| Violation::InvalidUtf8)
}

fn close(mut payload: Bytes) -> Result<Message, Violation> {
    match payload.len() {
        0 => Ok(Message::Close(None)),
        1 => Err(Violation::HalfCloseCode),
        _ => {
            let code =
                CloseCode::from_wire(payload.get_u16()).ok_or(Violation::InvalidCloseCode)?;
            let reason =
                ByteString::try_from(payload).map_err(|_| Violation::InvalidCloseReason)?;
            Ok(Message::Close(Some((code, reason))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_decoder_is_tiny() {
        assert!(size_of::<Decoder>() <= 64, "{}", size_of::<Decoder>());
    }
}
