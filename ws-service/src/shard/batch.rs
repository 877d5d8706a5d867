//! Frames for all sockets of one nsp, collected while they come and handed out together.
//!
//! Messages that follow each other closely for the same sockets become one piece of bytes: a socket
//! then costs one look and one write for all of them, instead of one for each.

use bytes::{Bytes, BytesMut};
use bytestring::ByteString;

use crate::connection::outbox::Class;

/// Bytes that a batch holds at most. Beyond it a batch is handed out and a new one begun.
const BATCH_MAX: usize = 64 * 1024;

/// A batch. It is a plain list; who got how much of it already, the links know.
#[derive(Debug)]
pub(super) struct Batch {
    /// Its number, so that a link's place in a former batch means nothing for this one.
    pub(super) id: u64,
    pub(super) nsp: ByteString,
    /// The bit of the nsp in [`Link::joined`](crate::connection::link::Link::joined).
    pub(super) bit: u64,
    pub(super) class: Class,
    frames: Vec<Bytes>,
    bytes: usize,
}

impl Batch {
    /// An empty batch.
    pub(super) fn new(id: u64, nsp: ByteString, bit: u64, class: Class) -> Self {
        Self { id, nsp, bit, class, frames: Vec::new(), bytes: 0 }
    }

    /// Whether a frame of `length` bytes for `nsp` may join.
    pub(super) fn takes(&self, bit: u64, class: Class, length: usize) -> bool {
        self.bit == bit && self.class == class && self.bytes + length <= BATCH_MAX
    }

    /// A frame joins.
    pub(super) fn push(&mut self, frame: Bytes) {
        self.bytes += frame.len();
        self.frames.push(frame);
    }

    /// How many frames there are.
    pub(super) fn len(&self) -> usize {
        self.frames.len()
    }

    /// The frames after the first `seen`.
    pub(super) fn since(&self, seen: usize) -> &[Bytes] {
        self.frames.get(seen..).unwrap_or_default()
    }

    /// All frames as one piece. Copied once for all sockets; a single frame is not copied.
    pub(super) fn merged(&self) -> Bytes {
        if let [only] = &self.frames[..] {
            return only.clone();
        }
        let mut all = BytesMut::with_capacity(self.bytes);
        self.frames.iter().for_each(|frame| all.extend_from_slice(frame));
        all.freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_one_kind_join_up_to_the_bound() {
        let mut batch = Batch::new(1, "/".into(), 1, Class::Message);
        assert!(batch.takes(1, Class::Message, BATCH_MAX));
        batch.push(Bytes::from_static(b"ab"));
        batch.push(Bytes::from_static(b"c"));
        assert!(batch.takes(1, Class::Message, BATCH_MAX - 3));
        assert!(!batch.takes(1, Class::Message, BATCH_MAX - 2));
        assert!(!batch.takes(1, Class::Volatile, 1));
        assert!(!batch.takes(2, Class::Message, 1));
        assert_eq!((batch.len(), &batch.merged()[..]), (2, &b"abc"[..]));
        assert_eq!(batch.since(1), [Bytes::from_static(b"c")]);
        assert!(batch.since(2).is_empty() && batch.since(9).is_empty());
    }
}
