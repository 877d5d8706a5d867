//! Answers that are written to the socket by hand, since a request to upgrade never reaches the App.

use std::{borrow::Cow, fmt::Write as _, time::Duration};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use wire::{engine::OpenError, ws::handshake::Refusal};

/// When to come back, in seconds, for a client that was sent away with 503.
const RETRY_AFTER: &str = "5";

/// How long a refused client may go on sending before it is cut.
const LINGER: Duration = Duration::from_secs(1);

/// An answer that ends the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    status: u16,
    header: Option<(&'static str, &'static str)>,
    /// JSON.
    body: Cow<'static, str>,
}

impl Answer {
    /// There is nothing at this path that could be upgraded to.
    pub(crate) const NOT_FOUND: Self = Self {
        status: 404,
        header: None,
        body: Cow::Borrowed(r#"{"error":{"code":"not_found"}}"#),
    };

    /// Not now: the node goes away or has no room.
    pub(crate) const UNAVAILABLE: Self = Self {
        status: 503,
        header: Some(("Retry-After", RETRY_AFTER)),
        body: Cow::Borrowed(r#"{"error":{"code":"overloaded"}}"#),
    };
}

impl From<OpenError> for Answer {
    fn from(error: OpenError) -> Self {
        Self { status: error.status(), header: None, body: error.body().into() }
    }
}

impl From<Refusal> for Answer {
    fn from(refusal: Refusal) -> Self {
        let body = OpenError::BadRequest.body().into();
        Self { status: refusal.status(), header: refusal.header(), body }
    }
}

impl Answer {
    /// An answer with this JSON as its body.
    pub(crate) fn new(status: u16, body: String) -> Self {
        Self { status, header: None, body: body.into() }
    }

    /// The status.
    pub(crate) const fn status(&self) -> u16 {
        self.status
    }

    /// One more header line.
    pub(crate) const fn header(&self) -> Option<(&'static str, &'static str)> {
        self.header
    }

    /// The body, JSON.
    pub(crate) fn into_body(self) -> Cow<'static, str> {
        self.body
    }

    /// The whole response.
    fn to_text(&self) -> String {
        let reason = match self.status {
            400 => "Bad Request",
            401 => "Unauthorized",
            403 => "Forbidden",
            404 => "Not Found",
            405 => "Method Not Allowed",
            426 => "Upgrade Required",
            429 => "Too Many Requests",
            503 => "Service Unavailable",
            _ => "Refused",
        };
        let mut text = format!("HTTP/1.1 {} {reason}\r\nConnection: close\r\n", self.status);
        if let Some((name, value)) = self.header {
            // Writing to a String does not fail.
            let _written = write!(text, "{name}: {value}\r\n");
        }
        let _written = write!(
            text,
            "Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{}",
            self.body.len(),
            self.body
        );
        text
    }

    /// Writes the response and ends the connection.
    pub(crate) async fn write(self, stream: impl AsyncRead + AsyncWrite + Unpin) {
        write_last(stream, self.to_text().as_bytes()).await;
    }
}

/// Writes the last that is said on a connection, and ends it. What the client still sends is read
/// and thrown away for a moment: closing a socket with unread bytes would cut the words off.
pub(crate) async fn write_last(mut stream: impl AsyncRead + AsyncWrite + Unpin, last: &[u8]) {
    let answered = async {
        stream.write_all(last).await?;
        stream.shutdown().await?;
        let mut rest = [0; 512];
        while stream.read(&mut rest).await? > 0 {}
        Ok::<_, std::io::Error>(())
    };
    // Whether a refused client reads its answer is its own matter.
    let _answered = tokio::time::timeout(LINGER, answered).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_a_whole_response() {
        assert_eq!(
            Answer::UNAVAILABLE.to_text(),
            "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 5\r\n\
             Content-Type: application/json\r\nContent-Length: 31\r\n\r\n\
             {\"error\":{\"code\":\"overloaded\"}}"
        );
        let refused = Answer::from(Refusal::Version).to_text();
        assert!(refused.starts_with("HTTP/1.1 426 "), "{refused}");
        assert!(refused.contains("Sec-WebSocket-Version: 13\r\n"), "{refused}");
    }
}
