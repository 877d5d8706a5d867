//! Close codes: one table for the server, the client library and the documents.
//!
//! The number alone tells a client whether to come back, so that a client that is older than
//! a code still does the right thing with it.

use std::fmt;

use bytestring::ByteString;

/// The longest close reason, in bytes: a control frame holds 125 (RFC 6455 section 5.5) and
/// two of them are the code.
pub const MAX_REASON: usize = 123;

/// The code of a close frame.
///
/// | code | name | comes back |
/// |---|---|---|
/// | 1000 | `normal` | no |
/// | 1001 | `going_away` | yes |
/// | 1002 | `protocol_error` | no |
/// | 1003 | `unsupported` | no |
/// | 1005 | `no_code` (never sent: a close frame without a code) | yes |
/// | 1006 | `abnormal` (never sent: no close frame at all) | yes |
/// | 1007 | `invalid_payload` | no |
/// | 1008 | `policy` | no |
/// | 1009 | `too_large` | no |
/// | 1010 | `extension_required` | no |
/// | 1011 | `internal` | yes |
/// | 1012 | `restart` | yes |
/// | 1013 | `try_later` | yes |
/// | 4000 | `transport_reset` | yes |
/// | 4001 | `slow` | yes |
/// | 4002 | `ping_timeout` | yes |
/// | 4003 | `confirm_timeout` | yes |
/// | 4004 | `fragment_timeout` | yes |
/// | 4029 | `rate_limited` | yes |
/// | 4100 | `booted` | no |
/// | 4101 | `unauthorized` | no |
/// | 4102 | `session_ended` | no |
/// | 4103 | `too_many_unconfirmed` | no |
/// | 4104 | `auth_expired` | yes |
///
/// Ranges hold for codes not in the table: every 41xx stays away, everything else comes back.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CloseCode(u16);

/// One row for each named code: constant, number, name, what it means.
macro_rules! close_codes {
    ($($constant:ident = $number:literal, $name:literal, $doc:literal;)+) => {
        impl CloseCode {
            $(#[doc = $doc] pub const $constant: Self = Self($number);)+

            /// Every named code, in rising order.
            pub const NAMED: &'static [Self] = &[$(Self::$constant),+];

            /// The name in metrics, logs and the client library; `None` for a number that has
            /// no row in the table.
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($number => Some($name),)+
                    _ => None,
                }
            }
        }
    };
}

close_codes! {
    NORMAL = 1000, "normal", "The purpose is fulfilled.";
    GOING_AWAY = 1001, "going_away", "The server stops, or the page is left.";
    PROTOCOL_ERROR = 1002, "protocol_error", "The peer broke the framing or the protocol above it.";
    UNSUPPORTED = 1003, "unsupported", "A kind of data that this endpoint does not take.";
    NO_CODE = 1005, "no_code", "Local only: the close frame had no code.";
    ABNORMAL = 1006, "abnormal", "Local only: the connection ended without a close frame.";
    INVALID_PAYLOAD = 1007, "invalid_payload", "Text that is not UTF-8, or a packet that cannot be read.";
    POLICY = 1008, "policy", "Refused by a rule that has no code of its own.";
    TOO_LARGE = 1009, "too_large", "Over a bound on size, depth or count.";
    EXTENSION_REQUIRED = 1010, "extension_required", "A client missed an extension.";
    INTERNAL = 1011, "internal", "The server failed.";
    RESTART = 1012, "restart", "The server restarts; another node takes over.";
    TRY_LATER = 1013, "try_later", "The server is overloaded.";
    TRANSPORT_RESET = 4000, "transport_reset", "The transport is given up; the session may live on.";
    SLOW = 4001, "slow", "The peer did not read what was sent to it.";
    PING_TIMEOUT = 4002, "ping_timeout", "No answer to a heartbeat.";
    CONFIRM_TIMEOUT = 4003, "confirm_timeout", "The socket was not confirmed in time.";
    FRAGMENT_TIMEOUT = 4004, "fragment_timeout", "A message was begun and not finished in time.";
    RATE_LIMITED = 4029, "rate_limited", "Too many events for too long.";
    BOOTED = 4100, "booted", "The application put the socket out.";
    UNAUTHORIZED = 4101, "unauthorized", "The confirmation was refused.";
    SESSION_ENDED = 4102, "session_ended", "Logout, or the session was revoked.";
    TOO_MANY_UNCONFIRMED = 4103, "too_many_unconfirmed", "Too many events before confirmation.";
    AUTH_EXPIRED = 4104, "auth_expired", "The confirmation ran out and was not renewed in time.";
}

