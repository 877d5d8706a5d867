//! Errors that a client or another node gets to see: a code, a text, and data beside them.

use std::{borrow::Cow, fmt};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::args::Args;

/// What a failed event is answered with: `{"error":{"code","message",…}}`.
///
/// The shape differs from every value that a handler returns under its own key, so that a client
/// cannot take an error for a value. A handler makes its own with [`RouteError::new`]; the codes
/// that Whisk itself uses are the constants in [`code`].
///
/// ```
/// use router_core::RouteError;
///
/// let error = RouteError::new("room_full", "This room takes no more people.").with("limit", 50);
/// assert_eq!(
///     error.to_args().json(),
///     r#"{"error":{"code":"room_full","message":"This room takes no more people.","limit":50}}"#
/// );
/// ```
///
/// It does not implement `Serialize`: what serde can write is a handler's value, and an error must
/// never be taken for one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteError {
    code: Cow<'static, str>,
    message: Cow<'static, str>,
    data: Map<String, Value>,
}

/// The error as it is written: in acknowledgements, and in answers on the bus.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ErrorBody {
    code: Cow<'static, str>,
    message: Cow<'static, str>,
    #[serde(flatten)]
    data: Map<String, Value>,
}

impl From<RouteError> for ErrorBody {
    fn from(RouteError { code, message, data }: RouteError) -> Self {
        Self { code, message, data }
    }
}

impl From<ErrorBody> for RouteError {
    fn from(ErrorBody { code, message, data }: ErrorBody) -> Self {
        Self { code, message, data }
    }
}

/// The codes that Whisk itself answers with.
pub mod code {
    /// The socket has not been confirmed yet.
    pub const NOT_CONFIRMED: &str = "not_confirmed";
    /// No handler is registered for the event.
    pub const UNKNOWN_EVENT: &str = "unknown_event";
    /// The payload does not fit the handler's type; `path` names the fault.
    pub const BAD_PAYLOAD: &str = "bad_payload";
    /// The handler failed in a way that is not the client's to know.
    pub const INTERNAL: &str = "internal";
    /// A bounded queue is full; `retry_after_ms` says when to try again.
    pub const OVERLOADED: &str = "overloaded";
    /// The socket emits faster than its limit; `retry_after_ms` says when to try again.
    pub const RATE_LIMITED: &str = "rate_limited";
    /// The handler needs a session and there is none.
    pub const NO_SESSION: &str = "no_session";
    /// The session's document does not fit the handler's type.
    pub const BAD_SESSION: &str = "bad_session";
    /// A store or the bus did not answer; nothing is known to have been done.
    pub const UNAVAILABLE: &str = "unavailable";
    /// Nobody answered before the deadline.
    pub const TIMEOUT: &str = "timeout";
    /// A room's name is empty or too long.
    pub const BAD_ROOM: &str = "bad_room";
    /// The socket is on as many rooms as it may be.
    pub const TOO_MANY_ROOMS: &str = "too_many_rooms";
    /// The addressed node or tenant does not live.
    pub const NODE_GONE: &str = "node_gone";
    /// The text names no channel.
    pub const BAD_CHANNEL: &str = "bad_channel";
    /// The channel, or what is wanted on it, is not for this socket.
    pub const REFUSED: &str = "refused";
    /// The socket is not on the channel.
    pub const NOT_SUBSCRIBED: &str = "not_subscribed";
    /// The socket is on as many channels as it may be.
    pub const TOO_MANY_CHANNELS: &str = "too_many_channels";
    /// The client that is meant is not on the channel's roster, or not there now.
    pub const NOT_HERE: &str = "not_here";
    /// The channel keeps no roster.
    pub const NO_PRESENCE: &str = "no_presence";
}

impl RouteError {
    /// An error with a code for programs and a text for people.
    pub fn new(code: impl Into<Cow<'static, str>>, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code: code.into(), message: message.into(), data: Map::new() }
    }

    /// The same error with a datum beside code and message, which it cannot replace.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        if key != "code" && key != "message" {
            self.data.insert(key.to_owned(), value.into());
        }
        self
    }

    /// The code for programs.
    pub fn code(&self) -> &str {
        &self.code
    }

    /// The text for people.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// A datum beside code and message.
    pub fn data(&self, key: &str) -> Option<&Value> {
        self.data.get(key)
    }

    /// The error as an acknowledgement's arguments.
    pub fn to_args(&self) -> Args {
        #[derive(Serialize)]
        struct Wrapped {
            error: ErrorBody,
        }
        Args::one(&Wrapped { error: self.clone().into() }).unwrap_or_default()
    }

    /// The error that these arguments are, if they are one.
    pub(crate) fn from_args(args: &Args) -> Option<Self> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Wrapped {
            error: ErrorBody,
        }
        args.first::<Wrapped>().ok().map(|wrapped| wrapped.error.into())
    }

    /// The error as what a refused CONNECT is answered with: `{"message",…,"data":{"code",…}}`.
    pub fn to_connect_error(&self) -> String {
        let mut data = self.data.clone();
        data.insert("code".to_owned(), Value::from(&*self.code));
        serde_json::json!({ "message": self.message, "data": data }).to_string()
    }

    /// A failure whose cause is logged and not told.
    pub fn internal() -> Self {
        Self::new(code::INTERNAL, "The handler failed.")
    }

    /// A full queue, and when to try again.
    pub fn overloaded(retry_after_ms: u64) -> Self {
        Self::new(code::OVERLOADED, "Too busy at the moment.")
            .with("retry_after_ms", retry_after_ms)
    }

    /// A store or the bus that did not answer.
    pub fn unavailable() -> Self {
        Self::new(code::UNAVAILABLE, "A service behind this one did not answer.")
    }
}

impl fmt::Display for RouteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for RouteError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_has_its_text_beside_its_data() {
        let error = RouteError::new("full", "No place.").with("max", 3);
        let told: Value = serde_json::from_str(&error.to_connect_error()).unwrap();
        assert_eq!(told["message"], "No place.");
        assert_eq!(told["data"], serde_json::json!({"code": "full", "max": 3}));
    }

    #[test]
    fn data_cannot_replace_the_code() {
        let error = RouteError::new("a", "b").with("code", "c").with("at", 3);
        assert_eq!((error.code(), error.data("at")), ("a", Some(&Value::from(3))));
    }
}
