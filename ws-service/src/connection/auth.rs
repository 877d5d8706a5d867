//! What a client shows to be confirmed, and what it is told. Pure: nothing here asks a store.
//!
//! Two handshakes lead to the same confirmation:
//!
//! - *shown*: the CONNECT packet carries `{"ws_token":…}` or `{"resume":…}`, and is answered only
//!   when the credential was judged: CONNECT means confirmed, CONNECT_ERROR refused;
//! - *asked*: a CONNECT without either is answered at once, then `whisk.auth.request` asks for the
//!   credential, which its acknowledgement carries.

use bytestring::ByteString;
use router_core::{
    Address, Args, RouteError,
    presence::ClientId,
    session::{ConfirmError, Credential, SessionId, Site, UserId},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use wire::CloseCode;

/// The event that asks a client for its credential.
pub(crate) const REQUEST: &str = "whisk.auth.request";
/// The acknowledgement ids below this one are those of [`REQUEST`], of which there are two kinds.
pub(crate) const REQUESTS: u64 = 2;
/// The event that tells a client that it is confirmed.
pub(crate) const ACCEPT: &str = "whisk.auth.accept";
/// The event that tells a client that it is not.
pub(crate) const ERROR: &str = "whisk.auth.error";

/// Whom a connection's confirmation leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) sid: SessionId,
    pub(crate) user_id: UserId,
}

/// Where the one confirmation of a connection stands.
#[derive(Debug, Default)]
pub(crate) enum Confirmation {
    /// Nothing was shown yet.
    #[default]
    None,
    /// A credential is being judged.
    Running,
    /// It was good.
    Done(Identity),
    /// It was good; whether the session still lives is being asked, for a socket that came later.
    Again(Identity),
}

/// Why a socket is not confirmed, as its client is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Failure {
    /// For programs.
    pub(crate) code: &'static str,
    /// For people.
    pub(crate) message: &'static str,
    /// What the connection is closed with when it has no other socket.
    pub(crate) close: CloseCode,
}

impl Failure {
    /// The time to be confirmed is over.
    pub(crate) const TIMEOUT: Self = Self {
        code: "auth_timeout",
        message: "Session confirmation took too long.",
        close: CloseCode::CONFIRM_TIMEOUT,
    };

    /// The confirmation ran out.
    pub(crate) const EXPIRED: Self = Self {
        code: "auth_expired",
        message: "The confirmation ran out and was not renewed in time.",
        close: CloseCode::AUTH_EXPIRED,
    };

    /// What a failed confirmation is told as.
    pub(crate) fn of(error: &ConfirmError) -> Self {
        let close = match error {
            ConfirmError::Refused => CloseCode::UNAUTHORIZED,
            // Nobody could tell; the client may come back and try again.
            _ => CloseCode::TRY_LATER,
        };
        Self { code: error.code(), message: error.message(), close }
    }

    /// The arguments of `whisk.auth.error`.
    pub(crate) fn to_args(self) -> Args {
        RouteError::new(self.code, self.message).to_args()
    }
}

/// The keys of a credential. Others are the application's.
#[derive(Deserialize)]
struct Shown {
    ws_token: Option<Value>,
    resume: Option<Value>,
}

/// Reads a credential out of a JSON object. `None` if there is none: neither key, or null.
///
/// A credential of a wrong type is one that no store knows; it is refused like any wrong one.
pub(crate) fn credential(json: &str) -> Option<Credential> {
    let shown: Shown = serde_json::from_str(json).ok()?;
    let text = |value: Option<Value>| match value {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text),
        Some(_) => Some(String::new()),
    };
    let resume = text(shown.resume);
    text(shown.ws_token).map(Credential::Token).or_else(|| resume.map(Credential::Resume))
}

/// A secret that a client shows to be known again: on rosters, it is the same client then.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ClientSecret(Box<str>);

/// It is no secret of a client.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NoSecret;

impl ClientSecret {
    /// What is asked of it.
    pub(crate) const RULE: &'static str = "whisk_client is a text of 16 to 128 characters.";

    /// Reads it out of a CONNECT's `auth`.
    ///
    /// # Errors
    /// When there is one, and it is not as [`RULE`](Self::RULE) says.
    pub(crate) fn read(json: &str) -> Result<Option<Self>, NoSecret> {
        #[derive(Deserialize)]
        struct Shown {
            whisk_client: Option<Value>,
        }
        let shown = serde_json::from_str(json).ok().and_then(|shown: Shown| shown.whisk_client);
        match shown {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if (16..=128).contains(&text.chars().count()) => {
                Ok(Some(Self(text.into())))
            }
            Some(_) => Err(NoSecret),
        }
    }

    /// Who the client is to others.
    pub(crate) fn to_id(&self, site: &Site, user: Option<&UserId>) -> ClientId {
        ClientId::of_secret(site, user, &self.0)
    }
}

