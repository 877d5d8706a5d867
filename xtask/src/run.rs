//! Runs steps one after another: says what and why before, how long after, and on a failure how
//! to repeat just the one that failed.

use std::env;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use xshell::Shell;

/// The root of the repository.
pub(crate) fn root() -> &'static Path {
    // What cargo says now counts more than what it said when this was compiled: two clones may
    // share one target folder.
    static ROOT: LazyLock<PathBuf> = LazyLock::new(|| {
        let here = env::var_os("CARGO_MANIFEST_DIR");
        let here = here.map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
        here.parent().map(Path::to_owned).unwrap_or(here)
    });
    &ROOT
}

/// One command with a name, its reason, a folder and an environment.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) name: &'static str,
    why: &'static str,
    /// Relative to the root; empty for the root itself.
    folder: &'static str,
    env: Vec<(&'static str, String)>,
    words: Vec<String>,
}

impl Step {
    pub(crate) fn new(name: &'static str, why: &'static str) -> Self {
        Self { name, why, folder: "", env: Vec::new(), words: Vec::new() }
    }

    pub(crate) fn program<const N: usize>(mut self, program: &str, args: [&str; N]) -> Self {
        self.words.push(program.to_owned());
        self.words.extend(args.map(str::to_owned));
        self
    }

    pub(crate) fn args(mut self, args: &[String]) -> Self {
        self.words.extend_from_slice(args);
        self
    }

    pub(crate) fn folder(mut self, folder: &'static str) -> Self {
        self.folder = folder;
        self
    }

    pub(crate) fn env(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.env.push((key, value.into()));
        self
    }

    /// The line that repeats this step in a shell at the root.
    pub(crate) fn repeat(&self) -> String {
        let mut line = String::new();
        if !self.folder.is_empty() {
            line += &format!("cd {} && ", quoted(self.folder));
        }
        for (key, value) in &self.env {
            line += &format!("{key}={} ", quoted(value));
        }
        let words: Vec<_> = self.words.iter().map(|word| quoted(word)).collect();
        line + &words.join(" ")
    }

    /// Runs the command with its output shown and without standard input.
    pub(crate) fn run(&self, root: &Path) -> Result<()> {
        println!("\n== {}: {}\n$ {}", self.name, self.why, self.repeat());
        let Some((program, args)) = self.words.split_first() else {
            bail!("the step {} has no command", self.name);
        };
        let shell = Shell::new()?;
        shell.change_dir(root.join(self.folder));
        let envs = self.env.iter().map(|(key, value)| (*key, value.as_str()));
        shell
            .cmd(program)
            .args(args)
            .envs(envs)
            .quiet()
            .run()
            .with_context(|| format!("{} failed", self.name))
    }
}

/// Quotes a word for a shell where it needs it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// Steps that ran, for the summary.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    done: Vec<(&'static str, Duration, bool)>,
}

impl Progress {
    /// Runs one step.
    pub(crate) fn step(&mut self, step: &Step) -> Result<()> {
        self.task(step.name, &step.repeat(), || step.run(root()))
    }

    /// Runs work that is no single command; `repeat` is what a person types to run it alone.
    pub(crate) fn task(
        &mut self,
        name: &'static str,
        repeat: &str,
        work: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        let began = Instant::now();
        let outcome = work();
        self.done.push((name, began.elapsed(), outcome.is_ok()));
        outcome.with_context(|| {
            format!("stopped at {name}; to repeat just this step:\n    {repeat}\ncause")
        })
    }

    /// Prints what ran and for how long, and passes the outcome on.
    pub(crate) fn summary(&self, outcome: Result<()>) -> Result<()> {
        println!("\n{}", self.table());
        outcome
    }

    fn table(&self) -> String {
        let mut table = String::from("Summary\n");
        let mut total = Duration::ZERO;
        for (name, took, passed) in &self.done {
            let mark = if *passed { "ok    " } else { "FAILED" };
            table += &format!("  {mark}  {name:<12} {:>8.1} s\n", took.as_secs_f64());
            total += *took;
        }
        table + &format!("          {:<12} {:>8.1} s", "total", total.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repeat_line_can_be_pasted_into_a_shell() {
        let step = Step::new("e2e", "")
            .folder("tests")
            .env("FLAGS", "-D warnings")
            .program("node", ["--test", "it's"]);
        assert_eq!(step.repeat(), r"cd tests && FLAGS='-D warnings' node --test 'it'\''s'");
    }

    #[test]
    fn a_failed_step_says_how_to_repeat_it_and_stands_in_the_summary() {
        let mut progress = Progress::default();
        progress.task("good", "a", || Ok(())).unwrap();
        let error = progress.task("bad", "cargo again", || bail!("broken")).unwrap_err();
        assert!(format!("{error:#}").contains("cargo again"));
        let table = progress.table();
        assert!(table.contains("ok      good"), "{table}");
        assert!(table.contains("FAILED  bad"), "{table}");
    }

    #[test]
    fn a_command_that_fails_is_an_error() {
        assert!(Step::new("false", "").program("false", []).run(root()).is_err());
    }
}
