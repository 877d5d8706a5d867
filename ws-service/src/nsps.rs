//! The Socket.IO namespaces (nsp) of a service, and how each admits sockets.

use std::collections::HashMap;

use router_core::pattern::Pattern;
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

/// How one nsp admits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Admission {
    pub(crate) auth: Auth,
    /// Whether the program's guards are asked, too.
    pub(crate) guarded: bool,
}

/// The nsps of a service. A client that asks for any other is refused.
#[derive(Debug, Clone, Default)]
pub(crate) struct Nsps {
    named: HashMap<Nsp, Auth>,
    /// Asked in this order for what has no name of its own.
    patterns: Vec<(Pattern, Auth)>,
    guarded: Vec<Pattern>,
}

impl Nsps {
    /// Adds a nsp, or changes how it admits.
    pub(crate) fn insert(&mut self, nsp: Nsp, auth: Auth) {
        self.named.insert(nsp, auth);
    }

    /// Adds all nsps that fit a pattern.
    pub(crate) fn insert_pattern(&mut self, pattern: Pattern, auth: Auth) {
        self.patterns.push((pattern, auth));
    }

    /// Says which nsps have guards.
    pub(crate) fn set_guarded(&mut self, guarded: Vec<Pattern>) {
        self.guarded = guarded;
    }

    /// How a nsp admits sockets; `None` if there is no such nsp.
    pub(crate) fn admission(&self, nsp: &Nsp) -> Option<Admission> {
        let fits = |pattern: &Pattern| pattern.fits(nsp.as_str());
        let by_pattern = || self.patterns.iter().find(|(pattern, _)| fits(pattern));
        let named = self.named.get(nsp).copied();
        let auth = named.or_else(|| by_pattern().map(|(_, auth)| *auth))?;
        Some(Admission { auth, guarded: self.guarded.iter().any(fits) })
    }

    /// Whether none was added.
    pub(crate) fn is_empty(&self) -> bool {
        self.named.is_empty() && self.patterns.is_empty()
    }
}
