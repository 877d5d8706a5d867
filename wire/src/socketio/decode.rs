//! Text to packets, strictly: `<type>[<attachments>-][<nsp>,][<id>][<JSON>]`
//! (Socket.IO protocol, "Packet encoding").
//!
//! The JSON is judged whole, so that nothing behind this has to expect broken text: first how
//! deep it nests, by a scan without recursion, then its grammar. It is not turned into values.

use bytestring::ByteString;
use serde::de::IgnoredAny;

use super::msgpack;
use super::packet::{Kind, MAX_ACK_ID, Nsp, Packet};
use super::placeholder::check_placeholders;
use crate::CloseCode;

/// Bounds on one packet. `usize::MAX` switches a bound off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Brackets of JSON that may be open at once, the packet's own array counted.
    pub max_depth: usize,
    /// Binary messages that may follow a packet.
    pub max_attachments: usize,
}

impl Default for Limits {
    /// Depth 32, 10 attachments.
    fn default() -> Self {
        Self { max_depth: 32, max_attachments: 10 }
    }
}

/// Why a text is no packet.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// Not even a type.
    #[error("an empty packet")]
    Empty,
    /// The first character is no digit from 0 to 6.
    #[error("unknown packet type")]
    UnknownType,
    /// A binary type without a whole number and a dash after it.
    #[error("the number of attachments is missing or malformed")]
    BadAttachments,
    /// Over `max_attachments`.
    #[error("too many attachments")]
    TooManyAttachments,
    /// Over 2^53 - 1, or with a zero in front.
    #[error("the acknowledgement id is malformed")]
    BadAckId,
    /// An acknowledgement of nothing.
    #[error("an acknowledgement has no id")]
    MissingAckId,
    /// An id, or data, on a type that has none.
    #[error("the packet has more than its type allows")]
    Unexpected,
    /// No data, or data of another JSON type than the packet's type asks for.
    #[error("the packet has no data of the shape that its type asks for")]
    BadShape,
    /// Over `max_depth`.
    #[error("the data is nested too deep")]
    TooDeep,
    /// Not JSON.
    #[error("the data is not JSON")]
    BadJson(#[source] serde_json::Error),
    /// An event whose first element is no string.
    #[error("the event has no name")]
    BadEventName,
    /// An event with a name that libraries emit by themselves (`connect`, `disconnect`, …).
    #[error("the event's name is reserved")]
    ReservedEventName,
    /// A binary type with a placeholder whose `num` is no index of its attachments.
    #[error("a placeholder is beyond the attachments")]
    BadPlaceholder,
    /// Not the message-pack of a packet; only of [`msgpack`].
    #[error("the packet is not message-pack")]
    BadMessagePack(#[from] msgpack::FormatError),
    /// Over `max_bytes`, as text and attachments; only of [`msgpack`].
    #[error("the packet is too large")]
    TooLarge,
}

impl DecodeError {
    /// The code to close the connection with.
    pub const fn close_code(&self) -> CloseCode {
        match self {
            Self::TooManyAttachments | Self::TooDeep | Self::TooLarge => CloseCode::TOO_LARGE,
            _ => CloseCode::INVALID_PAYLOAD,
        }
    }

    /// A short name for metrics and logs.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::UnknownType => "unknown_type",
            Self::BadAttachments => "bad_attachments",
            Self::TooManyAttachments => "too_many_attachments",
            Self::BadAckId => "bad_ack_id",
            Self::MissingAckId => "missing_ack_id",
            Self::Unexpected => "unexpected",
            Self::BadShape => "bad_shape",
            Self::TooDeep => "too_deep",
            Self::BadJson(_) => "bad_json",
            Self::BadEventName => "bad_event_name",
            Self::ReservedEventName => "reserved_event_name",
            Self::BadPlaceholder => "bad_placeholder",
            Self::BadMessagePack(_) => "bad_message_pack",
            Self::TooLarge => "too_large",
        }
    }
}

/// Reads one packet, the text of an Engine.IO message.
///
/// Of a query behind the nsp nothing is kept. A binary type with no attachments is taken, as
/// the reference parser does, and is whole at once. The placeholders of a binary type are
/// judged here, before any attachment is awaited; other types are not searched for them.
///
/// # Errors
///
/// A [`DecodeError`]; the reference server closes the connection at any.
pub fn decode(text: &ByteString, limits: &Limits) -> Result<Packet, DecodeError> {
    let Some(&digit) = text.as_bytes().first() else {
        return Err(DecodeError::Empty);
    };
    if !matches!(digit, b'0'..=b'6') {
        return Err(DecodeError::UnknownType);
    }
    let rest = &text[1..];
    let (attachments, rest) =
        if matches!(digit, b'5' | b'6') { take_attachments(rest, limits)? } else { (0, rest) };
    let (nsp, rest) = take_nsp(text, rest)?;
    let (id, data) = take_id(rest)?;
    if id.is_some() && !matches!(digit, b'2' | b'3' | b'5' | b'6') {
        return Err(DecodeError::Unexpected);
    }
    check_json(data, limits)?;
    let kind = match digit {
        b'0' => Kind::Connect { auth: auth(text, data)? },
        b'1' if data.is_empty() => Kind::Disconnect,
        b'1' => return Err(DecodeError::Unexpected),
        b'4' if data.starts_with(['{', '"']) => Kind::ConnectError { error: text.slice_ref(data) },
        b'4' => return Err(DecodeError::BadShape),
        b'2' | b'5' => {
            let (name, args) = take_name(text, elements(data)?)?;
            Kind::Event { id, name, args }
        }
        _ => Kind::Ack {
            id: id.ok_or(DecodeError::MissingAckId)?,
            args: text.slice_ref(elements(data)?),
        },
    };
    if let (b'5' | b'6', Kind::Event { args, .. } | Kind::Ack { args, .. }) = (digit, &kind) {
        check_placeholders(args, attachments).map_err(|_| DecodeError::BadPlaceholder)?;
    }
    Ok(Packet { nsp, attachments, kind })
}

