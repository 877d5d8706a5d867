//! Each invariant of ARCHITECTURE.md names a test, and that test lives in the tree.
//!
//! The form is: **Invariant:** a sentence (test `name`), or (tests `one`, `two`). It may run over
//! several lines of one paragraph. A name is a Rust function or the title of a Node test.

use super::Source;

const MARK: &str = "**Invariant:**";

/// Faults of the architecture page; `None` when there is no such page.
pub(crate) fn check(architecture: Option<&str>, sources: &[Source]) -> Vec<String> {
    let Some(text) = architecture else {
        return vec!["ARCHITECTURE.md is missing".to_owned()];
    };
    let invariants = invariants(text);
    if invariants.is_empty() {
        return vec![format!("ARCHITECTURE.md has no line that begins with {MARK}")];
    }
    let mut faults = Vec::new();
    for invariant in invariants {
        let names = names(&invariant);
        if names.is_empty() {
            faults.push(format!("ARCHITECTURE.md: no (test `name`) in: {}", start(&invariant)));
        }
        for name in names.iter().filter(|name| !exists(name, sources)) {
            faults.push(format!("ARCHITECTURE.md: no test `{name}` for: {}", start(&invariant)));
        }
    }
    faults
}

/// The text of each invariant, up to the end of its paragraph or list item.
fn invariants(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut inside = false;
    for line in text.lines().map(str::trim) {
        if let Some((_, rest)) = line.split_once(MARK) {
            found.push(rest.trim().to_owned());
            inside = true;
        } else if line.is_empty() || line.starts_with(['-', '*', '#', '|']) {
            inside = false;
        } else if inside && let Some(last) = found.last_mut() {
            last.push(' ');
            last.push_str(line);
        }
    }
    found
}

fn start(invariant: &str) -> String {
    invariant.chars().take(60).collect()
}

/// The names in backticks inside `(test …)` or `(tests …)`.
fn names(invariant: &str) -> Vec<&str> {
    let Some((_, rest)) =
        invariant.split_once("(test `").or_else(|| invariant.split_once("(tests `"))
    else {
        return Vec::new();
    };
    // The first backtick was consumed: every second piece is now a name.
    let mut names = Vec::new();
    let mut pieces = rest.split('`');
    while let Some(name) = pieces.next() {
        names.push(name);
        if pieces.next().is_none_or(|between| between.starts_with(')')) {
            break;
        }
    }
    names
}

fn exists(name: &str, sources: &[Source]) -> bool {
    let last = name.rsplit("::").next().unwrap_or(name);
    let function = [format!("fn {last}("), format!("fn {last}<")];
    let titles = ['\'', '"', '`'].map(|quote| format!("({quote}{name}{quote}"));
    sources.iter().any(|source| {
        let wanted: &[String] = if source.has_extension(&["rs"]) {
            &function
        } else if source.has_extension(&["js", "mjs"]) {
            &titles
        } else {
            &[]
        };
        wanted.iter().any(|it| source.text.contains(it.as_str()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> Vec<Source> {
        let source = |path: &str, text: &str| Source { path: path.into(), text: text.into() };
        vec![
            source("a/src/lib.rs", "//! A.\n#[test]\nfn order_is_kept() {}\n"),
            source("tests/e2e/a.test.mjs", "test('two pages talk', async () => {});"),
        ]
    }

    fn faults(text: &str) -> usize {
        check(Some(text), &tree()).len()
    }

    #[test]
    fn an_invariant_names_a_test_that_lives() {
        assert_eq!(faults("**Invariant:** order (test `a::order_is_kept`)."), 0);
        assert_eq!(
            faults("- **Invariant:** it talks, over\n  two lines (test `two pages talk`)"),
            0
        );
        assert_eq!(faults("**Invariant:** both (tests `order_is_kept`, `two pages talk`)."), 0);
    }

    #[test]
    fn an_invariant_without_a_living_test_is_a_fault() {
        assert_eq!(faults("**Invariant:** nobody checks this."), 1);
        assert_eq!(faults("**Invariant:** gone (test `order_was_kept`)."), 1);
        assert_eq!(faults("**Invariant:** half (tests `order_is_kept`, `gone`)."), 1);
    }

    #[test]
    fn a_page_without_invariants_and_no_page_are_faults() {
        assert_eq!(faults("# Architecture"), 1);
        assert_eq!(check(None, &tree()).len(), 1);
    }
}
