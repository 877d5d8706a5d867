//! The query string of an Engine.IO request, and the errors with which it is refused.
//!
//! The order of the checks and the numbers, texts and statuses of the errors are those of the
//! reference server, since clients show them to their users.

use std::fmt;

/// How a session's packets travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// Long-polling over plain HTTP requests.
    Polling,
    /// A WebSocket.
    WebSocket,
}

impl Transport {
    /// The name in the query string and in `upgrades`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Polling => "polling",
            Self::WebSocket => "websocket",
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a request wants to be done, told by its query, its method and its wish to be upgraded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action<'a> {
    /// OPTIONS: a browser asks what it may send. It is answered by the rules for origins alone.
    Preflight,
    /// A session begins on this transport.
    Open(Transport),
    /// GET: the session's waiting packets are fetched.
    Poll(&'a str),
    /// POST: the body has packets for the session.
    Push(&'a str),
    /// The session, which began by long-polling, is to move to this WebSocket.
    Upgrade(&'a str),
}

/// What a request asks for. Keys that the protocol does not name (`t`, the cache buster, and
/// the application's own) are passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenRequest<'a> {
    /// The transport of this request.
    pub transport: Transport,
    /// The session that it belongs to, as the client wrote it; `None`, which an empty one is
    /// too, opens one. Session ids
    /// have no character that a query string escapes, so that an escaped one is simply unknown.
    pub sid: Option<&'a str>,
}

impl<'a> OpenRequest<'a> {
    /// Reads the part of the URL after `?`.
    ///
    /// # Errors
    ///
    /// [`OpenError::UnknownTransport`]; [`OpenError::UnsupportedVersion`] unless `EIO` is 4,
    /// which a request of an open session need not say; [`OpenError::BadRequest`] for one of
    /// the three keys said twice, or for JSONP (a `j` on long-polling).
    pub fn parse(query: &'a str) -> Result<Self, OpenError> {
        let [mut version, mut transport, mut sid] = [None; 3];
        let mut is_jsonp = false;
        for pair in query.split('&') {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let slot = match key {
                "EIO" => &mut version,
                "transport" => &mut transport,
                "sid" => &mut sid,
                "j" => {
                    is_jsonp = true;
                    continue;
                }
                _ => continue,
            };
            if slot.replace(value).is_some() {
                return Err(OpenError::BadRequest);
            }
        }
        let transport = match transport {
            Some("websocket") => Transport::WebSocket,
            Some("polling") => Transport::Polling,
            _ => return Err(OpenError::UnknownTransport),
        };
        let sid = sid.filter(|sid| !sid.is_empty());
        match (version, sid) {
            _ if is_jsonp && transport == Transport::Polling => Err(OpenError::BadRequest),
            (Some("4"), _) | (None, Some(_)) => Ok(Self { transport, sid }),
            _ => Err(OpenError::UnsupportedVersion),
        }
    }

    /// Tells what is to be done. Whether the session is known, and polls at all, is its
    /// owner's to judge ([`OpenError::UnknownSession`], [`OpenError::BadRequest`]).
    ///
    /// # Errors
    ///
    /// Those of [`check`](Self::check), and [`OpenError::BadRequest`] for a method that a
    /// session has no use for.
    pub fn action(&self, method: &str, upgrade: bool) -> Result<Action<'a>, OpenError> {
        if method == "OPTIONS" && !upgrade {
            return Ok(Action::Preflight);
        }
        self.check(method, upgrade)?;
        match (self.sid, method, self.transport) {
            (None, _, transport) => Ok(Action::Open(transport)),
            (Some(sid), "GET", Transport::Polling) => Ok(Action::Poll(sid)),
            (Some(sid), "POST", Transport::Polling) => Ok(Action::Push(sid)),
            (Some(sid), "GET", Transport::WebSocket) => Ok(Action::Upgrade(sid)),
            _ => Err(OpenError::BadRequest),
        }
    }

    /// Whether the request's method and its wish to be upgraded fit what it asks for.
    ///
    /// # Errors
    ///
    /// [`OpenError::BadMethod`] for a session opened with anything but GET;
    /// [`OpenError::BadRequest`] for a WebSocket without an upgrade, or an upgrade to polling.
    pub fn check(&self, method: &str, upgrade: bool) -> Result<(), OpenError> {
        if self.sid.is_none() && method != "GET" {
            return Err(OpenError::BadMethod);
        }
        if upgrade != (self.transport == Transport::WebSocket) {
            return Err(OpenError::BadRequest);
        }
        Ok(())
    }
}

/// Why a request is refused, by the numbers of the reference server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[repr(u8)]
pub enum OpenError {
    /// No transport of this name.
    #[error("Transport unknown")]
    UnknownTransport = 0,
    /// No session of this id, or no longer.
    #[error("Session ID unknown")]
    UnknownSession = 1,
    /// A session is opened with GET.
    #[error("Bad handshake method")]
    BadMethod = 2,
    /// Anything else that does not fit.
    #[error("Bad request")]
    BadRequest = 3,
    /// Refused by a rule, such as a foreign origin.
    #[error("Forbidden")]
    Forbidden = 4,
    /// Another revision of the protocol than 4.
    #[error("Unsupported protocol version")]
    UnsupportedVersion = 5,
}

impl OpenError {
    /// The number in the body.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The HTTP status: 403 for [`Forbidden`](Self::Forbidden), 400 for the others.
    pub const fn status(self) -> u16 {
        match self {
            Self::Forbidden => 403,
            _ => 400,
        }
    }

