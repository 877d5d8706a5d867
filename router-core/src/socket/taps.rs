//! What a program adds to one socket: handlers that see or stop its events.

use std::{
    fmt,
    panic::AssertUnwindSafe,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use super::Socket;
use crate::{
    args::Args,
    handler::{ErasedHandler, Handler, erase},
};

/// A handler that was added to one socket. [`Socket::off`] takes it off.
///
/// | Socket.IO has it as | here |
/// |---|---|
/// | `socket.onAny`, `prependAny` | [`Socket::on_any`], [`Socket::on_any_first`] |
/// | `socket.use` | [`Socket::prepend`] |
/// | `socket.onAnyOutgoing`, `prependAnyOutgoing` | [`Socket::on_any_outgoing`], [`Socket::on_any_outgoing_first`] |
/// | `socket.offAny(f)`, `offAnyOutgoing(f)` | [`Socket::off`] |
/// | `socket.offAny()`, `offAnyOutgoing()` | [`Socket::off_any`], [`Socket::off_any_outgoing`] |
///
/// What looks at events that come may wait and is a [`Handler`], with all its extractors. What looks
/// at events that go runs where they are handed to the socket, which waits for nobody: it is a plain
/// function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tap(u64);

/// A function that looks at what is emitted to a socket.
type Outgoing = Arc<dyn Fn(&str, &Args) + Send + Sync>;

/// The handlers of one socket.
#[derive(Default)]
pub(super) struct Taps {
    /// Whether somebody looks at what comes, so that most events need not look themselves.
    incoming: AtomicBool,
    /// The same for what goes.
    outgoing: AtomicBool,
    /// Whether the socket's hub was told that somebody looks at what goes.
    tapped: AtomicBool,
    last: AtomicU64,
    lists: Mutex<Lists>,
}

#[derive(Default)]
struct Lists {
    any: Vec<(Tap, ErasedHandler)>,
    before: Vec<(Tap, ErasedHandler)>,
    outgoing: Vec<(Tap, Outgoing)>,
}

impl fmt::Debug for Taps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Taps").finish_non_exhaustive()
    }
}

impl Taps {
    fn lists(&self) -> MutexGuard<'_, Lists> {
        self.lists.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<R>(&self, change: impl FnOnce(&mut Lists) -> R) -> R {
        let mut lists = self.lists();
        let changed = change(&mut lists);
        let comes = !lists.any.is_empty() || !lists.before.is_empty();
        self.incoming.store(comes, Ordering::Release);
        self.outgoing.store(!lists.outgoing.is_empty(), Ordering::Release);
        changed
    }

    fn tap(&self) -> Tap {
        Tap(self.last.fetch_add(1, Ordering::Relaxed))
    }

    pub(super) fn has_incoming(&self) -> bool {
        self.incoming.load(Ordering::Acquire)
    }

    pub(super) fn has_outgoing(&self) -> bool {
        self.outgoing.load(Ordering::Acquire)
    }

    /// Notes whether the hub was told. Returns whether that is a change.
    pub(super) fn set_tapped(&self, tapped: bool) -> bool {
        self.tapped.swap(tapped, Ordering::AcqRel) != tapped
    }

    /// Shows an event that goes. A function that panics is logged, and the others see the event.
    pub(super) fn show(&self, event: &str, args: &Args) {
        let looking: Vec<Outgoing> =
            self.lists().outgoing.iter().map(|(_, look)| Arc::clone(look)).collect();
        for look in looking {
            // What a panic left half done is the function's own.
            let looked = AssertUnwindSafe(|| look(event, args));
            if std::panic::catch_unwind(looked).is_err() {
                tracing::error!(%event, "a function that looks at what a socket is sent panicked");
            }
        }
    }
}

impl Socket {
    /// Those who look at events that come from it, and those who may stop them.
    pub(crate) fn incoming_taps(&self) -> Option<(Vec<ErasedHandler>, Vec<ErasedHandler>)> {
        let taps = self.info.data.taps().filter(|taps| taps.has_incoming())?;
        let handlers = |list: &[(Tap, ErasedHandler)]| {
            list.iter().map(|(_, handler)| Arc::clone(handler)).collect()
        };
        let lists = taps.lists();
        Some((handlers(&lists.any), handlers(&lists.before)))
    }

