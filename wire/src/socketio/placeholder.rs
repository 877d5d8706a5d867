//! The objects that stand in the arguments for binary attachments:
//! `{"_placeholder":true,"num":<index>}` (Socket.IO protocol, "Packet encoding").

use super::json::{ArgsError, Closed, Placeholder, Scalar, Visitor, walk};

/// Looks whether each placeholder in `args` is of one of `count` attachments: its `num` an
/// integer from zero to below `count`.
///
/// Any object with a `_placeholder` that is `true` is one, as the reference parser has it.
/// Several may be of the same attachment, and an attachment may have none. One scan, no tree,
/// no allocation up to eight nested brackets.
///
/// # Errors
///
/// [`ArgsError::BadPlaceholder`]; [`ArgsError::Malformed`] if `args` are no JSON values with
/// commas between.
pub fn check_placeholders(args: &str, count: usize) -> Result<(), ArgsError> {
    walk(args, &mut Check { count }).map(drop)
}

struct Check {
    count: usize,
}

impl Visitor for Check {
    fn open(&mut self) -> usize {
        0
    }

    fn key(&mut self, _: &str) -> Result<(), ArgsError> {
        Ok(())
    }

    fn scalar(&mut self, _: Scalar<'_>) -> Result<(), ArgsError> {
        Ok(())
    }

    fn close(&mut self, closed: Closed) -> Result<(), ArgsError> {
        match closed.placeholder {
            Placeholder::None => Ok(()),
            Placeholder::Of(index) if index < self.count => Ok(()),
            Placeholder::Of(_) | Placeholder::Broken => Err(ArgsError::BadPlaceholder),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_of_the_attachments_pass() {
        let cases = [
            ("", 0),
            ("1,\"a\",null,[],{}", 0),
            (r#"{"_placeholder":true,"num":0}"#, 1),
            (r#" { "num" : 1 , "_placeholder" : true } , 2 "#, 2),
            (r#"{"a":[{"_placeholder":true,"num":0},{"_placeholder":true,"num":0}]}"#, 1),
            (r#"{"_placeholder":true,"num":9,"num":0}"#, 1),
            // Not placeholders: said otherwise, or elsewhere.
            (r#"{"_placeholder":false,"num":9}"#, 1),
            (r#"{"_placeholder":"true","num":9}"#, 1),
            (r#"{"_placeholder":{"a":true},"num":9}"#, 1),
            (r#"{"_placeholder":true,"_placeholder":1,"num":9}"#, 1),
            (r#"{"placeholder":true,"num":9}"#, 1),
            (r#""{\"_placeholder\":true,\"num\":9}""#, 1),
            (r#"["_placeholder",true,"num",9]"#, 1),
        ];
        for (args, count) in cases {
            assert_eq!(check_placeholders(args, count), Ok(()), "{args}");
        }
    }

    #[test]
    fn placeholders_beyond_the_attachments_are_refused() {
        let beyond = [
            r#"{"_placeholder":true,"num":2}"#,
            r#"{"_placeholder":true,"num":-1}"#,
            r#"{"_placeholder":true,"num":0.5}"#,
            r#"{"_placeholder":true,"num":1e0}"#,
            r#"{"_placeholder":true,"num":18446744073709551616}"#,
            r#"{"_placeholder":true,"num":"0"}"#,
            r#"{"_placeholder":true,"num":null}"#,
            r#"{"_placeholder":true,"num":[0]}"#,
            r#"{"_placeholder":true}"#,
            r#"{"_placeholder":true,"num":0,"num":2}"#,
            r#"{"_\u0070laceholder":true,"n\u0075m":2}"#,
            r#"1,[{"a":{"b":[[{"num":7,"_placeholder":true}]]}}]"#,
        ];
        for args in beyond {
            assert_eq!(check_placeholders(args, 2), Err(ArgsError::BadPlaceholder), "{args}");
        }
        let none = r#"{"_placeholder":true,"num":0}"#;
        assert_eq!(check_placeholders(none, 0), Err(ArgsError::BadPlaceholder));
    }

    #[test]
    fn text_that_is_no_list_of_values_is_malformed() {
        let broken = [
            ",",
            "1,",
            "1,,2",
            "[",
            "]",
            "{",
            "}",
            "[}",
            "{]",
            "[1",
            "[1,]",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{1:2}",
            "\"a",
            "\"a\\\"",
            "1 2",
            "a",
            "[]]",
            "\"a\"\"b\"",
            ":",
            "{:1}",
        ];
        for args in broken {
            assert_eq!(check_placeholders(args, 9), Err(ArgsError::Malformed), "{args}");
        }
        // Depth costs no stack.
        let deep = format!("{}{}", "[".repeat(1_000_000), "]".repeat(1_000_000));
        assert_eq!(check_placeholders(&deep, 0), Ok(()));
    }
}
