//! What waits to be written to one socket: finished frames, bounded by bytes and by time.
//!
//! A plain state machine. Whoever holds the socket takes slices from it and says how much of them
//! was written.

use std::{collections::VecDeque, io::IoSlice, time::Duration};

use bytes::Bytes;

use crate::{bounds::Bounds, clock::Moment};

/// Frames that one write takes along at most. Linux takes 1,024 (`IOV_MAX`); a stack frame does
/// not want as many.
pub(crate) const SLICES: usize = 64;

/// A queue this short keeps its memory while it is empty, so that a socket that gets one message
/// at a time does not allocate for each.
const KEPT: usize = 16;

/// The most that TLS keeps before it takes no more: rustls' own bound for what is to be sent.
const BELOW: usize = 64 * 1024;

/// What a frame may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// Dropped before a socket that is behind.
    Volatile,
    /// Arrives, or the socket is closed as slow.
    Message,
    /// The last words to a socket: always taken, since nothing comes after them.
    Farewell,
}

/// What became of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pushed {
    /// It waits to be written.
    Queued,
    /// It was volatile and the socket is behind.
    Dropped,
    /// There is no room for it: write first, and if the socket takes nothing, it is slow.
    Full,
}

/// The frames that wait for one socket.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    frames: VecDeque<Bytes>,
    /// How much of the first frame is written already.
    offset: usize,
    bytes: usize,
    /// Bytes that TLS took and could not write, at most.
    below: usize,
    /// When bytes were written last while others waited, or when the first came to wait.
    progress: Moment,
}

impl Outbox {
    /// Queues a frame at `now`.
    pub(crate) fn push(
        &mut self,
        frame: &Bytes,
        class: Class,
        bounds: &Bounds,
        now: Moment,
    ) -> Pushed {
        match class {
            Class::Volatile if self.bytes >= bounds.outbox_soft => return Pushed::Dropped,
            // One frame that is alone over the bound does not make its reader slow.
            Class::Volatile | Class::Message
                if self.bytes > 0
                    && self.bytes.saturating_add(frame.len()) > bounds.outbox_hard =>
            {
                return Pushed::Full;
            }
            Class::Volatile | Class::Message | Class::Farewell => {}
        }
        if self.frames.is_empty() && self.below == 0 {
            self.progress = now;
        }
        self.bytes += frame.len();
        self.frames.push_back(frame.clone());
        Pushed::Queued
    }

    /// The rest of the only frame, if just one waits: the most common case by far.
    pub(crate) fn only(&self) -> Option<&[u8]> {
        match self.frames.len() {
            1 => self.frames.front().map(|frame| &frame[self.offset..]),
            _ => None,
        }
    }

    /// The rest of the frame that comes first.
    pub(crate) fn first(&self) -> Option<Bytes> {
        self.frames.front().map(|frame| frame.slice(self.offset..))
    }

    /// Lays the frames that come first into `slices`, and says how many there are.
    pub(crate) fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>; SLICES]) -> usize {
        let mut count = 0;
        for (slice, frame) in slices.iter_mut().zip(&self.frames) {
            let written = if count == 0 { self.offset } else { 0 };
            *slice = IoSlice::new(&frame[written..]);
            count += 1;
        }
        count
    }

    /// The frames that wait, none of them written in part.
    pub(crate) fn frames(&self) -> impl Iterator<Item = &Bytes> {
        self.frames.iter()
    }

    /// Puts what waits in `first` before what waits here: a session moves to a socket that has
    /// something to be written still.
    pub(crate) fn put_before(&mut self, first: Self, now: Moment) {
        let last = std::mem::replace(self, first);
        self.bytes += last.bytes;
        self.frames.extend(last.frames);
        self.progress = now;
    }

    /// The socket took `written` bytes.
    pub(crate) fn advance(&mut self, written: usize, now: Moment) {
        if written > 0 {
            self.progress = now;
        }
        self.bytes = self.bytes.saturating_sub(written);
        let mut left = self.offset + written;
        while let Some(frame) = self.frames.front() {
            if left < frame.len() {
                break;
            }
            left -= frame.len();
            self.frames.pop_front();
        }
        self.offset = left;
        if self.frames.is_empty() {
            self.offset = 0;
            if self.frames.capacity() > KEPT {
                self.frames = VecDeque::new();
            }
        }
    }

    /// TLS took `bytes` since it had nothing to write, and has not written all of them.
    pub(crate) fn keep_below(&mut self, bytes: usize) {
        self.below = self.below.saturating_add(bytes).min(BELOW);
    }

    /// TLS wrote all that it had.
    pub(crate) fn nothing_below(&mut self) {
        self.below = 0;
    }

    /// Whether TLS has something to write.
    pub(crate) fn has_below(&self) -> bool {
        self.below > 0
    }

    /// The socket took some of what TLS has to write.
    pub(crate) fn progressed(&mut self, now: Moment) {
        self.progress = now;
    }

    /// Drops everything: the socket is gone.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Bytes that wait, also in TLS.
    pub(crate) fn held(&self) -> usize {
        self.bytes + self.below
    }

    /// Bytes that wait here.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// When the socket counts as slow unless it takes something before; `None` while nothing waits.
    pub(crate) fn stalls_at(&self, stall: Option<Duration>) -> Option<Moment> {
        let stall = stall.filter(|_| self.held() > 0)?;
        Some(self.progress.after(stall))
    }
}

#[cfg(test)]
mod tests {
    use router_core::limits::{Limit, Limits};

    use super::*;

