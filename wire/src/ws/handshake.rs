//! The opening handshake as the server reads it (RFC 6455 sections 4.2.1 and 4.2.2).

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use sha1::{Digest, Sha1};

/// What RFC 6455 section 1.3 appends to the client's key.
const KEY_SUFFIX: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The parts of an HTTP request that decide about an upgrade, borrowed from wherever the
/// host keeps its request. Several lines of one header are given joined by commas.
#[derive(Clone, Copy, Debug, Default)]
pub struct UpgradeRequest<'a> {
    /// The method, as it was received.
    pub method: &'a str,
    /// Major and minor version of HTTP.
    pub http_version: (u8, u8),
    /// The `Upgrade` header.
    pub upgrade: Option<&'a str>,
    /// The `Connection` header.
    pub connection: Option<&'a str>,
    /// The `Sec-WebSocket-Key` header.
    pub key: Option<&'a str>,
    /// The `Sec-WebSocket-Version` header.
    pub version: Option<&'a str>,
}

impl UpgradeRequest<'_> {
    /// Decides about the upgrade. Origin, path and query are the host's matter.
    ///
    /// # Errors
    ///
    /// A [`Refusal`], which knows its HTTP status.
    pub fn check(&self) -> Result<Accept, Refusal> {
        if self.method != "GET" {
            return Err(Refusal::Method);
        }
        if self.http_version < (1, 1) {
            return Err(Refusal::HttpVersion);
        }
        if !has_token(self.upgrade, "websocket") {
            return Err(Refusal::NotAnUpgrade);
        }
        if !has_token(self.connection, "upgrade") {
            return Err(Refusal::Connection);
        }
        if self.version.map(str::trim) != Some("13") {
            return Err(Refusal::Version);
        }
        let key = self.key.map(str::trim).filter(|key| is_key(key)).ok_or(Refusal::Key)?;
        Ok(Accept::for_key(key))
    }
}

/// An accepted upgrade: the answer to the client's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accept {
    key: String,
}

impl Accept {
    /// Computes the answer to `key` without judging it; a client checks its server with this.
    pub fn for_key(key: &str) -> Self {
        let mut hash = Sha1::new();
        hash.update(key.as_bytes());
        hash.update(KEY_SUFFIX);
        Self { key: BASE64_STANDARD.encode(hash.finalize()) }
    }

    /// The value of `Sec-WebSocket-Accept`.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The whole response, from status line to empty line, for a host that writes to the
    /// socket by itself.
    pub fn response(&self) -> Bytes {
        Bytes::from(format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {}\r\n\r\n",
            self.key
        ))
    }
}

/// Why a request is not upgraded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Not GET.
    #[error("a WebSocket is opened with GET")]
    Method,
    /// HTTP/1.0 or older.
    #[error("a WebSocket needs HTTP/1.1")]
    HttpVersion,
    /// No `Upgrade: websocket`: a plain request at a WebSocket's path.
    #[error("the request does not ask for an upgrade to websocket")]
    NotAnUpgrade,
    /// `Connection` does not name the upgrade, which a proxy in between may have removed.
    #[error("the Connection header does not name the upgrade")]
    Connection,
    /// Another version than 13.
    #[error("only version 13 is spoken")]
    Version,
    /// `Sec-WebSocket-Key` is missing or not 16 bytes of base64.
    #[error("Sec-WebSocket-Key is missing or malformed")]
    Key,
}

impl Refusal {
    /// The HTTP status to answer with.
    pub const fn status(self) -> u16 {
        match self {
            Self::Method => 405,
            Self::NotAnUpgrade | Self::Version => 426,
            Self::HttpVersion | Self::Connection | Self::Key => 400,
        }
    }

    /// A header that the answer owes beside its status (RFC 9110 sections 15.5.6 and 15.5.22,
    /// RFC 6455 section 4.4).
    pub const fn header(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Method => Some(("Allow", "GET")),
            Self::NotAnUpgrade => Some(("Upgrade", "websocket")),
            Self::Version => Some(("Sec-WebSocket-Version", "13")),
            Self::HttpVersion | Self::Connection | Self::Key => None,
        }
    }
}

/// Whether a comma-separated header names `token`, in any case.
fn has_token(header: Option<&str>, token: &str) -> bool {
    header.is_some_and(|list| list.split(',').any(|item| item.trim().eq_ignore_ascii_case(token)))
}

/// Whether `key` is the base64 of exactly 16 bytes.
fn is_key(key: &str) -> bool {
    // 16 bytes are 22 characters and two of padding; the length is looked at first so that a
    // long header is not decoded.
    let mut nonce = [0; 18];
    key.len() == 24 && BASE64_STANDARD.decode_slice(key, &mut nonce) == Ok(16)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 6455 section 1.3.
    const EXAMPLE: UpgradeRequest<'static> = UpgradeRequest {
        method: "GET",
        http_version: (1, 1),
        upgrade: Some("websocket"),
        connection: Some("Upgrade"),
        key: Some("dGhlIHNhbXBsZSBub25jZQ=="),
        version: Some("13"),
    };

    #[test]
    fn the_example_of_the_rfc_is_accepted() {
        let accept = EXAMPLE.check().unwrap();
        assert_eq!(accept.key(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        let response = accept.response();
        assert!(response.starts_with(b"HTTP/1.1 101 Switching Protocols\r\n"));
        assert!(response.ends_with(b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"));
    }

    #[test]
    fn tokens_are_found_in_lists_and_in_any_case() {
        let request = UpgradeRequest {
            upgrade: Some("h2c, WebSocket"),
            connection: Some("keep-alive,\tUPGRADE"),
            ..EXAMPLE
        };
        assert!(request.check().is_ok());
    }

    #[test]
    fn each_fault_is_refused_by_its_kind() {
        type Spoil = fn(&mut UpgradeRequest<'static>);
        let cases: [(Spoil, Refusal, u16); 14] = [
            (|request| *request = UpgradeRequest::default(), Refusal::Method, 405),
            (|request| request.method = "POST", Refusal::Method, 405),
            (|request| request.method = "get", Refusal::Method, 405),
            (|request| request.http_version = (1, 0), Refusal::HttpVersion, 400),
            (|request| request.upgrade = None, Refusal::NotAnUpgrade, 426),
            (|request| request.upgrade = Some("websockets"), Refusal::NotAnUpgrade, 426),
            (|request| request.connection = None, Refusal::Connection, 400),
            (|request| request.connection = Some("close"), Refusal::Connection, 400),
            (|request| request.version = None, Refusal::Version, 426),
            (|request| request.version = Some("8"), Refusal::Version, 426),
            (|request| request.key = None, Refusal::Key, 400),
            (|request| request.key = Some(""), Refusal::Key, 400),
            (|request| request.key = Some("dGhlIHNhbXBsZSBub25jZSEh"), Refusal::Key, 400),
            (|request| request.key = Some("????????????????????????"), Refusal::Key, 400),
        ];
        for (spoil, refusal, status) in cases {
            let mut request = EXAMPLE;
            spoil(&mut request);
            assert_eq!(request.check(), Err(refusal), "{request:?}");
            assert_eq!(refusal.status(), status);
        }
    }
}