impl CloseCode {
    /// A code as it stands in a received close frame, or `None` if RFC 6455 sections 7.4.1
    /// and 7.4.2 do not let it travel: numbers outside 1000-4999, the reserved 1004, 1005,
    /// 1006 and 1015, and those of 1016-2999 that nobody registered.
    pub const fn from_wire(number: u16) -> Option<Self> {
        match number {
            1000..=1003 | 1007..=1014 | 3000..=4999 => Some(Self(number)),
            _ => None,
        }
    }

    /// The number.
    pub const fn get(self) -> u16 {
        self.0
    }

    /// Whether a close frame may carry it; false for the local codes 1005 and 1006.
    pub const fn may_travel(self) -> bool {
        Self::from_wire(self.0).is_some()
    }

    /// Whether a client that was closed with this code connects again by itself.
    ///
    /// Official Socket.IO clients come back after any transport close. For a code that says
    /// otherwise, send a Socket.IO DISCONNECT in every connected nsp before the close frame.
    pub const fn comes_back(self) -> bool {
        !matches!(self.0, 1000 | 1002 | 1003 | 1007..=1010 | 4100..=4103 | 4105..=4199)
    }
}

impl fmt::Debug for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CloseCode({self})")
    }
}

/// `1012 restart`, or only the number where it has no name.
impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{} {name}", self.0),
            None => write!(f, "{}", self.0),
        }
    }
}

/// The text beside a close code: at most [`MAX_REASON`] bytes of UTF-8.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct CloseReason(ByteString);

impl CloseReason {
    /// Takes `text`, cut to [`MAX_REASON`] bytes at the end of a character.
    pub fn new(text: impl Into<ByteString>) -> Self {
        let text = text.into();
        if text.len() <= MAX_REASON {
            return Self(text);
        }
        let end = text.floor_char_boundary(MAX_REASON);
        Self(text.slice_ref(&text[..end]))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&'static str> for CloseReason {
    fn from(text: &'static str) -> Self {
        Self::new(ByteString::from_static(text))
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_tells_whether_to_come_back() {
        let away: Vec<u16> = (0..=u16::MAX).filter(|code| !CloseCode(*code).comes_back()).collect();
        let mut expected = vec![1000, 1002, 1003, 1007, 1008, 1009, 1010];
        expected.extend((4100..4200).filter(|code| *code != CloseCode::AUTH_EXPIRED.get()));
        assert_eq!(away, expected);
    }

    #[test]
    fn only_codes_of_the_rfc_and_the_registry_travel() {
        for valid in [1000, 1001, 1002, 1003, 1007, 1011, 1012, 1014, 3000, 3999, 4000, 4999] {
            assert!(CloseCode::from_wire(valid).is_some(), "{valid}");
        }
        for invalid in [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535] {
            assert!(CloseCode::from_wire(invalid).is_none(), "{invalid}");
        }
    }

    #[test]
    fn every_name_is_said_once() {
        let mut names: Vec<_> = CloseCode::NAMED.iter().map(|code| code.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), CloseCode::NAMED.len());
        assert_eq!(CloseCode::RESTART.to_string(), "1012 restart");
        assert_eq!(CloseCode(3456).to_string(), "3456");
    }

    #[test]
    fn a_reason_is_cut_at_a_character() {
        assert_eq!(CloseReason::from("bye").as_str(), "bye");
        assert_eq!(CloseReason::new("x".repeat(200)).as_str().len(), 123);
        // 61 two-byte characters are 122 bytes; the next one would be cut in half.
        assert_eq!(CloseReason::new("é".repeat(100)).as_str(), "é".repeat(61));
    }
}
