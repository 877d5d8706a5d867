//! Binary messages to packets.

use bytes::Bytes;
use bytestring::ByteString;

use super::read::{FormatError, Item, Reader};
use super::to_json::ToJson;
use crate::socketio::decode::{DecodeError, Limits, is_reserved};
use crate::socketio::packet::{Kind, MAX_ACK_ID, Nsp, Packet};
use crate::socketio::placeholder::check_placeholders;

/// Reads one packet, and the attachments that its placeholders are of.
///
/// A name, a nsp and the attachments are slices of the message. A map in the arguments that
/// says it is a placeholder is one, if there are attachments, as in the text protocol; and is
/// held to the same rule.
///
/// The text of the arguments and the attachments are together at most `max_bytes` long, as in
/// an [`Assembler`](crate::socketio::Assembler) (text can be six times as long as the message).
///
/// # Errors
///
/// A [`DecodeError`], at which the connection is closed: those of the text protocol, and
/// [`DecodeError::BadMessagePack`].
pub fn decode(
    message: &Bytes,
    limits: &Limits,
    max_bytes: usize,
) -> Result<(Packet, Vec<Bytes>), DecodeError> {
    if message.is_empty() {
        return Err(DecodeError::Empty);
    }
    let Fields { kind, nsp, id, data } = Fields::read(message)?;
    let kind = kind.ok_or(DecodeError::UnknownType)?;
    let nsp = nsp.ok_or(DecodeError::BadShape)?;
    let nsp = Nsp::new(byte_string(message, nsp)?).ok_or(DecodeError::BadShape)?;
    if id.is_some() && !matches!(kind, 2 | 3) {
        return Err(DecodeError::Unexpected);
    }
    let whole = |kind| Ok((Packet { nsp: nsp.clone(), attachments: 0, kind }, Vec::new()));
    let Some(data) = data else {
        return match kind {
            0 => whole(Kind::Connect { auth: None }),
            1 => whole(Kind::Disconnect),
            _ => Err(DecodeError::BadShape),
        };
    };
    let mut reader = Reader::new(data);
    if !matches!(kind, 2 | 3) {
        // No packet but these two may have attachments.
        let limits = Limits { max_attachments: 0, ..*limits };
        let mut json = ToJson::new(message, &limits, 0, max_bytes);
        match (kind, Reader::new(data).next()?) {
            (1, _) => return Err(DecodeError::Unexpected),
            (0 | 4, Item::Map(_)) | (4, Item::Text(_)) => json.value(&mut reader)?,
            _ => return Err(DecodeError::BadShape),
        }
        let text = ByteString::from(json.out);
        return match kind {
            0 => whole(Kind::Connect { auth: Some(text) }),
            _ => whole(Kind::ConnectError { error: text }),
        };
    }
    let Item::Array(mut len) = reader.next()? else {
        return Err(DecodeError::BadShape);
    };
    let mut name = None;
    if kind == 2 {
        name = Some(take_name(message, &mut reader, len)?);
        len -= 1;
    }
    let (args, attachments) = take_args(message, reader, len, limits, max_bytes)?;
    let kind = match name {
        Some(name) => Kind::Event { id, name, args },
        None => Kind::Ack { id: id.ok_or(DecodeError::MissingAckId)?, args },
    };
    Ok((Packet { nsp, attachments: attachments.len(), kind }, attachments))
}

/// What the packet's own map says.
#[derive(Default)]
struct Fields<'b> {
    kind: Option<u64>,
    nsp: Option<&'b [u8]>,
    id: Option<u64>,
    data: Option<&'b [u8]>,
}

impl<'b> Fields<'b> {
    fn read(message: &'b [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(message);
        let Item::Map(len) = reader.next()? else {
            return Err(DecodeError::BadShape);
        };
        let mut fields = Self::default();
        for _ in 0..len {
            let Item::Text(key) = reader.next()? else {
                return Err(FormatError::BadKey.into());
            };
            let value = reader.value()?;
            let item = Reader::new(value).next()?;
            let repeated = match (key, item) {
                (b"data" | b"id", Item::Nil | Item::Undefined) => false,
                (b"type", Item::Unsigned(kind @ 0..=4)) => fields.kind.replace(kind).is_some(),
                (b"type", _) => return Err(DecodeError::UnknownType),
                (b"nsp", Item::Text(nsp)) => fields.nsp.replace(nsp).is_some(),
                (b"nsp", _) => return Err(DecodeError::BadShape),
                (b"id", Item::Unsigned(id @ 0..=MAX_ACK_ID)) => fields.id.replace(id).is_some(),
                (b"id", _) => return Err(DecodeError::BadAckId),
                (b"data", _) => fields.data.replace(value).is_some(),
                _ => false,
            };
            if repeated {
                return Err(FormatError::RepeatedKey.into());
            }
        }
        if !reader.is_empty() {
            return Err(FormatError::Trailing.into());
        }
        Ok(fields)
    }
}

/// The first of `len` elements, which names the event.
fn take_name(
    message: &Bytes,
    reader: &mut Reader<'_>,
    len: usize,
) -> Result<ByteString, DecodeError> {
    if len == 0 {
        return Err(DecodeError::BadEventName);
    }
    let Item::Text(name) = reader.next()? else {
        return Err(DecodeError::BadEventName);
    };
    let name = byte_string(message, name)?;
    if is_reserved(&name) {
        return Err(DecodeError::ReservedEventName);
    }
    Ok(name)
}

/// The `len` elements that are left.
fn take_args<'m>(
    message: &'m Bytes,
    mut reader: Reader<'m>,
    len: usize,
    limits: &Limits,
    max_bytes: usize,
) -> Result<(ByteString, Vec<Bytes>), DecodeError> {
    if limits.max_depth == 0 {
        return Err(DecodeError::TooDeep);
    }
    let mut json = ToJson::new(message, limits, 1, max_bytes);
    for index in 0..len {
        if index > 0 {
            json.out.push(',');
        }
        json.value(&mut reader)?;
    }
    let ToJson { out, attachments, .. } = json;
    if !attachments.is_empty() {
        check_placeholders(&out, attachments.len()).map_err(|_| DecodeError::BadPlaceholder)?;
    }
    Ok((out.into(), attachments))
}

fn byte_string(message: &Bytes, bytes: &[u8]) -> Result<ByteString, FormatError> {
    ByteString::try_from(message.slice_ref(bytes)).map_err(|_| FormatError::InvalidUtf8)
}