    /// The body of the answer, JSON.
    pub const fn body(self) -> &'static str {
        match self {
            Self::UnknownTransport => r#"{"code":0,"message":"Transport unknown"}"#,
            Self::UnknownSession => r#"{"code":1,"message":"Session ID unknown"}"#,
            Self::BadMethod => r#"{"code":2,"message":"Bad handshake method"}"#,
            Self::BadRequest => r#"{"code":3,"message":"Bad request"}"#,
            Self::Forbidden => r#"{"code":4,"message":"Forbidden"}"#,
            Self::UnsupportedVersion => r#"{"code":5,"message":"Unsupported protocol version"}"#,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_requests_of_the_official_clients_are_read() {
        let cases = [
            ("EIO=4&transport=websocket", Transport::WebSocket, None),
            ("EIO=4&transport=polling&t=oqd5xbuu", Transport::Polling, None),
            ("EIO=4&transport=polling&t=x&sid=lv_VI97", Transport::Polling, Some("lv_VI97")),
            ("foo=bar&EIO=4&&transport=websocket&sid=a-b", Transport::WebSocket, Some("a-b")),
            ("transport=polling&sid=a", Transport::Polling, Some("a")),
            ("EIO=4&transport=polling&sid=", Transport::Polling, None),
            ("EIO=4&transport=websocket&j=0", Transport::WebSocket, None),
        ];
        for (query, transport, sid) in cases {
            assert_eq!(OpenRequest::parse(query), Ok(OpenRequest { transport, sid }), "{query}");
        }
    }

    #[test]
    fn each_fault_of_a_query_has_its_number() {
        use OpenError::{BadRequest, UnknownTransport, UnsupportedVersion};
        let cases = [
            ("", UnknownTransport),
            ("EIO=4", UnknownTransport),
            ("EIO=4&transport=", UnknownTransport),
            ("EIO=4&transport=abc", UnknownTransport),
            ("EIO=4&transport=webtransport", UnknownTransport),
            ("EIO=4&transport=WebSocket", UnknownTransport),
            ("transport=websocket", UnsupportedVersion),
            ("EIO=abc&transport=websocket", UnsupportedVersion),
            ("EIO=3&transport=websocket", UnsupportedVersion),
            ("EIO=3&transport=polling&sid=a", UnsupportedVersion),
            ("transport=polling&sid=", UnsupportedVersion),
            ("EIO=4&transport=polling&j=0", BadRequest),
            ("EIO=4&transport=polling&sid=a&j=1", BadRequest),
            ("EIO=4&EIO=4&transport=websocket", BadRequest),
            ("EIO=4&transport=websocket&transport=polling", BadRequest),
            ("EIO=4&transport=polling&sid=a&sid=b", BadRequest),
        ];
        for (query, error) in cases {
            assert_eq!(OpenRequest::parse(query), Err(error), "{query}");
        }
    }

