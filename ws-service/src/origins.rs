//! Which pages may open sockets: the exact allow-list of origins (RFC 6454).
//!
//! A browser sends the origin of the page; nobody can forge it there. So the list keeps foreign
//! pages from using a visitor's session, and says nothing about other clients, who need a token.

use std::collections::HashSet;

/// Who may open a socket, by the `Origin` header of the request.
///
/// ```
/// use ws_service::Origins;
///
/// let origins = Origins::list(["https://chat.example"]);
/// assert!(origins.admit(Some("https://chat.example")));
/// assert!(!origins.admit(Some("https://chat.example.evil")));
/// // No browser: it still needs its token.
/// assert!(origins.admit(None));
/// assert!(!origins.require_origin().admit(None));
/// ```
#[derive(Debug, Clone)]
pub struct Origins {
    /// `None` admits every origin.
    listed: Option<HashSet<String>>,
    without: bool,
}

impl Origins {
    /// Every page may: only for services whose sockets anybody may open.
    pub fn any() -> Self {
        Self { listed: None, without: true }
    }

    /// Only pages of these origins, each as a browser writes it: `scheme://host[:port]`, with no
    /// slash at the end. Compared exactly, byte by byte.
    pub fn list<T: Into<String>>(origins: impl IntoIterator<Item = T>) -> Self {
        let listed = origins.into_iter().map(Into::into).collect();
        Self { listed: Some(listed), without: true }
    }

    /// Refuses also requests without an `Origin`. A browser sends it with every WebSocket and every
    /// request to another origin, but not with the polls of a page of the same origin: such pages
    /// then need WebSockets from the start.
    #[must_use]
    pub fn require_origin(mut self) -> Self {
        self.without = false;
        self
    }

    /// Whether every origin is admitted.
    pub(crate) fn is_any(&self) -> bool {
        self.listed.is_none()
    }

    /// Whether a request with this `Origin` header may open a socket.
    pub fn admit(&self, origin: Option<&str>) -> bool {
        match (origin, &self.listed) {
            (None, _) => self.without,
            (Some(_), None) => true,
            (Some(origin), Some(listed)) => listed.contains(origin),
        }
    }
}

impl Default for Origins {
    /// No page, only clients that are no browsers: a service says itself whose pages it serves.
    fn default() -> Self {
        Self::list::<String>([])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_compared_exactly() {
        let origins = Origins::list(["http://127.0.0.1:8888"]);
        assert!(origins.admit(Some("http://127.0.0.1:8888")));
        for foreign in [
            "http://127.0.0.1",
            "http://127.0.0.1:88880",
            "https://127.0.0.1:8888",
            "http://127.0.0.1:8888/",
            "HTTP://127.0.0.1:8888",
            "null",
            "",
        ] {
            assert!(!origins.admit(Some(foreign)), "{foreign}");
        }
    }

    #[test]
    fn the_default_admits_no_page() {
        assert!(!Origins::default().admit(Some("http://localhost")));
        assert!(Origins::default().admit(None));
        assert!(Origins::any().admit(Some("http://anywhere")));
    }
}
