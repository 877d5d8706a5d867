//! What each source file owes its reader: a header, a bearable length, nothing left unfinished.

use super::Source;

/// Lines of one file; the house aims at 100 to 400.
const LINES_MAX: usize = 600;

/// Files that no person writes, and what they are made from: the rules hold for that instead. A test
/// beside each one fails when it is not what its sources give.
const GENERATED: &[(&str, &str)] = &[("client/whisk.js", "client/src")];

/// What every file that a person wrote is checked for.
const TEXT: &[&str] =
    &["rs", "js", "mjs", "ts", "json", "toml", "md", "html", "css", "sh", "yml", "yaml"];

/// Every fault of the files, one line each.
pub(crate) fn check(sources: &[Source]) -> Vec<String> {
    sources.iter().flat_map(check_file).collect()
}

fn check_file(source: &Source) -> Vec<String> {
    let mut faults = Vec::new();
    if source.has_extension(&["rs", "js", "mjs", "ts"]) {
        if !has_header(source) {
            faults.push(format!("{}: the first line must say what it is for", source.path));
        }
        let lines = source.text.lines().count();
        let generated = GENERATED.iter().any(|(path, _)| *path == source.path);
        if lines > LINES_MAX && !generated {
            faults.push(format!("{}: {lines} lines, at most {LINES_MAX}", source.path));
        }
    }
    if source.has_extension(TEXT) {
        faults.extend(unfinished(source));
    }
    if source.path.ends_with("package-lock.json") && source.text.contains("\"resolved\": \"http") {
        faults.push(format!("{}: a lock names no registry host", source.path));
    }
    faults
}

/// At least three words in a comment at the very top, after a `#!` line.
fn has_header(source: &Source) -> bool {
    let openings: &[&str] = if source.has_extension(&["rs"]) { &["//!"] } else { &["//", "/*"] };
    let mut lines = source.text.lines().skip_while(|line| line.starts_with("#!/"));
    let Some(first) = lines.next() else {
        return false;
    };
    let Some(opening) = openings.iter().find(|opening| first.starts_with(**opening)) else {
        return false;
    };
    // A block comment may open on a line of its own.
    let second = if *opening == "/*" { lines.next().unwrap_or_default() } else { "" };
    let words = first.split_whitespace().chain(second.split_whitespace());
    words.filter(|word| word.starts_with(char::is_alphanumeric)).count() >= 3
}

/// Marks of unfinished work and tests that do not run. The marks are put together here, so that
/// this file does not hold them itself.
fn unfinished(source: &Source) -> Vec<String> {
    let words = [["FIX", "ME"].concat(), ["TO", "DO"].concat(), ["X", "XX"].concat()];
    let mut code = Vec::new();
    if source.has_extension(&["rs"]) {
        code.extend([["todo", "!("].concat(), ["unimplemented", "!("].concat()]);
        code.extend([["#[", "ignore"].concat(), ["#[should", "_panic"].concat()]);
    }
    if source.path.ends_with(".test.mjs") || source.path.ends_with(".test.js") {
        for word in ["skip", "todo", "only"] {
            code.extend([format!("test.{word}("), format!("it.{word}("), format!("{word}: true")]);
        }
    }
    let mut faults = Vec::new();
    for (number, line) in source.text.lines().enumerate() {
        let word = words.iter().find(|word| has_word(line, word));
        if let Some(mark) = word.or_else(|| code.iter().find(|mark| line.contains(*mark))) {
            faults.push(format!("{}:{}: {mark} is left", source.path, number + 1));
        }
    }
    faults
}

fn has_word(line: &str, word: &str) -> bool {
    line.split(|c: char| !c.is_alphanumeric() && c != '_').any(|part| part == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(path: &str, text: &str) -> usize {
        check(&[Source { path: path.to_owned(), text: text.to_owned() }]).len()
    }

    #[test]
    fn a_source_file_says_what_it_is_for() {
        assert_eq!(faults("a/src/lib.rs", "//! Addresses and their text.\n"), 0);
        assert_eq!(faults("a/src/lib.rs", "//! \n"), 1);
        assert_eq!(faults("a/src/lib.rs", "mod b;\n"), 1);
        assert_eq!(faults("a.mjs", "#!/usr/bin/env node\n// Starts one program.\n"), 0);
        assert_eq!(faults("a.js", "/**\n * The whole client.\n */\n"), 0);
        assert_eq!(faults("a.js", "import 'b';\n"), 1);
    }

    #[test]
    fn a_long_file_is_a_fault_unless_it_is_made_from_short_ones() {
        let text = format!("// A very long one.\n{}", "\n".repeat(LINES_MAX));
        assert_eq!(faults("a.js", &text), 1);
        for (path, from) in GENERATED {
            assert_eq!(faults(path, &text), 0);
            assert_eq!(faults(&format!("{from}/a.js"), &text), 1);
        }
    }

    #[test]
    fn unfinished_work_is_a_fault_in_every_kind_of_text() {
        assert_eq!(faults("notes.md", &["see FIX", "ME below"].concat()), 1);
        assert_eq!(faults("a.rs", &["//! What it does.\ntodo", "!()\n"].concat()), 1);
        assert_eq!(faults("a.rs", &["//! What it does.\n#[", "ignore]\n"].concat()), 1);
        assert_eq!(faults("clippy.toml", "todo = \"warn\"\n"), 0);
    }

    #[test]
    fn a_lock_names_no_registry() {
        assert_eq!(faults("b/package-lock.json", "\"resolved\": \"https://host/a.tgz\""), 1);
    }
}
