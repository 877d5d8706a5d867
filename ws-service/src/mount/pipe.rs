//! Bytes on their way between a connection and the HTTP service that has its socket: a bounded queue
//! that both ends wait on, also from different threads.
//!
//! For the connection it is what a socket's send buffer is in the kernel: it takes what there is room
//! for, and then nothing until the other end took some.

use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;

use crate::shared::Work;

/// A queue this short keeps its memory while it is empty.
const KEPT: usize = 16;

/// A pipe that holds at most `room` bytes. `work` is what a drain waits for: it is done when
/// everything was taken, or when nobody will take anything any more.
pub(super) fn pipe(room: usize, work: Option<Work>) -> (Sender, Receiver) {
    let state = State { work, ..State::default() };
    let pipe = Arc::new(Pipe { room, state: Mutex::new(state) });
    (Sender(Arc::clone(&pipe)), Receiver(pipe))
}

#[derive(Debug)]
struct Pipe {
    room: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    chunks: VecDeque<Bytes>,
    bytes: usize,
    /// Whether the sender is done.
    finished: bool,
    /// Whether the receiver is gone.
    gone: bool,
    /// Of the sender, while it waits for room.
    sender: Option<Waker>,
    /// Of the receiver, while it waits for bytes.
    receiver: Option<Waker>,
    work: Option<Work>,
}

impl Pipe {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The sender is done, and what waits is dropped if `cut`.
    fn finish(&self, cut: bool) {
        let mut state = self.lock();
        state.finished = true;
        let mut left = None;
        if cut {
            (state.chunks, state.bytes) = (VecDeque::new(), 0);
            left = state.work.take();
        }
        let waker = state.receiver.take();
        drop(state);
        drop(left);
        wake(waker);
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// The end that bytes go in at. Dropped, it is finished.
#[derive(Debug)]
pub(super) struct Sender(Arc<Pipe>);

impl Sender {
    /// Takes as much of `bytes` as there is room for, without copying them.
    ///
    /// # Errors
    /// When the receiver is gone.
    pub(super) fn poll_send(&self, cx: &mut Context<'_>, bytes: &Bytes) -> Poll<io::Result<usize>> {
        let mut state = self.0.lock();
        if state.gone || state.finished {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let taken = bytes.len().min(self.0.room - state.bytes);
        if taken == 0 {
            state.sender = Some(cx.waker().clone());
            return Poll::Pending;
        }
        state.bytes += taken;
        state.chunks.push_back(bytes.slice(..taken));
        let waker = state.receiver.take();
        drop(state);
        wake(waker);
        Poll::Ready(Ok(taken))
    }

    /// Nothing more comes; what waits is still taken.
    pub(super) fn finish(&self) {
        self.0.finish(false);
    }

    /// Nothing more comes, and what waits is dropped.
    pub(super) fn cut(&self) {
        self.0.finish(true);
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.finish();
    }
}

/// The end that bytes come out at.
#[derive(Debug)]
pub(super) struct Receiver(Arc<Pipe>);

impl Receiver {
    /// What comes next; `None` at the end.
    pub(super) fn poll_next(&self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let mut state = self.0.lock();
        let Some(chunk) = state.chunks.pop_front() else {
            if state.finished {
                return Poll::Ready(None);
            }
            state.receiver = Some(cx.waker().clone());
            return Poll::Pending;
        };
        state.bytes -= chunk.len();
        if state.chunks.is_empty() && state.chunks.capacity() > KEPT {
            state.chunks = VecDeque::new();
        }
        // Not for every chunk: who waits has more than one to send.
        let waker = if state.bytes <= self.0.room / 2 { state.sender.take() } else { None };
        drop(state);
        wake(waker);
        Poll::Ready(Some(chunk))
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.gone = true;
        (state.chunks, state.bytes) = (VecDeque::new(), 0);
        let (waker, work) = (state.sender.take(), state.work.take());
        drop(state);
        drop(work);
        wake(waker);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        task::Wake,
    };

    use super::*;

    /// Counts how often it was called.
    #[derive(Default)]
    struct Calls(AtomicUsize);

    impl Wake for Calls {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    impl Calls {
        fn count(&self) -> usize {
            self.0.load(Ordering::Relaxed)
        }
    }

    fn sent(sender: &Sender, calls: &Arc<Calls>, bytes: &'static [u8]) -> Option<usize> {
        let waker = Waker::from(Arc::clone(calls));
        let mut cx = Context::from_waker(&waker);
        match sender.poll_send(&mut cx, &Bytes::from_static(bytes)) {
            Poll::Ready(taken) => Some(taken.unwrap()),
            Poll::Pending => None,
        }
    }

    fn next(receiver: &Receiver, calls: &Arc<Calls>) -> Poll<Option<Bytes>> {
        let waker = Waker::from(Arc::clone(calls));
        receiver.poll_next(&mut Context::from_waker(&waker))
    }

    fn some(bytes: &'static [u8]) -> Poll<Option<Bytes>> {
        Poll::Ready(Some(Bytes::from_static(bytes)))
    }

    #[test]
    fn it_takes_what_there_is_room_for_and_calls_when_there_is_more() {
        let calls = Arc::<Calls>::default();
        let (sender, receiver) = pipe(4, None);
        assert_eq!(sent(&sender, &calls, b"abc"), Some(3));
        assert_eq!(sent(&sender, &calls, b"def"), Some(1));
        assert_eq!(sent(&sender, &calls, b"ef"), None);
        assert_eq!(next(&receiver, &calls), some(b"abc"));
        assert_eq!(calls.count(), 1);
        assert_eq!(sent(&sender, &calls, b"ef"), Some(2));
        assert_eq!(next(&receiver, &calls), some(b"d"));
        assert_eq!(next(&receiver, &calls), some(b"ef"));
        assert_eq!((next(&receiver, &calls), calls.count()), (Poll::Pending, 1));
        assert_eq!(sent(&sender, &calls, b"g"), Some(1));
        assert_eq!((next(&receiver, &calls), calls.count()), (some(b"g"), 2));
    }

    #[test]
    fn what_was_sent_before_the_end_is_taken_unless_it_is_cut() {
        for cut in [false, true] {
            let calls = Arc::<Calls>::default();
            let (sender, receiver) = pipe(4, None);
            assert_eq!(sent(&sender, &calls, b"last"), Some(4));
            if cut {
                sender.cut();
            } else {
                drop(sender);
                assert_eq!(next(&receiver, &calls), some(b"last"));
            }
            assert_eq!(next(&receiver, &calls), Poll::Ready(None));
        }
    }

    #[test]
    fn each_end_hears_that_the_other_went() {
        let calls = Arc::<Calls>::default();
        let (sender, receiver) = pipe(1, None);
        assert_eq!(sent(&sender, &calls, b"ab"), Some(1));
        assert_eq!(sent(&sender, &calls, b"b"), None);
        drop(receiver);
        assert_eq!(calls.count(), 1);
        let mut cx = Context::from_waker(Waker::noop());
        assert!(matches!(sender.poll_send(&mut cx, &Bytes::new()), Poll::Ready(Err(_))));

        let (sender, receiver) = pipe(1, None);
        assert_eq!(next(&receiver, &calls), Poll::Pending);
        sender.finish();
        assert_eq!((next(&receiver, &calls), calls.count()), (Poll::Ready(None), 2));
    }
}
