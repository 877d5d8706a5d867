//! Small pieces of text that packets are put together from, without needless allocation.

use std::borrow::Cow;

/// The inside of a JSON string: `text` itself unless something in it must be escaped
/// (RFC 8259 section 7).
pub(crate) fn json_escaped(text: &str) -> Cow<'_, str> {
    let plain = |byte: u8| byte >= 0x20 && byte != b'"' && byte != b'\\';
    if text.bytes().all(plain) {
        return Cow::Borrowed(text);
    }
    let quoted = serde_json::Value::from(text).to_string();
    Cow::Owned(quoted[1..quoted.len() - 1].to_owned())
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
        assert_eq!(json_escaped("a\"b\\c\n\u{1}"), r#"a\"b\\c\n\u0001"#);
    }
}
