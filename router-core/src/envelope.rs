//! What travels on the bus: an envelope, and the frame that it is written as.
//!
//! A frame is one line of JSON (the head), a line feed, the arguments' text, then the attachments.
//! The head is small and is parsed by every receiver; the arguments are sliced out of the frame
//! without a copy.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use bytestring::ByteString;
use serde::{Deserialize, Serialize};

use crate::{
    address::{Address, Incarnation, NodeAddress},
    args::Args,
    channel::frame::Word,
    error::ErrorBody,
    id::MessageId,
    socket::Selection,
};

/// The longest head that a receiver accepts, in bytes.
const HEAD_MAX: usize = 16 * 1024;

/// One message on the bus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// What the message asks of its receiver.
    pub kind: Kind,
    /// The event's name, `route.method`.
    pub event: ByteString,
    /// Who sent it.
    pub origin: Address,
    /// Whom it is for.
    pub recipient: Address,
    /// Its own id.
    pub id: MessageId,
    /// Joins what one cause set off, across services.
    pub trace: MessageId,
    /// The payload.
    pub args: Args,
}

/// What an [`Envelope`] asks of its receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// To be observed by every live node of a namespace.
    Broadcast,
    /// To be observed by one node; the sender waits for a receipt.
    Transmit,
    /// To be answered by one node within the asker's deadline.
    Ask,
}

/// What one node sends back to another about messages that it took from its stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Reply {
    /// These messages have arrived.
    Received {
        /// The messages' ids.
        ids: Vec<MessageId>,
    },
    /// These messages were for a life of the node that is over.
    Gone {
        /// The messages' ids.
        ids: Vec<MessageId>,
    },
    /// These messages found the receiver's queue full.
    Overloaded {
        /// The messages' ids.
        ids: Vec<MessageId>,
    },
    /// The answer to an [`Kind::Ask`]; the frame's arguments are the answer's.
    Answer {
        /// The asked message's id.
        id: MessageId,
        /// The handler's error, instead of arguments.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<ErrorBody>,
    },
    /// A link listening to itself.
    Probe {
        /// Counts up with every probe.
        round: u64,
    },
}

/// An event for sockets of many nodes. No handler sees it on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Emission {
    /// The node that has given it to its own sockets already.
    pub(crate) origin: NodeAddress,
    /// Its own id: a node that hears it on several channels takes it once.
    pub(crate) id: MessageId,
    /// Whom it is for.
    pub(crate) to: Arc<Selection>,
    /// Whether it is worth nothing when it is late.
    pub(crate) volatile: bool,
    /// The event's name.
    pub(crate) event: ByteString,
    /// The payload.
    pub(crate) args: Args,
}

/// One frame on the bus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Frame {
    /// A message for handlers.
    Envelope(Envelope),
    /// An event for sockets.
    Emit(Emission),
    /// Something about channels.
    Word(Word, Args),
    /// A node's word to another node.
    Reply(NodeAddress, Reply, Args),
}

/// Bytes that are no frame of this version.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The head would be too long: too many rooms, or too long names.
    #[error("the frame's head is longer than 16 KiB")]
    HeadTooLong,
    /// No line feed within the longest head.
    #[error("the frame has no head")]
    NoHead,
    /// The head is not the expected JSON.
    #[error("the frame's head does not parse")]
    Head(#[source] serde_json::Error),
    /// The arguments are not UTF-8, or shorter than the head says.
    #[error("the frame's body does not fit its head")]
    Body,
}

/// A frame's head. The keys are short because every message carries them.
#[derive(Serialize, Deserialize)]
struct Head {
    /// Length of the arguments' text.
    #[serde(rename = "a")]
    json_len: usize,
    /// Lengths of the attachments.
    #[serde(rename = "b", default, skip_serializing_if = "Vec::is_empty")]
    attachment_lens: Vec<usize>,
    #[serde(flatten)]
    body: Body,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Body {
    Word {
        #[serde(rename = "c")]
        word: Word,
    },
    Envelope {
        #[serde(rename = "k")]
        kind: Kind,
        #[serde(rename = "e")]
        event: ByteString,
        #[serde(rename = "o")]
        origin: Address,
        #[serde(rename = "r")]
        recipient: Address,
        #[serde(rename = "i")]
        id: MessageId,
        #[serde(rename = "t")]
        trace: MessageId,
    },
    Reply {
        #[serde(rename = "o")]
        origin: NodeAddress,
        #[serde(rename = "y")]
        reply: Reply,
    },
    Emit {
        #[serde(rename = "o")]
        origin: NodeAddress,
        #[serde(rename = "i")]
        id: MessageId,
        #[serde(rename = "s")]
        to: Arc<Selection>,
        #[serde(rename = "v", default, skip_serializing_if = "std::ops::Not::not")]
        volatile: bool,
        #[serde(rename = "e")]
        event: ByteString,
    },
}

impl Frame {
    /// The frame's bytes.
    ///
    /// # Errors
    /// [`FrameError::HeadTooLong`]; or when the head cannot be written as JSON, which none of ours
    /// does.
    pub(crate) fn encode(&self) -> Result<Bytes, FrameError> {
        let (body, args) = match self {
            Self::Envelope(envelope) => (
                Body::Envelope {
                    kind: envelope.kind,
                    event: envelope.event.clone(),
                    origin: envelope.origin.clone(),
                    recipient: envelope.recipient.clone(),
                    id: envelope.id.clone(),
                    trace: envelope.trace.clone(),
                },
                &envelope.args,
            ),
            Self::Emit(emission) => (
                Body::Emit {
                    origin: emission.origin.clone(),
                    id: emission.id.clone(),
                    to: Arc::clone(&emission.to),
                    volatile: emission.volatile,
                    event: emission.event.clone(),
                },
                &emission.args,
            ),
            Self::Word(word, args) => (Body::Word { word: word.clone() }, args),
            Self::Reply(origin, reply, args) => {
                (Body::Reply { origin: origin.clone(), reply: reply.clone() }, args)
            }
        };
        let head = Head {
            json_len: args.json().len(),
            attachment_lens: args.attachments().iter().map(Bytes::len).collect(),
            body,
        };
        let mut frame = BytesMut::with_capacity(256 + args.len()).writer();
        serde_json::to_writer(&mut frame, &head).map_err(FrameError::Head)?;
        let mut frame = frame.into_inner();
        if frame.len() >= HEAD_MAX {
            return Err(FrameError::HeadTooLong);
        }
        frame.put_u8(b'\n');
        frame.put_slice(args.json().as_bytes());
        for attachment in args.attachments() {
            frame.put_slice(attachment);
        }
        Ok(frame.freeze())
    }

