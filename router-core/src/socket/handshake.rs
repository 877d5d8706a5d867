//! With what a client came: its request's headers, address and query, and the `auth` of its CONNECT.
//!
//! All of it is the client's own claim; only the address is checked, as the trusted proxies say. A
//! connection keeps it for as long as it lives, so it is one compact piece of bounded length.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use bytestring::ByteString;
use cookie::Cookie;
use serde::de::DeserializeOwned;

use crate::args::{Args, PayloadError};

/// Bytes of query and headers that are kept. What goes beyond is left out, header by header.
const KEPT_MAX: usize = 8 * 1024;

/// Headers that speak of the transport alone.
const TRANSPORT: [&str; 5] = [
    "connection",
    "upgrade",
    "sec-websocket-key",
    "sec-websocket-version",
    "sec-websocket-extensions",
];

/// The request that opened a connection. All sockets of the connection share it.
pub struct OpeningRequest {
    address: IpAddr,
    query_length: u16,
    /// The query; then `name:value` and a line feed for each header.
    text: Box<str>,
}

impl OpeningRequest {
    /// Keeps what a handler may ask for. Names are lower-case, as HTTP libraries have them; headers
    /// that are no UTF-8 are to be left out by the caller.
    pub fn new<'a>(
        address: IpAddr,
        query: &str,
        headers: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Arc<Self> {
        let query = if query.len() <= KEPT_MAX { query } else { "" };
        let mut text = query.to_owned();
        for (name, value) in headers {
            let fits = text.len() + name.len() + value.len() + 2 <= KEPT_MAX;
            if fits && !TRANSPORT.contains(&name) && !value.contains('\n') {
                text.extend([name, ":", value, "\n"]);
            }
        }
        let query_length = u16::try_from(query.len()).unwrap_or_default();
        Arc::new(Self { address, query_length, text: text.into() })
    }

    fn split(&self) -> (&str, &str) {
        self.text.split_at_checked(usize::from(self.query_length)).unwrap_or_default()
    }
}

/// With what a socket's client came. Cheap to clone.
///
/// ```
/// use router_core::{RouteError, Routes, socket::Handshake};
/// use serde::Deserialize;
///
/// #[derive(Deserialize)]
/// struct Shown {
///     token: String,
/// }
///
/// pub fn routes(cfg: &mut Routes) {
///     cfg.nsp("/guarded").guard(admit);
/// }
///
/// async fn admit(handshake: Handshake) -> Result<(), RouteError> {
///     match handshake.auth::<Shown>() {
///         Ok(shown) if shown.token == "letmein" => Ok(()),
///         _ => Err(RouteError::new("not_authorized", "not authorized")),
///     }
/// }
/// # Routes::build([routes as fn(&mut Routes)]).unwrap();
/// ```
#[derive(Clone)]
pub struct Handshake {
    request: Arc<OpeningRequest>,
    auth: Option<ByteString>,
}

impl Handshake {
    /// A handshake of this request, with the text of a JSON object as `auth`.
    pub fn new(request: Arc<OpeningRequest>, auth: Option<ByteString>) -> Self {
        Self { request, auth }
    }

    /// The client's address, as the trusted proxies say.
    pub fn address(&self) -> IpAddr {
        self.request.address
    }

    /// The request's query, as it came.
    pub fn query(&self) -> &str {
        self.request.split().0
    }

    /// The value of a key in the query, as it came: percent-encoded.
    pub fn query_value(&self, key: &str) -> Option<&str> {
        let mut pairs =
            self.query().split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        pairs.find(|(name, _)| *name == key).map(|(_, value)| value)
    }

    /// The headers, with names in lower case.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.request.split().1.lines().filter_map(|line| line.split_once(':'))
    }

    /// The first header of this lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// The value of a cookie, percent-decoded. The client's own claim, like everything here: a
    /// cookie that is worth something is signed.
    pub fn cookie(&self, name: &str) -> Option<String> {
        let lines = self.headers().filter(|(known, _)| *known == "cookie");
        let mut cookies = lines.flat_map(|(_, line)| Cookie::split_parse_encoded(line)).flatten();
        cookies.find(|cookie| cookie.name() == name).map(|cookie| cookie.value().to_owned())
    }

    /// The `Origin`, which browsers alone send.
    pub fn origin(&self) -> Option<&str> {
        self.header("origin")
    }

    /// The `auth` of its CONNECT, as a JSON text; `{}` if there was none.
    pub fn auth_json(&self) -> &str {
        self.auth.as_deref().unwrap_or("{}")
    }

    /// The `auth` of its CONNECT, read as a `T`.
    ///
    /// # Errors
    /// [`PayloadError`] names the path of the first fault.
    pub fn auth<T: DeserializeOwned>(&self) -> Result<T, PayloadError> {
        Args::from_checked_json(self.auth_json().into(), Vec::new()).first()
    }
}

impl Default for Handshake {
    /// Of a client that showed nothing.
    fn default() -> Self {
        Self::new(OpeningRequest::new(Ipv4Addr::UNSPECIFIED.into(), "", []), None)
    }
}

impl fmt::Debug for OpeningRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Cookies and tokens stay out of logs.
        f.debug_struct("OpeningRequest").field("address", &self.address).finish_non_exhaustive()
    }
}

impl fmt::Debug for Handshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handshake").field("address", &self.address()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sent_is_there_and_the_transports_own_is_not() {
        let headers = [
            ("host", "a:80"),
            ("upgrade", "websocket"),
            ("cookie", "x=1:2"),
            ("cookie", "y; z=a%20b"),
        ];
        let request = OpeningRequest::new([127, 0, 0, 1].into(), "EIO=4&room=a%20b&flag", headers);
        let handshake = Handshake::new(request, Some(r#"{"token":"t"}"#.into()));
        assert_eq!(handshake.query_value("room"), Some("a%20b"));
        assert_eq!(handshake.query_value("flag"), Some(""));
        assert_eq!(handshake.query_value("no"), None);
        assert_eq!(handshake.header("cookie"), Some("x=1:2"));
        assert_eq!(handshake.cookie("x").as_deref(), Some("1:2"));
        assert_eq!(handshake.cookie("z").as_deref(), Some("a b"));
        assert_eq!((handshake.cookie("y"), handshake.origin()), (None, None));
        assert_eq!(handshake.headers().count(), 3);
        assert_eq!(handshake.auth::<serde_json::Value>().unwrap()["token"], "t");
        let printed = format!("{handshake:?}");
        assert!(!printed.contains("x=1") && !printed.contains("token"), "{printed}");
        assert_eq!(Handshake::default().auth_json(), "{}");
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let long = "x".repeat(KEPT_MAX);
        let request = OpeningRequest::new([0; 4].into(), "a=1", [("long", &*long), ("short", "s")]);
        let handshake = Handshake::new(request, None);
        assert_eq!(handshake.headers().collect::<Vec<_>>(), [("short", "s")]);
        let request = OpeningRequest::new([0; 4].into(), &format!("{long}x"), []);
        assert_eq!(Handshake::new(request, None).query(), "");
    }
}
