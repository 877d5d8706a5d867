//! Goes through JSON text value by value, without making values of it, and tells the
//! placeholders of attachments apart from other objects.
//!
//! The text was judged when it was received, or written by a serializer. Its structure is
//! followed strictly all the same, since a walk has to end somewhere for any text; scalars are
//! handed over as they stand.

use smallvec::SmallVec;

use super::decode::{is_json_space, string_end};
use crate::text::json_unescaped;

/// Why arguments that were handed over as JSON text cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum ArgsError {
    /// Not JSON values with commas between.
    #[error("the arguments are not JSON")]
    Malformed,
    /// A placeholder whose `num` is no index of an attachment.
    #[error("a placeholder is beyond the attachments")]
    BadPlaceholder,
}

/// A value that holds no others; texts are the inside of the string, with its escapes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scalar<'t> {
    Text(&'t str),
    Number(&'t str),
    Bool(bool),
    Null,
}

/// What an object is in place of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Placeholder {
    /// Nothing: an array, or an object of its own right.
    None,
    /// The attachment of this index.
    Of(usize),
    /// It says that it is one, and not of which attachment.
    Broken,
}

/// An array or object of which all is said.
#[derive(Clone, Copy, Debug)]
pub(super) struct Closed {
    /// What the visitor gave when it was opened.
    pub(super) mark: usize,
    pub(super) is_object: bool,
    /// Elements, or pairs.
    pub(super) len: usize,
    pub(super) placeholder: Placeholder,
}

/// Is told what the text has, in its order.
pub(super) trait Visitor {
    /// An array or object begins; the mark comes back when it is closed.
    fn open(&mut self) -> usize;
    /// The name of the next value in an object, the inside of the string.
    fn key(&mut self, raw: &str) -> Result<(), ArgsError>;
    fn scalar(&mut self, scalar: Scalar<'_>) -> Result<(), ArgsError>;
    fn close(&mut self, closed: Closed) -> Result<(), ArgsError>;
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Key {
    Placeholder,
    Num,
    Other,
}

/// What may come next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Expect {
    Value,
    ValueOrEnd,
    Key,
    KeyOrEnd,
    Colon,
    CommaOrEnd,
}

struct Frame {
    mark: usize,
    is_object: bool,
    len: usize,
    key: Key,
    says_placeholder: bool,
    num: Option<usize>,
}

impl Frame {
    const fn new(mark: usize, is_object: bool) -> Self {
        Self { mark, is_object, len: 0, key: Key::Other, says_placeholder: false, num: None }
    }

    /// Counts a value, which is `None` if it holds others. Of a repeated key the last counts.
    fn value(&mut self, scalar: Option<Scalar<'_>>) {
        self.len += 1;
        match self.key {
            Key::Placeholder => self.says_placeholder = scalar == Some(Scalar::Bool(true)),
            Key::Num => {
                self.num = match scalar {
                    Some(Scalar::Number(digits)) => digits.parse().ok(),
                    _ => None,
                }
            }
            Key::Other => {}
        }
        self.key = Key::Other;
    }

    const fn closed(&self) -> Closed {
        let placeholder = match (self.says_placeholder, self.num) {
            (false, _) => Placeholder::None,
            (true, Some(index)) => Placeholder::Of(index),
            (true, None) => Placeholder::Broken,
        };
        Closed { mark: self.mark, is_object: self.is_object, len: self.len, placeholder }
    }
}

/// Goes through JSON values with commas between; gives their number. What is nested takes no
/// stack of the thread.
pub(super) fn walk(text: &str, visitor: &mut impl Visitor) -> Result<usize, ArgsError> {
    let mut frames: SmallVec<[Frame; 8]> = SmallVec::new();
    let mut values = 0;
    let mut expect = Expect::ValueOrEnd;
    let mut rest = text.trim_start_matches(is_json_space);
    while let Some(&byte) = rest.as_bytes().first() {
        let top = frames.last_mut();
        let is_value = matches!(expect, Expect::Value | Expect::ValueOrEnd);
        match (byte, expect) {
            (b'[' | b'{', _) if is_value => {
                let is_object = byte == b'{';
                frames.push(Frame::new(visitor.open(), is_object));
                expect = if is_object { Expect::KeyOrEnd } else { Expect::ValueOrEnd };
                rest = &rest[1..];
            }
            (b']' | b'}', Expect::ValueOrEnd | Expect::KeyOrEnd | Expect::CommaOrEnd) => {
                let frame = frames.pop().ok_or(ArgsError::Malformed)?;
                if frame.is_object != (byte == b'}') {
                    return Err(ArgsError::Malformed);
                }
                visitor.close(frame.closed())?;
                frames.last_mut().map_or_else(|| values += 1, |frame| frame.value(None));
                expect = Expect::CommaOrEnd;
                rest = &rest[1..];
            }
            (b'"', Expect::Key | Expect::KeyOrEnd) => {
                let (raw, after) = take_string(rest)?;
                visitor.key(raw)?;
                if let Some(frame) = top {
                    frame.key = key(raw);
                }
                expect = Expect::Colon;
                rest = after;
            }
            (b':', Expect::Colon) => {
                expect = Expect::Value;
                rest = &rest[1..];
            }
            (b',', Expect::CommaOrEnd) => {
                let in_object = top.is_some_and(|frame| frame.is_object);
                expect = if in_object { Expect::Key } else { Expect::Value };
                rest = &rest[1..];
            }
            _ if is_value => {
                let (scalar, after) = take_scalar(rest)?;
                visitor.scalar(scalar)?;
                top.map_or_else(|| values += 1, |frame| frame.value(Some(scalar)));
                expect = Expect::CommaOrEnd;
                rest = after;
            }
            _ => return Err(ArgsError::Malformed),
        }
        rest = rest.trim_start_matches(is_json_space);
    }
    let is_whole = matches!(expect, Expect::ValueOrEnd | Expect::CommaOrEnd);
    if frames.is_empty() && is_whole { Ok(values) } else { Err(ArgsError::Malformed) }
}

/// The inside of the string at the front, and what follows it.
fn take_string(text: &str) -> Result<(&str, &str), ArgsError> {
    let end = string_end(&text.as_bytes()[1..]).ok_or(ArgsError::Malformed)? + 1;
    Ok((&text[1..end], &text[end + 1..]))
}

fn take_scalar(text: &str) -> Result<(Scalar<'_>, &str), ArgsError> {
    if text.starts_with('"') {
        let (raw, after) = take_string(text)?;
        return Ok((Scalar::Text(raw), after));
    }
    let ends = |byte: &u8| matches!(byte, b',' | b']' | b'}' | b' ' | b'\t' | b'\n' | b'\r');
    let end = text.as_bytes().iter().position(ends).unwrap_or(text.len());
    let (word, after) = text.split_at(end);
    let scalar = match word {
        "true" => Scalar::Bool(true),
        "false" => Scalar::Bool(false),
        "null" => Scalar::Null,
        number if number.starts_with(|first: char| first == '-' || first.is_ascii_digit()) => {
            Scalar::Number(number)
        }
        _ => return Err(ArgsError::Malformed),
    };
    Ok((scalar, after))
}

fn key(raw: &str) -> Key {
    let is = |name: &str| {
        raw == name
            || raw.contains('\\') && json_unescaped(raw).is_some_and(|unescaped| unescaped == name)
    };
    if is("_placeholder") {
        Key::Placeholder
    } else if is("num") {
        Key::Num
    } else {
        Key::Other
    }
}
