//! Message-pack values to JSON text, with placeholders for what is binary.

use std::fmt::Write as _;

use bytes::Bytes;
use smallvec::SmallVec;

use super::date;
use super::read::{FormatError, Item, Reader, text};
use crate::socketio::decode::{DecodeError, Limits};
use crate::text::{Decimal, push_json_escaped};

/// Writes values one after the other. Nesting takes no stack of the thread.
#[derive(Debug)]
pub(super) struct ToJson<'m> {
    message: &'m Bytes,
    max_depth: usize,
    max_attachments: usize,
    /// Bytes that text and attachments may still take together.
    max_bytes: usize,
    pub(super) out: String,
    /// Slices of the message.
    pub(super) attachments: Vec<Bytes>,
    attached: usize,
    open: SmallVec<[Open; 8]>,
}

/// An array or map that still wants values.
#[derive(Debug)]
struct Open {
    is_map: bool,
    left: usize,
    is_first: bool,
}

impl<'m> ToJson<'m> {
    /// `message` is what all the values are read from. Around them `depth` brackets are open.
    pub(super) fn new(message: &'m Bytes, limits: &Limits, depth: usize, max_bytes: usize) -> Self {
        Self {
            message,
            max_depth: limits.max_depth.saturating_sub(depth),
            max_attachments: limits.max_attachments,
            max_bytes,
            out: String::with_capacity(message.len().min(max_bytes)),
            attachments: Vec::new(),
            attached: 0,
            open: SmallVec::new(),
        }
    }

    /// Writes the next value.
    pub(super) fn value(&mut self, reader: &mut Reader<'m>) -> Result<(), DecodeError> {
        loop {
            match reader.next()? {
                Item::Array(len) => self.push(false, len)?,
                Item::Map(len) => self.push(true, len)?,
                item => self.scalar(item)?,
            }
            let more = self.advance(reader)?;
            if self.attached.saturating_add(self.out.len()) > self.max_bytes {
                return Err(DecodeError::TooLarge);
            }
            if !more {
                return Ok(());
            }
        }
    }

    fn push(&mut self, is_map: bool, left: usize) -> Result<(), DecodeError> {
        if self.open.len() >= self.max_depth {
            return Err(DecodeError::TooDeep);
        }
        self.out.push(if is_map { '{' } else { '[' });
        self.open.push(Open { is_map, left, is_first: true });
        Ok(())
    }

    /// Closes what is full and writes what stands before the next value; false when there is
    /// none.
    fn advance(&mut self, reader: &mut Reader<'m>) -> Result<bool, DecodeError> {
        while let Some(open) = self.open.last_mut() {
            if open.left == 0 {
                self.out.push(if open.is_map { '}' } else { ']' });
                self.open.pop();
                continue;
            }
            open.left -= 1;
            let key = if open.is_map { Some(reader.next()?) } else { None };
            if key.is_some() && reader.is_undefined_next() {
                reader.next()?;
                continue;
            }
            if !std::mem::take(&mut open.is_first) {
                self.out.push(',');
            }
            if let Some(key) = key {
                self.key(key)?;
            }
            return Ok(true);
        }
        Ok(false)
    }

    fn key(&mut self, key: Item<'_>) -> Result<(), DecodeError> {
        self.out.push('"');
        match key {
            Item::Text(bytes) => push_json_escaped(&mut self.out, text(bytes)?),
            Item::Unsigned(_) | Item::Negative(_) => self.scalar(key)?,
            _ => return Err(FormatError::BadKey.into()),
        }
        self.out.push_str("\":");
        Ok(())
    }

    fn scalar(&mut self, item: Item<'_>) -> Result<(), DecodeError> {
        match item {
            Item::Bool(true) => self.out.push_str("true"),
            Item::Bool(false) => self.out.push_str("false"),
            Item::Unsigned(number) => self.out.push_str(Decimal::new(number).as_str()),
            Item::Negative(number) => {
                self.out.push('-');
                self.out.push_str(Decimal::new(number.unsigned_abs()).as_str());
            }
            Item::Float(number) => self.float(number),
            Item::Text(bytes) => self.quoted(text(bytes)?),
            Item::Binary(bytes) => self.attachment(bytes)?,
            Item::Date(moment) => match date::iso(moment) {
                Some(date) => self.quoted(&date),
                None => self.out.push_str("null"),
            },
            // Arrays and maps never come here.
            Item::Nil | Item::Undefined | Item::Array(_) | Item::Map(_) => {
                self.out.push_str("null");
            }
        }
        Ok(())
    }

    fn quoted(&mut self, text: &str) {
        self.out.push('"');
        push_json_escaped(&mut self.out, text);
        self.out.push('"');
    }

    fn float(&mut self, number: f64) {
        match serde_json::Number::from_f64(number) {
            // Writing to a String does not fail.
            Some(number) => write!(self.out, "{number}").unwrap_or_default(),
            None => self.out.push_str("null"),
        }
    }

    fn attachment(&mut self, bytes: &[u8]) -> Result<(), DecodeError> {
        if self.attachments.len() >= self.max_attachments {
            return Err(DecodeError::TooManyAttachments);
        }
        // In text the placeholder is an object.
        if self.open.len() >= self.max_depth {
            return Err(DecodeError::TooDeep);
        }
        self.out.push_str(r#"{"_placeholder":true,"num":"#);
        self.out.push_str(Decimal::new(self.attachments.len() as u64).as_str());
        self.out.push('}');
        self.attached = self.attached.saturating_add(bytes.len());
        self.attachments.push(self.message.slice_ref(bytes));
        Ok(())
    }
}
