//! The arguments of an event: raw JSON texts, with binary attachments.
//!
//! A message passes through many hands (socket, route, envelope, bus, observer, sockets) and few of
//! them look inside. So its arguments travel as the text in which they came, reference-counted, and
//! are decoded only where a handler asks for a type.

use bytes::Bytes;
use bytestring::ByteString;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;

/// Several JSON values as one text, comma-separated and without brackets, and the binary
/// attachments that placeholders in them refer to.
///
/// ```
/// use router_core::Args;
///
/// let args = Args::one(&"hello")?;
/// assert_eq!(args.json(), r#""hello""#);
/// assert_eq!(args.first::<String>()?, "hello");
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Args {
    json: ByteString,
    attachments: Vec<Bytes>,
}

/// A payload that does not fit the type which was asked of it.
#[derive(Debug, thiserror::Error)]
#[error("at `{path}`: {reason}")]
pub struct PayloadError {
    /// Where the fault is, as `field.list[2].field`; `.` for the value itself.
    pub path: String,
    /// What is wrong there.
    pub reason: String,
}

impl Args {
    /// No arguments.
    pub const EMPTY: Self = Self { json: ByteString::new(), attachments: Vec::new() };

    /// Arguments from text that a decoder has already checked to be JSON values between commas.
    ///
    /// Whisk's decoders check it; a text that is not so makes every later reader of it fail.
    pub fn from_checked_json(json: ByteString, attachments: Vec<Bytes>) -> Self {
        Self { json, attachments }
    }

    /// One argument.
    ///
    /// # Errors
    /// When the value cannot be written as JSON (a map with keys that are no strings).
    pub fn one<T: Serialize + ?Sized>(value: &T) -> Result<Self, serde_json::Error> {
        Ok(Self { json: serde_json::to_string(value)?.into(), attachments: Vec::new() })
    }

    /// Several arguments, each a JSON value.
    ///
    /// # Errors
    /// When a value cannot be written as JSON.
    pub fn many<T: Serialize>(values: &[T]) -> Result<Self, serde_json::Error> {
        let text = serde_json::to_string(values)?;
        let inner = text.get(1..text.len().saturating_sub(1)).unwrap_or_default();
        Ok(Self { json: inner.into(), attachments: Vec::new() })
    }

    /// The arguments' text: JSON values between commas, without brackets.
    pub fn json(&self) -> &ByteString {
        &self.json
    }

    /// The binary attachments, in the order of their placeholders.
    pub fn attachments(&self) -> &[Bytes] {
        &self.attachments
    }

    /// Bytes that these arguments hold.
    pub fn len(&self) -> usize {
        self.json.len() + self.attachments.iter().map(Bytes::len).sum::<usize>()
    }

    /// Whether there is no argument.
    pub fn is_empty(&self) -> bool {
        self.json.is_empty()
    }

    /// Each argument's own text.
    ///
    /// # Errors
    /// When the text is not JSON values between commas.
    pub fn iter_raw(&self) -> Result<Vec<Box<RawValue>>, serde_json::Error> {
        serde_json::from_str(&format!("[{}]", self.json))
    }

    /// These arguments behind another one.
    ///
    /// # Errors
    /// When the value cannot be written as JSON.
    pub(crate) fn after<T: Serialize>(&self, first: &T) -> Result<Self, serde_json::Error> {
        let mut json = serde_json::to_string(first)?;
        if !self.json.is_empty() {
            json.reserve(1 + self.json.len());
            json.push(',');
            json.push_str(&self.json);
        }
        Ok(Self { json: json.into(), attachments: self.attachments.clone() })
    }

    /// The first argument's own text; `null` without one.
    ///
    /// # Errors
    /// When the text is not JSON values between commas.
    pub(crate) fn first_raw(&self) -> Result<Box<RawValue>, serde_json::Error> {
        let text = if self.json.is_empty() { "null" } else { &*self.json };
        let mut values = serde_json::Deserializer::from_str(text).into_iter::<Box<RawValue>>();
        values.next().unwrap_or_else(|| RawValue::from_string("null".to_owned()))
    }