    fn bounds(soft: u64, hard: u64) -> Bounds {
        let limits = Limits {
            outbox_soft: Limit::At(soft),
            outbox_hard: Limit::At(hard),
            ..Limits::default()
        };
        Bounds::new(&limits, Duration::from_secs(25), Duration::from_secs(20))
    }

    fn frame(bytes: usize) -> Bytes {
        vec![7; bytes].into()
    }

    #[test]
    fn volatile_frames_are_dropped_before_others_make_a_socket_slow() {
        let bounds = bounds(10, 20);
        let mut outbox = Outbox::default();
        let mut push = |bytes, class| outbox.push(&frame(bytes), class, &bounds, Moment(1));
        assert_eq!(push(9, Class::Volatile), Pushed::Queued);
        assert_eq!(push(1, Class::Volatile), Pushed::Queued);
        assert_eq!(push(1, Class::Volatile), Pushed::Dropped);
        assert_eq!(push(10, Class::Message), Pushed::Queued);
        assert_eq!(push(1, Class::Message), Pushed::Full);
        assert_eq!(push(1, Class::Farewell), Pushed::Queued);
        assert_eq!(outbox.bytes(), 21);
    }

    #[test]
    fn one_frame_over_the_bound_passes_when_nothing_waits() {
        let bounds = bounds(10, 20);
        let mut outbox = Outbox::default();
        assert_eq!(outbox.push(&frame(30), Class::Message, &bounds, Moment(1)), Pushed::Queued);
        assert_eq!(outbox.push(&frame(1), Class::Message, &bounds, Moment(1)), Pushed::Full);
    }

    #[test]
    fn any_number_of_bytes_may_be_written_at_once() {
        let bounds = bounds(100, 100);
        for step in 1..12 {
            let mut outbox = Outbox::default();
            let mut expected = Vec::new();
            for part in [&b"abc"[..], b"d", b"efghi", b"jk"] {
                expected.extend_from_slice(part);
                outbox.push(&Bytes::from_static(part), Class::Message, &bounds, Moment(1));
            }
            let mut written = Vec::new();
            while !outbox.is_empty() {
                let mut slices = [IoSlice::new(&[]); SLICES];
                let count = outbox.slices(&mut slices);
                let all: Vec<u8> = slices[..count].iter().flat_map(|s| s.iter().copied()).collect();
                assert_eq!(all.len(), outbox.bytes());
                let taken = step.min(all.len());
                written.extend_from_slice(&all[..taken]);
                outbox.advance(taken, Moment(1));
            }
            assert_eq!((written, outbox.bytes()), (expected, 0), "{step} bytes at once");
        }
    }

    #[test]
    fn only_written_bytes_are_progress() {
        let (bounds, stall) = (bounds(100, 100), Some(Duration::from_millis(50)));
        let mut outbox = Outbox::default();
        assert_eq!(outbox.stalls_at(stall), None);
        outbox.push(&frame(4), Class::Message, &bounds, Moment(10));
        outbox.push(&frame(4), Class::Message, &bounds, Moment(30));
        assert_eq!(outbox.stalls_at(stall), Some(Moment(60)));
        outbox.advance(0, Moment(40));
        assert_eq!(outbox.stalls_at(stall), Some(Moment(60)));
        outbox.advance(1, Moment(40));
        assert_eq!(outbox.stalls_at(stall), Some(Moment(90)));
        assert_eq!(outbox.stalls_at(None), None);
    }

    #[test]
    fn what_tls_could_not_write_waits_too() {
        let (bounds, stall) = (bounds(100, 100), Some(Duration::from_millis(50)));
        let mut outbox = Outbox::default();
        outbox.push(&frame(4), Class::Message, &bounds, Moment(10));
        outbox.advance(4, Moment(11));
        outbox.keep_below(4);
        assert!(outbox.is_empty());
        assert_eq!((outbox.held(), outbox.stalls_at(stall)), (4, Some(Moment(61))));
        // What comes behind it is no progress.
        outbox.push(&frame(3), Class::Message, &bounds, Moment(40));
        assert_eq!((outbox.held(), outbox.stalls_at(stall)), (7, Some(Moment(61))));
        outbox.progressed(Moment(50));
        assert_eq!(outbox.stalls_at(stall), Some(Moment(100)));
        outbox.advance(3, Moment(51));
        outbox.nothing_below();
        assert_eq!((outbox.held(), outbox.stalls_at(stall)), (0, None));
    }

    #[test]
    fn a_socket_finishes_its_own_frames_before_those_of_the_session() {
        let bounds = bounds(100, 100);
        let [mut session, mut socket] = [Outbox::default(), Outbox::default()];
        session.push(&Bytes::from_static(b"late"), Class::Message, &bounds, Moment(1));
        socket.push(&Bytes::from_static(b"first"), Class::Message, &bounds, Moment(1));
        socket.advance(2, Moment(1));
        session.put_before(socket, Moment(7));
        let mut slices = [IoSlice::new(&[]); SLICES];
        assert_eq!(session.slices(&mut slices), 2);
        assert_eq!([&*slices[0], &*slices[1]], [&b"rst"[..], &b"late"[..]]);
        assert_eq!(session.bytes(), 7);
        assert_eq!(session.stalls_at(Some(Duration::from_millis(1))), Some(Moment(8)));
    }

    #[test]
    fn an_idle_outbox_holds_no_long_queue() {
        let bounds = bounds(1000, 1000);
        let mut outbox = Outbox::default();
        for _ in 0..100 {
            outbox.push(&frame(1), Class::Message, &bounds, Moment(1));
        }
        outbox.advance(100, Moment(1));
        assert!(outbox.frames.capacity() <= KEPT);
    }
}
