//! What holds for one Socket.IO namespace: who may connect, and what every event meets first.

use crate::{
    handler::{ErasedHandler, Handler, erase},
    pattern::Pattern,
};

/// One nsp, or those that fit a pattern, while it is registered.
pub struct NspRoutes {
    pub(super) pattern: Pattern,
    pub(super) guards: Vec<ErasedHandler>,
    pub(super) before: Vec<ErasedHandler>,
}

impl std::fmt::Debug for NspRoutes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NspRoutes").field("pattern", &self.pattern).finish_non_exhaustive()
    }
}

impl NspRoutes {
    pub(super) fn new(pattern: Pattern) -> Self {
        Self { pattern, guards: Vec::new(), before: Vec::new() }
    }

    /// Asks `handler` before a socket is admitted, after its session is confirmed where there is one.
    /// An error refuses the socket: its code, text and data are the CONNECT_ERROR's. Several guards
    /// are asked in the order in which they were registered, until one refuses.
    ///
    /// The extractors are those of an event; nothing can be emitted to the socket yet.
    pub fn guard<H, S: 'static, M: 'static>(&mut self, handler: H) -> &mut Self
    where
        H: Handler<S, M>,
    {
        self.guards.push(erase(handler));
        self
    }

    /// Runs `handler` before the handler of every event. Its error is the event's acknowledgement,
    /// and the event's handler is not run; what it returns else is ignored. Several run in the order
    /// in which they were registered.
    pub fn prepend<H, S: 'static, M: 'static>(&mut self, handler: H) -> &mut Self
    where
        H: Handler<S, M>,
    {
        self.before.push(erase(handler));
        self
    }
}