/// The keys of a CONNECT's `auth` that are Whisk's own.
const OURS: [&str; 3] = ["ws_token", "resume", "whisk_client"];

/// What handlers may see of a CONNECT's `auth`: all but what is Whisk's own and secret.
pub(crate) fn without_credentials(json: &str) -> Option<ByteString> {
    // A key may be written with escapes.
    if !json.contains('\\') && !OURS.iter().any(|key| json.contains(key)) {
        // A copy of its own: the packet that it came in is not kept for it.
        return Some(json.into());
    }
    let mut auth: serde_json::Map<String, Value> = serde_json::from_str(json).ok()?;
    for key in OURS {
        auth.remove(key);
    }
    let left = !auth.is_empty();
    left.then(|| Value::Object(auth).to_string().into())
}

/// Reads the acknowledgement of `whisk.auth.request`; an answer without a credential is a wrong one.
pub(crate) fn answered(args: &ByteString) -> Credential {
    let first = Args::from_checked_json(args.clone(), Vec::new()).first::<Value>();
    let first = first.map(|value| value.to_string()).unwrap_or_default();
    credential(&first).unwrap_or_else(|| Credential::Token(String::new()))
}

/// The arguments of `whisk.auth.accept`. `resume` is there on the sockets that were confirmed, and
/// missing on those that joined the connection later.
pub(crate) fn accept(user_id: &UserId, address: &Address, resume: Option<&str>) -> Args {
    #[derive(Serialize)]
    struct Accept<'a> {
        success: bool,
        user_id: &'a UserId,
        address: &'a Address,
        #[serde(skip_serializing_if = "Option::is_none")]
        resume: Option<&'a str>,
    }
    // Texts and a boolean always serialize.
    Args::one(&Accept { success: true, user_id, address, resume }).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_is_read_from_either_key() {
        let cases = [
            (r#"{"ws_token":"a"}"#, Some(Credential::Token("a".to_owned()))),
            (r#"{"resume":"b","theirs":[1]}"#, Some(Credential::Resume("b".to_owned()))),
            (r#"{"ws_token":"a","resume":"b"}"#, Some(Credential::Token("a".to_owned()))),
            (r#"{"ws_token":null,"resume":"b"}"#, Some(Credential::Resume("b".to_owned()))),
            (r#"{"ws_token":7}"#, Some(Credential::Token(String::new()))),
            (r#"{"token":"a"}"#, None),
            ("{}", None),
            ("[]", None),
            ("", None),
        ];
        for (json, credential) in cases {
            assert_eq!(super::credential(json), credential, "{json}");
        }
    }

    #[test]
    fn an_answer_without_a_credential_is_a_wrong_one() {
        for args in ["", "null", "{}", "[1]", "7", r#"{"ws_token":""}"#] {
            assert_eq!(answered(&args.into()), Credential::Token(String::new()), "{args}");
        }
        let args = r#"{"resume":"x"},{"ws_token":"second arguments are not read"}"#;
        assert_eq!(answered(&args.into()), Credential::Resume("x".to_owned()));
    }

    #[test]
    fn handlers_see_no_credential() {
        let seen = |json| without_credentials(json).map(|seen| seen.to_string());
        assert_eq!(seen(r#"{"b":1,"a":2}"#).unwrap(), r#"{"b":1,"a":2}"#);
        assert_eq!(seen(r#"{"ws_token":"x","a":"resume"}"#).unwrap(), r#"{"a":"resume"}"#);
        assert_eq!(seen(r#"{"resume":"x"}"#), None);
        assert_eq!(seen(r#"{"whisk_client":"x","a":1}"#).unwrap(), r#"{"a":1}"#);
        assert_eq!(seen(r#"{"ws_\u0074oken":"x","a":"\n"}"#).unwrap(), r#"{"a":"\n"}"#);
    }

    #[test]
    fn a_clients_secret_is_long_enough_to_be_one() {
        let read = |json: &str| ClientSecret::read(json).map(|secret| secret.is_some());
        let text = |length: usize| format!(r#"{{"whisk_client":"{}"}}"#, "ä".repeat(length));
        for none in ["{}", "", "[]", r#"{"whisk_client":null}"#, r#"{"client":"mine"}"#] {
            assert_eq!(read(none), Ok(false), "{none}");
        }
        assert_eq!([read(&text(16)), read(&text(128))], [Ok(true), Ok(true)]);
        assert_eq!([read(&text(15)), read(&text(129))], [Err(NoSecret), Err(NoSecret)]);
        assert_eq!(read(r#"{"whisk_client":7}"#), Err(NoSecret));
    }

    #[test]
    fn an_accept_says_who_and_where() {
        let user = UserId::new("7").unwrap();
        let address = "ws/1/abc".parse().unwrap();
        assert_eq!(
            accept(&user, &address, Some("r")).json(),
            r#"{"success":true,"user_id":"7","address":"ws/1/abc","resume":"r"}"#
        );
        assert!(!accept(&user, &address, None).json().contains("resume"));
    }
}