    #[test]
    fn method_and_upgrade_must_fit_the_transport() {
        let open = |transport| OpenRequest { transport, sid: None };
        let of = |transport| OpenRequest { transport, sid: Some("a") };
        let (ws, polling) = (Transport::WebSocket, Transport::Polling);
        assert_eq!(open(ws).check("GET", true), Ok(()));
        assert_eq!(open(ws).check("GET", false), Err(OpenError::BadRequest));
        assert_eq!(open(ws).check("POST", true), Err(OpenError::BadMethod));
        assert_eq!(open(polling).check("GET", false), Ok(()));
        assert_eq!(open(polling).check("GET", true), Err(OpenError::BadRequest));
        assert_eq!(open(polling).check("POST", false), Err(OpenError::BadMethod));
        assert_eq!(of(polling).check("POST", false), Ok(()));
        assert_eq!(of(ws).check("GET", true), Ok(()));
    }

    #[test]
    fn query_method_and_upgrade_tell_what_is_to_be_done() {
        use OpenError::{BadMethod, BadRequest};
        let polling = "EIO=4&transport=polling";
        let websocket = "EIO=4&transport=websocket";
        let cases = [
            (polling, "GET", false, Ok(Action::Open(Transport::Polling))),
            (websocket, "GET", true, Ok(Action::Open(Transport::WebSocket))),
            (polling, "OPTIONS", false, Ok(Action::Preflight)),
            ("transport=polling&sid=a", "OPTIONS", false, Ok(Action::Preflight)),
            ("transport=polling&sid=a", "GET", false, Ok(Action::Poll("a"))),
            ("transport=polling&sid=a", "POST", false, Ok(Action::Push("a"))),
            ("transport=websocket&sid=a", "GET", true, Ok(Action::Upgrade("a"))),
            (polling, "POST", false, Err(BadMethod)),
            (polling, "PUT", false, Err(BadMethod)),
            (websocket, "OPTIONS", true, Err(BadMethod)),
            (websocket, "GET", false, Err(BadRequest)),
            (polling, "GET", true, Err(BadRequest)),
            ("transport=polling&sid=a", "PUT", false, Err(BadRequest)),
            ("transport=polling&sid=a", "DELETE", false, Err(BadRequest)),
            ("transport=polling&sid=a", "get", false, Err(BadRequest)),
            ("transport=polling&sid=a", "GET", true, Err(BadRequest)),
            ("transport=websocket&sid=a", "GET", false, Err(BadRequest)),
            ("transport=websocket&sid=a", "POST", true, Err(BadRequest)),
        ];
        for (query, method, upgrade, action) in cases {
            let request = OpenRequest::parse(query).unwrap();
            assert_eq!(request.action(method, upgrade), action, "{method} {query} {upgrade}");
        }
    }

    #[test]
    fn bodies_say_the_number_and_the_text() {
        use OpenError::{BadMethod, BadRequest, Forbidden, UnknownSession};
        use OpenError::{UnknownTransport, UnsupportedVersion};
        let all = [
            UnknownTransport,
            UnknownSession,
            BadMethod,
            BadRequest,
            Forbidden,
            UnsupportedVersion,
        ];
        for (number, error) in all.into_iter().enumerate() {
            let body = format!(r#"{{"code":{number},"message":"{error}"}}"#);
            assert_eq!(error.body(), body);
            assert_eq!(usize::from(error.code()), number);
            assert_eq!(error.status(), if error == Forbidden { 403 } else { 400 });
        }
    }
}
