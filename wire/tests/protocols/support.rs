//! Feeding a decoder, and telling what came out.

use bytes::{Bytes, BytesMut};
use wire::ws::{DecodeLimits, Decoder, Message, Opcode, Violation, client};

/// Any key but zero, so that a forgotten mask is seen.
pub(crate) const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// Everything that a decoder made of a stream.
pub(crate) type Outcome = (Vec<Message>, Option<Violation>);

/// Feeds a stream in pieces: `sizes` says how long each is, over and over.
pub(crate) fn feed(limits: DecodeLimits, stream: &[u8], sizes: &[usize]) -> Outcome {
    let mut decoder = Decoder::new(limits);
    let mut buffer = BytesMut::new();
    let mut messages = Vec::new();
    let mut rest = stream;
    for size in sizes.iter().cycle() {
        let (piece, after) = rest.split_at((*size).clamp(1, rest.len().max(1)).min(rest.len()));
        rest = after;
        buffer.extend_from_slice(piece);
        loop {
            match decoder.decode(&mut buffer) {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(violation) => {
                    assert!(decoder.has_ended() && buffer.is_empty());
                    assert_eq!(decoder.decode(&mut buffer), Err(violation), "it stays so");
                    return (messages, Some(violation));
                }
            }
        }
        assert!(decoder.held() <= limits.max_held, "held {}", decoder.held());
        if rest.is_empty() {
            break;
        }
    }
    (messages, None)
}

/// Feeds frames whole, byte by byte and in odd pieces, and sees that it makes no difference.
pub(crate) fn outcome(frames: &[Bytes]) -> Outcome {
    let stream = frames.concat();
    let limits = DecodeLimits::default();
    let whole = feed(limits, &stream, &[usize::MAX]);
    assert_eq!(whole, feed(limits, &stream, &[1]), "byte by byte");
    assert_eq!(whole, feed(limits, &stream, &[3, 1, 997]), "in odd pieces");
    whole
}

/// The messages of frames that break nothing.
pub(crate) fn messages(frames: &[Bytes]) -> Vec<Message> {
    let (messages, violation) = outcome(frames);
    assert_eq!(violation, None);
    messages
}

/// What frames break, if they yield no message before it.
pub(crate) fn violation(frames: &[Bytes]) -> Option<Violation> {
    let (messages, violation) = outcome(frames);
    assert_eq!(messages, []);
    violation
}

/// The first frame of a fragmented text.
pub(crate) fn begin(payload: impl AsRef<[u8]>) -> Bytes {
    client::fragment(Opcode::Text, false, payload.as_ref(), KEY)
}

/// A middle frame.
pub(crate) fn more(payload: impl AsRef<[u8]>) -> Bytes {
    client::fragment(Opcode::Continuation, false, payload.as_ref(), KEY)
}

/// The last frame.
pub(crate) fn last(payload: impl AsRef<[u8]>) -> Bytes {
    client::fragment(Opcode::Continuation, true, payload.as_ref(), KEY)
}

/// A text in one frame, which need not be UTF-8.
pub(crate) fn whole(payload: impl AsRef<[u8]>) -> Bytes {
    client::fragment(Opcode::Text, true, payload.as_ref(), KEY)
}

/// A close frame with any payload.
pub(crate) fn close(payload: impl AsRef<[u8]>) -> Bytes {
    client::fragment(Opcode::Close, true, payload.as_ref(), KEY)
}

/// The expected text message.
pub(crate) fn text(text: impl Into<String>) -> Message {
    Message::Text(text.into().into())
}