    /// The first argument's text, and the others. The attachments go with the others.
    ///
    /// # Errors
    /// When the text is not JSON values between commas.
    pub(crate) fn split_first(&self) -> Result<(ByteString, Self), serde_json::Error> {
        let mut values = serde_json::Deserializer::from_str(&self.json).into_iter::<&RawValue>();
        let Some(first) = values.next() else { return Ok((ByteString::new(), Self::EMPTY)) };
        let (first, end) = (first?.get(), values.byte_offset());
        let rest = self.json.get(end..).unwrap_or_default().trim_start();
        let rest = rest.strip_prefix(',').unwrap_or_default();
        let rest = Self { json: self.json.slice_ref(rest), attachments: self.attachments.clone() };
        Ok((self.json.slice_ref(first), rest))
    }

    /// The first argument as a `T`; without arguments, `T` is read from `null`.
    ///
    /// # Errors
    /// [`PayloadError`] names the path of the first fault.
    pub fn first<T: DeserializeOwned>(&self) -> Result<T, PayloadError> {
        let text = if self.json.is_empty() { "null" } else { &*self.json };
        let mut deserializer = serde_json::Deserializer::from_str(text);
        serde_path_to_error::deserialize(&mut deserializer).map_err(PayloadError::at)
    }

    /// All arguments as a tuple or list.
    ///
    /// # Errors
    /// [`PayloadError`] names the path of the first fault.
    pub fn all<T: DeserializeOwned>(&self) -> Result<T, PayloadError> {
        let text = format!("[{}]", self.json);
        let mut deserializer = serde_json::Deserializer::from_str(&text);
        serde_path_to_error::deserialize(&mut deserializer).map_err(PayloadError::at)
    }
}

impl PayloadError {
    fn at(error: serde_path_to_error::Error<serde_json::Error>) -> Self {
        let path = error.path().to_string();
        // serde_json's position counts from a text that the client never saw as such.
        let mut reason = error.into_inner().to_string();
        if let Some(cut) = reason.rfind(" at line ") {
            reason.truncate(cut);
        }
        Self { path, reason }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    struct Say {
        #[allow(dead_code, reason = "read by the decoder only")]
        lines: Vec<u8>,
    }

    #[test]
    fn the_first_of_several_arguments_is_read_alone() {
        let args = Args::from_checked_json(r#"{"a":1},"two""#.into(), Vec::new());
        assert_eq!(args.first::<serde_json::Value>().unwrap()["a"], 1);
        assert_eq!(args.all::<(serde_json::Value, String)>().unwrap().1, "two");
        assert_eq!(args.iter_raw().unwrap().len(), 2);
    }

    #[test]
    fn the_first_argument_comes_off_and_goes_on_again() {
        let args = Args::from_checked_json(r#"{"a":",]"} , "two",3"#.into(), vec!["x".into()]);
        let (first, rest) = args.split_first().unwrap();
        assert_eq!((&*first, &**rest.json()), (r#"{"a":",]"}"#, r#" "two",3"#));
        assert_eq!(rest.attachments().len(), 1);
        assert_eq!(rest.after(&0).unwrap().json(), r#"0, "two",3"#);
        assert_eq!(rest.first_raw().unwrap().get(), r#""two""#);
        let (first, rest) = Args::one(&7).unwrap().split_first().unwrap();
        assert_eq!((&*first, rest.json().len()), ("7", 0));
        assert_eq!(Args::EMPTY.after(&1).unwrap().json(), "1");
        assert_eq!(Args::EMPTY.first_raw().unwrap().get(), "null");
    }

    #[test]
    fn a_fault_is_named_by_its_path() {
        let args = Args::from_checked_json(r#"{"lines":[1,"x"]}"#.into(), Vec::new());
        let error = args.first::<Say>().unwrap_err();
        assert_eq!(error.path, "lines[1]");
        assert!(!error.reason.contains("line 1"), "{}", error.reason);
    }

    #[test]
    fn no_argument_reads_as_null() {
        assert_eq!(Args::EMPTY.first::<Option<u8>>().unwrap(), None);
        assert!(Args::EMPTY.first::<u8>().is_err());
        assert_eq!(Args::many(&[1, 2]).unwrap().json(), "1,2");
    }
}