/// `<number>-`.
fn take_attachments<'t>(rest: &'t str, limits: &Limits) -> Result<(usize, &'t str), DecodeError> {
    let (digits, after) = split_digits(rest);
    let after = after.strip_prefix('-').ok_or(DecodeError::BadAttachments)?;
    if digits.is_empty() {
        return Err(DecodeError::BadAttachments);
    }
    // Digits alone that do not parse are a number too large for any bound.
    match digits.parse() {
        Ok(count) if count <= limits.max_attachments => Ok((count, after)),
        _ => Err(DecodeError::TooManyAttachments),
    }
}

/// `/name,`, or the rest of the packet if no comma comes; the root if no `/` is there.
fn take_nsp<'t>(text: &ByteString, rest: &'t str) -> Result<(Nsp, &'t str), DecodeError> {
    if !rest.starts_with('/') {
        return Ok((Nsp::ROOT, rest));
    }
    let end = memchr::memchr(b',', rest.as_bytes()).unwrap_or(rest.len());
    let (name, rest) = rest.split_at(end);
    let nsp = Nsp::new(text.slice_ref(name)).ok_or(DecodeError::BadShape)?;
    Ok((nsp, rest.strip_prefix(',').unwrap_or_default()))
}

fn take_id(rest: &str) -> Result<(Option<u64>, &str), DecodeError> {
    let (digits, data) = split_digits(rest);
    if digits.is_empty() {
        return Ok((None, data));
    }
    let padded = digits.len() > 1 && digits.starts_with('0');
    match digits.parse() {
        Ok(id) if id <= MAX_ACK_ID && !padded => Ok((Some(id), data)),
        _ => Err(DecodeError::BadAckId),
    }
}

fn split_digits(text: &str) -> (&str, &str) {
    let end = text.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    text.split_at(end)
}

fn auth(text: &ByteString, data: &str) -> Result<Option<ByteString>, DecodeError> {
    match data.as_bytes().first() {
        None => Ok(None),
        Some(b'{') => Ok(Some(text.slice_ref(data))),
        Some(_) => Err(DecodeError::BadShape),
    }
}

/// What stands between the brackets of an array that is known to be valid.
fn elements(data: &str) -> Result<&str, DecodeError> {
    let data = data.trim_end_matches(is_json_space);
    data.strip_prefix('[')
        .and_then(|data| data.strip_suffix(']'))
        .map(|elements| elements.trim_matches(is_json_space))
        .ok_or(DecodeError::BadShape)
}

/// Splits the first element off, which names the event.
fn take_name(text: &ByteString, elements: &str) -> Result<(ByteString, ByteString), DecodeError> {
    let inside = elements.strip_prefix('"').ok_or(DecodeError::BadEventName)?;
    let end = string_end(inside.as_bytes()).ok_or(DecodeError::BadEventName)?;
    let (name, rest) = (&inside[..end], &inside[end + 1..]);
    let name = match memchr::memchr(b'\\', name.as_bytes()) {
        None => text.slice_ref(name),
        // The grammar lets half a surrogate pair pass, which is no text.
        Some(_) => serde_json::from_str::<String>(&elements[..end + 2])
            .map_err(|_| DecodeError::BadEventName)?
            .into(),
    };
    if is_reserved(&name) {
        return Err(DecodeError::ReservedEventName);
    }
    // The array is valid, so that what follows is nothing, or a comma and elements.
    let args = rest.trim_start_matches(is_json_space).strip_prefix(',').unwrap_or_default();
    Ok((name, text.slice_ref(args.trim_start_matches(is_json_space))))
}

/// The names that the reference parser refuses from the other side.
pub(super) fn is_reserved(name: &str) -> bool {
    matches!(
        name,
        "connect"
            | "connect_error"
            | "disconnect"
            | "disconnecting"
            | "newListener"
            | "removeListener"
    )
}

/// The space of RFC 8259 section 2.
pub(super) fn is_json_space(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\n' | '\r')
}

/// Whether `data` is nothing, or JSON of bounded depth without space in front.
fn check_json(data: &str, limits: &Limits) -> Result<(), DecodeError> {
    if data.is_empty() {
        return Ok(());
    }
    check_depth(data.as_bytes(), limits.max_depth)?;
    serde_json::from_str::<IgnoredAny>(data).map(drop).map_err(DecodeError::BadJson)
}

/// Counts open brackets outside of strings. Broken JSON may pass; the grammar is judged next.
fn check_depth(data: &[u8], max_depth: usize) -> Result<(), DecodeError> {
    let mut depth = 0_usize;
    let mut rest = data;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'[' | b'{' => {
                depth += 1;
                if depth > max_depth {
                    return Err(DecodeError::TooDeep);
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            b'"' => match string_end(rest) {
                Some(end) => rest = &rest[end + 1..],
                None => return Ok(()),
            },
            _ => {}
        }
    }
    Ok(())
}

/// Where the string that begins at the front ends: the position of its closing quote.
pub(super) fn string_end(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += memchr::memchr2(b'"', b'\\', bytes.get(at..)?)?;
        if bytes[at] == b'"' {
            return Some(at);
        }
        at += 2;
    }
}