    /// Reads a frame; arguments and attachments are slices of it.
    ///
    /// # Errors
    /// [`FrameError`] when the bytes are no frame.
    pub(crate) fn decode(frame: &Bytes) -> Result<Self, FrameError> {
        let line =
            frame.iter().take(HEAD_MAX).position(|b| *b == b'\n').ok_or(FrameError::NoHead)?;
        let head: Head = serde_json::from_slice(&frame[..line]).map_err(FrameError::Head)?;
        let mut rest = frame.slice(line + 1..);
        let mut take = |length: usize| {
            (length <= rest.len()).then(|| rest.split_to(length)).ok_or(FrameError::Body)
        };
        let json = ByteString::try_from(take(head.json_len)?).map_err(|_| FrameError::Body)?;
        let attachments =
            head.attachment_lens.iter().map(|length| take(*length)).collect::<Result<_, _>>()?;
        if !rest.is_empty() {
            return Err(FrameError::Body);
        }
        let args = Args::from_checked_json(json, attachments);
        Ok(match head.body {
            Body::Envelope { kind, event, origin, recipient, id, trace } => {
                Self::Envelope(Envelope { kind, event, origin, recipient, id, trace, args })
            }
            Body::Word { word } => Self::Word(word, args),
            Body::Reply { origin, reply } => Self::Reply(origin, reply, args),
            Body::Emit { origin, id, to, volatile, event } => {
                Self::Emit(Emission { origin, id, to, volatile, event, args })
            }
        })
    }
}

/// An entry of a node's stream: a frame, and the life of the node for which it was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The entry's place in the stream; later entries have greater ones.
    pub id: EntryId,
    /// The incarnation whose lease was live when the frame was appended.
    pub incarnation: Incarnation,
    /// The frame.
    pub frame: Bytes,
}

/// A place in a node's stream: milliseconds and a count within them (Redis's own form).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct EntryId(pub u64, pub u64);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::MessageIds;

    fn envelope(args: Args) -> Envelope {
        let ids = MessageIds::new();
        Envelope {
            kind: Kind::Transmit,
            event: "world.whisper".into(),
            origin: "web/0".parse().unwrap(),
            recipient: "ws/0/abc".parse().unwrap(),
            id: ids.next(),
            trace: ids.next(),
            args,
        }
    }

    #[test]
    fn an_envelope_reads_as_it_was_written() {
        let args = Args::from_checked_json(
            "\"line\\nfeed\",{\"_placeholder\":true,\"num\":0}".into(),
            vec![Bytes::from_static(b"\n\xff"), Bytes::new()],
        );
        let frame = Frame::Envelope(envelope(args));
        assert_eq!(Frame::decode(&frame.encode().unwrap()).unwrap(), frame);
    }

    #[test]
    fn a_reply_reads_as_it_was_written() {
        let id = MessageIds::new().next();
        let error = Some(crate::RouteError::new("not_here", "nobody").into());
        for reply in [Reply::Received { ids: vec![id.clone()] }, Reply::Answer { id, error }] {
            let frame = Frame::Reply("ws/3".parse().unwrap(), reply, Args::one(&1).unwrap());
            assert_eq!(Frame::decode(&frame.encode().unwrap()).unwrap(), frame);
        }
    }

    #[test]
    fn an_emit_reads_as_it_was_written_and_has_a_bounded_head() {
        let mut to = Selection::nsp("/chat");
        to.rooms.push("a room".into());
        to.except_sockets.push("abc".parse().unwrap());
        let emission = |to: Selection| {
            Frame::Emit(Emission {
                origin: "ws/0".parse().unwrap(),
                id: MessageIds::new().next(),
                to: Arc::new(to),
                volatile: true,
                event: "say".into(),
                args: Args::one(&"text").unwrap(),
            })
        };
        let frame = emission(to.clone());
        assert_eq!(Frame::decode(&frame.encode().unwrap()).unwrap(), frame);
        to.rooms = vec!["r".repeat(255).into(); 80];
        assert!(matches!(emission(to).encode(), Err(FrameError::HeadTooLong)));
    }

    #[test]
    fn a_cut_or_lengthened_frame_is_refused() {
        let whole = Frame::Envelope(envelope(Args::one(&"text").unwrap())).encode().unwrap();
        for cut in 0..whole.len() {
            assert!(Frame::decode(&whole.slice(..cut)).is_err(), "cut at {cut}");
        }
        let longer = [&whole[..], b"x"].concat().into();
        assert!(matches!(Frame::decode(&longer), Err(FrameError::Body)));
    }
}