    fn add(&self, add: impl FnOnce(&mut Lists, Tap)) -> Tap {
        let taps = self.info.data.taps_or_new();
        let tap = taps.tap();
        taps.change(|lists| add(lists, tap));
        tap
    }

    /// Shows `handler` every event that comes from it, also one that nothing handles, before the
    /// event's handler runs. It changes nothing: what it returns is ignored, an error is logged.
    ///
    /// Added in a [guard](crate::route::NspRoutes::guard) it sees all events of the socket; in a
    /// connect hook, which runs beside the first events, those that come after.
    pub fn on_any<H, S: 'static, M: 'static>(&self, handler: H) -> Tap
    where
        H: Handler<S, M>,
    {
        self.add(|lists, tap| lists.any.push((tap, erase(handler))))
    }

    /// [`on_any`](Self::on_any), before those that are there.
    pub fn on_any_first<H, S: 'static, M: 'static>(&self, handler: H) -> Tap
    where
        H: Handler<S, M>,
    {
        self.add(|lists, tap| lists.any.insert(0, (tap, erase(handler))))
    }

    /// Runs `handler` before the handler of every event that comes from it, after what its nsp has.
    /// An error is the event's acknowledgement, and the event's handler is not run; what it returns
    /// else is ignored. Several run in the order in which they were added.
    pub fn prepend<H, S: 'static, M: 'static>(&self, handler: H) -> Tap
    where
        H: Handler<S, M>,
    {
        self.add(|lists, tap| lists.before.push((tap, erase(handler))))
    }

    /// Shows `look` every event that is emitted to it, by whomever: to it alone, to a room or to its
    /// nsp. Not the acknowledgements, and not Whisk's own events. One that the socket does not get in
    /// the end, since it is behind or goes, is shown as well.
    ///
    /// It runs on the socket's thread and must not wait. Others' sockets cost nothing for it; while
    /// some socket of a node has one, events that go to several sockets of the node are looked up
    /// once more.
    pub fn on_any_outgoing(&self, look: impl Fn(&str, &Args) + Send + Sync + 'static) -> Tap {
        let tap = self.add(|lists, tap| lists.outgoing.push((tap, Arc::new(look))));
        self.tell_hub();
        tap
    }

    /// [`on_any_outgoing`](Self::on_any_outgoing), before those that are there.
    pub fn on_any_outgoing_first(&self, look: impl Fn(&str, &Args) + Send + Sync + 'static) -> Tap {
        let tap = self.add(|lists, tap| lists.outgoing.insert(0, (tap, Arc::new(look))));
        self.tell_hub();
        tap
    }

    /// Takes one off again. Returns whether it was there.
    pub fn off(&self, tap: Tap) -> bool {
        let Some(taps) = self.info.data.taps() else { return false };
        let was_there = taps.change(|lists| {
            let Lists { any, before, outgoing } = lists;
            let lengths = any.len() + before.len() + outgoing.len();
            any.retain(|(it, _)| *it != tap);
            before.retain(|(it, _)| *it != tap);
            outgoing.retain(|(it, _)| *it != tap);
            any.len() + before.len() + outgoing.len() < lengths
        });
        self.tell_hub();
        was_there
    }

    /// Takes off all that look at what comes.
    pub fn off_any(&self) {
        if let Some(taps) = self.info.data.taps() {
            taps.change(|lists| lists.any.clear());
        }
    }

    /// Takes off all that look at what goes.
    pub fn off_any_outgoing(&self) {
        if let Some(taps) = self.info.data.taps() {
            taps.change(|lists| lists.outgoing.clear());
            self.tell_hub();
        }
    }

    /// Tells the hub whether somebody looks at what goes.
    fn tell_hub(&self) {
        if let Some(tid) = self.info.address.tid() {
            self.hub.taps_changed(tid);
        }
    }
}
