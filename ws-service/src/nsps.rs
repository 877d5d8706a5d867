//! The Socket.IO namespaces (nsp) of a service, and how each admits sockets.

use std::collections::HashMap;

use wire::socketio::Nsp;

/// How a nsp admits sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Auth {
    /// A socket shows a session-sync token or a resume credential and is confirmed; it shares the
    /// session of its page. One confirmation serves all such nsps of a connection.
    SessionSync,
    /// Anybody may connect; the sockets have no session.
    Open,
}

/// The nsps of a service. A client that asks for any other is refused.
#[derive(Debug, Clone, Default)]
pub(crate) struct Nsps(HashMap<Nsp, Auth>);

impl Nsps {
    /// Adds a nsp, or changes how it admits.
    pub(crate) fn insert(&mut self, nsp: Nsp, auth: Auth) {
        self.0.insert(nsp, auth);
    }

    /// How a nsp admits sockets; `None` if there is no such nsp.
    pub(crate) fn auth(&self, nsp: &Nsp) -> Option<Auth> {
        self.0.get(nsp).copied()
    }

    /// Whether none was added.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
