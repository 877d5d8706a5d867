//! Small pieces of text that packets are put together from, without needless allocation.

use std::borrow::Cow;

/// The inside of a JSON string: `text` itself unless something in it must be escaped
/// (RFC 8259 section 7).
pub(crate) fn json_escaped(text: &str) -> Cow<'_, str> {
    if text.bytes().all(is_plain) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    push_json_escaped(&mut escaped, text);
    Cow::Owned(escaped)
}

/// Appends the inside of a JSON string; runs without escapes are copied as a whole.
pub(crate) fn push_json_escaped(out: &mut String, text: &str) {
    let mut copied = 0;
    for (at, byte) in text.bytes().enumerate() {
        if is_plain(byte) {
            continue;
        }
        out.push_str(&text[copied..at]);
        copied = at + 1;
        match byte {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            0x08 => out.push_str("\\b"),
            0x0c => out.push_str("\\f"),
            control => {
                out.push_str(if control < 0x10 { "\\u000" } else { "\\u001" });
                out.push(char::from(b"0123456789abcdef"[usize::from(control & 0xf)]));
            }
        }
    }
    out.push_str(&text[copied..]);
}

const fn is_plain(byte: u8) -> bool {
    byte >= 0x20 && byte != b'"' && byte != b'\\'
}

/// The text that the inside of a JSON string stands for; `None` if an escape is malformed.
///
/// Half a surrogate pair, which the grammar lets pass, is no text: U+FFFD takes its place.
pub(crate) fn json_unescaped(raw: &str) -> Option<Cow<'_, str>> {
    let Some(first) = memchr::memchr(b'\\', raw.as_bytes()) else {
        return Some(Cow::Borrowed(raw));
    };
    let mut text = String::with_capacity(raw.len());
    let (plain, mut rest) = raw.split_at(first);
    text.push_str(plain);
    while let Some(escape) = rest.strip_prefix('\\') {
        let kind = *escape.as_bytes().first()?;
        // A kind that is known is one byte of ASCII.
        let mut after = escape.get(1..)?;
        text.push(match kind {
            b'"' | b'\\' | b'/' => char::from(kind),
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'u' => {
                let (character, end) = take_unicode(after)?;
                after = end;
                character
            }
            _ => return None,
        });
        let end = memchr::memchr(b'\\', after.as_bytes()).unwrap_or(after.len());
        let (plain, next) = after.split_at(end);
        text.push_str(plain);
        rest = next;
    }
    Some(Cow::Owned(text))
}

/// The character after `\u`, and what follows it: both halves, if it is a surrogate pair.
fn take_unicode(text: &str) -> Option<(char, &str)> {
    // A sign would be taken as part of the number.
    let unit = |text: &str| match text.get(..4)? {
        digits if digits.starts_with('+') => None,
        digits => u16::from_str_radix(digits, 16).ok(),
    };
    let (first, rest) = (unit(text)?, &text[4..]);
    let second = rest.strip_prefix("\\u").and_then(unit).unwrap_or_default();
    match char::decode_utf16([first, second]).next() {
        Some(Ok(character)) if character > '\u{ffff}' => Some((character, &rest[6..])),
        Some(Ok(character)) => Some((character, rest)),
        _ => Some((char::REPLACEMENT_CHARACTER, rest)),
    }
}

/// A decimal number on the stack.
#[derive(Debug)]
pub(crate) struct Decimal {
    digits: [u8; 20],
    start: usize,
}

impl Decimal {
    pub(crate) const fn new(mut number: u64) -> Self {
        let mut decimal = Self { digits: [b'0'; 20], start: 20 };
        loop {
            decimal.start -= 1;
            decimal.digits[decimal.start] = b'0' + (number % 10) as u8;
            number /= 10;
            if number == 0 {
                return decimal;
            }
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        // Only digits are ever written, so that the fallback is never taken.
        std::str::from_utf8(&self.digits[self.start..]).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_equal_those_of_the_standard_library() {
        for number in [0, 1, 9, 10, 99, 100, 12_345, u64::MAX - 1, u64::MAX] {
            assert_eq!(Decimal::new(number).as_str(), number.to_string());
        }
    }

    #[test]
    fn only_what_must_be_is_escaped() {
        assert!(matches!(json_escaped("world.säy/ 𝄞"), Cow::Borrowed(_)));
        assert_eq!(json_escaped("a\"b\\c\n\u{1}é\u{1f}"), r#"a\"b\\c\n\u0001é\u001f"#);
        let all: String = (0..0x300).filter_map(char::from_u32).collect();
        assert_eq!(format!("\"{}\"", json_escaped(&all)), serde_json::json!(all).to_string());
        assert_eq!(json_unescaped(&json_escaped(&all)).unwrap(), all);
    }

    #[test]
    fn escapes_are_read_as_the_grammar_has_them() {
        assert!(matches!(json_unescaped("säy 𝄞"), Some(Cow::Borrowed(_))));
        let cases = [
            (r#"\"\\\/\b\f\n\r\t"#, "\"\\/\u{8}\u{c}\n\r\t"),
            (r"a\u00e9b\uD834\uDD1E", "aéb𝄞"),
            (r"\ud834", "\u{fffd}"),
            (r"\ud834x\udd1e", "\u{fffd}x\u{fffd}"),
            (r"\ud834\ud834\udd1e", "\u{fffd}𝄞"),
            (r"\u0000\u0041", "\0A"),
        ];
        for (raw, text) in cases {
            assert_eq!(json_unescaped(raw).unwrap(), text, "{raw}");
        }
        for raw in [r"\", r"\x", r"\u", r"\u12", r"\u12é4", r"\u+123x", r"\é"] {
            assert!(json_unescaped(raw).is_none(), "{raw}");
        }
    }
}
