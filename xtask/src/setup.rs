//! `cargo xtask setup`: installs what the tests need and is missing. Quick when all is there.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

use anyhow::{Context as _, Result, bail};
use xshell::{Shell, cmd};

use crate::{
    python,
    run::{Step, root},
};

/// The release that was tried here; a newer one is a change like any other.
const CARGO_DENY: &str = "0.20.2";

/// The first Node with a stable test runner and a global `WebSocket` flag.
const NODE_MAJOR_MIN: u32 = 20;

/// A program that the tests start, and the Debian package that brings it.
const PROGRAMS: [(&str, &str); 4] = [
    ("redis-server", "redis-server"),
    ("redis-cli", "redis-tools"),
    ("chromium", "chromium"),
    ("nginx", "nginx"),
];

/// Who asks for the setup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// What the tests need.
    Tests,
    /// The same and what only the checks of `ci` need.
    Ci,
}

pub(crate) fn command() -> Result<()> {
    ensure(Wanted::Tests)?;
    println!("setup: all there");
    Ok(())
}

/// Installs what is missing or says what to install.
pub(crate) fn ensure(wanted: Wanted) -> Result<()> {
    let shell = Shell::new()?;
    system_packages(&shell)?;
    components(&shell)?;
    for folder in ["client", "tests"] {
        npm_packages(folder)?;
    }
    python::packages(&shell)?;
    if wanted == Wanted::Ci {
        cargo_deny(&shell)?;
    }
    Ok(())
}

/// redis-server, chromium, nginx, node and npm.
fn system_packages(shell: &Shell) -> Result<()> {
    let mut packages = missing();
    let node = node_is_recent(shell);
    if packages.is_empty() && node {
        return Ok(());
    }
    if !debian_as_root(shell) {
        bail!("{}", advice(&packages, node));
    }
    Step::new("apt-get update", "the list of packages must be fresh before anything is installed")
        .program("apt-get", ["update", "--quiet"])
        .run(root())?;
    if !node {
        if debian_node_major(shell).is_none_or(|major| major < NODE_MAJOR_MIN) {
            bail!("{}", advice(&packages, node));
        }
        packages.push("nodejs");
    }
    install(&packages)?;
    // Debian's nodejs comes without npm, other builds of the same name bring it and refuse a second.
    if on_path("npm").is_none() {
        install(&["npm"])?;
    }
    let (still, node) = (missing(), node_is_recent(shell));
    if !still.is_empty() || !node {
        bail!("installed, and yet not found; {}", advice(&still, node));
    }
    Ok(())
}

fn install(packages: &[&str]) -> Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    let packages: Vec<_> = packages.iter().map(|name| (*name).to_owned()).collect();
    Step::new("apt-get install", "programs that the tests start; this can take some minutes")
        .env("DEBIAN_FRONTEND", "noninteractive")
        .program("apt-get", ["install", "--yes", "--quiet", "--no-install-recommends"])
        .args(&packages)
        .run(root())
}

/// The packages whose programs are not there.
fn missing() -> Vec<&'static str> {
    let programs = PROGRAMS.iter().filter(|(program, _)| !there(program));
    programs.map(|(_, package)| *package).chain(python::missing()).chain(openssl()).collect()
}

/// Whether a program is on the path. `CHROMIUM` names a browser that is not.
fn there(program: &str) -> bool {
    let named = (program == "chromium").then(|| env::var_os("CHROMIUM")).flatten();
    match named {
        Some(browser) => Path::new(&browser).is_file(),
        None => on_path(program).is_some(),
    }
}

/// The Rust client of Socket.IO, which is a peer in the tests, stands on OpenSSL.
fn openssl() -> impl Iterator<Item = &'static str> {
    let found = |program: &str, args: &[&str]| {
        let mut command = Command::new(program);
        let silent = command.args(args).stdout(Stdio::null()).stderr(Stdio::null());
        silent.status().is_ok_and(|status| status.success())
    };
    let missing: &[&str] = match found("pkg-config", &["--exists", "openssl"]) {
        true => &[],
        false => &["pkg-config", "libssl-dev"],
    };
    missing.iter().copied()
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

fn node_is_recent(shell: &Shell) -> bool {
    let version = cmd!(shell, "node --version").quiet().ignore_stderr().read();
    on_path("npm").is_some()
        && version.is_ok_and(|text| major(&text).is_some_and(|it| it >= NODE_MAJOR_MIN))
}

/// The Node that Debian would install: older releases of Debian have one that is too old.
fn debian_node_major(shell: &Shell) -> Option<u32> {
    let policy = cmd!(shell, "apt-cache policy nodejs").quiet().ignore_stderr().read().ok()?;
    let line = policy.lines().find_map(|line| line.trim().strip_prefix("Candidate:"))?;
    major(line)
}

/// `20` of `v20.11.1` or of `20.19.2+dfsg-1`.
fn major(version: &str) -> Option<u32> {
    version.trim().trim_start_matches('v').split('.').next()?.parse().ok()
}

fn debian_as_root(shell: &Shell) -> bool {
    let system = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let root = cmd!(shell, "id -u").quiet().ignore_stderr().read();
    system.lines().any(|line| line == "ID=debian") && root.is_ok_and(|id| id == "0")
}

/// What a person must install where this command may not.
fn advice(packages: &[&str], node: bool) -> String {
    let mut lines = vec!["please install what is missing, then run this again:".to_owned()];
    if !packages.is_empty() {
        lines.push(format!("  on Debian, as root: apt-get install {}", packages.join(" ")));
        lines.push("  elsewhere: Redis 7 (redis-server, redis-cli), Chromium and nginx".to_owned());
        lines.push("  (a Chromium of another name or place: CHROMIUM=/path/to/it)".to_owned());
    }
    if !node {
        lines.push(format!("  Node.js {NODE_MAJOR_MIN} or later, with npm"));
    }
    lines.join("\n")
}

/// rustfmt and clippy, of the toolchain that runs this.
fn components(shell: &Shell) -> Result<()> {
    let lacks = |tool: &str| {
        cmd!(shell, "cargo {tool} --version").quiet().ignore_stdout().ignore_stderr().run().is_err()
    };
    if !lacks("fmt") && !lacks("clippy") {
        return Ok(());
    }
    if on_path("rustup").is_none() {
        bail!("please install rustfmt and clippy for this Rust toolchain, then run this again");
    }
    Step::new("rustup component add", "the checks format and lint the code")
        .program("rustup", ["component", "add", "rustfmt", "clippy"])
        .run(root())
}

/// The npm packages of a folder, exactly as its lock file has them.
fn npm_packages(folder: &'static str) -> Result<()> {
    let at = root().join(folder);
    if !at.join("package.json").is_file() {
        bail!("{folder}/package.json is missing");
    }
    let Ok(lock) = fs::read(at.join("package-lock.json")) else {
        // A package without dependencies needs no lock, and nothing installed.
        let package = fs::read_to_string(at.join("package.json"))?;
        if package.contains("ependencies\"") {
            bail!("{folder} has dependencies and no package-lock.json");
        }
        return Ok(());
    };
    // npm has no quick answer to "is this up to date", so the lock that was installed is kept.
    let installed = at.join("node_modules/.installed-lock.json");
    if fs::read(&installed).is_ok_and(|kept| kept == lock) {
        return Ok(());
    }
    Step::new("npm ci", "the npm packages that the JavaScript tests use")
        .folder(folder)
        .env("PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD", "1")
        .program("npm", ["ci", "--no-audit", "--no-fund"])
        .run(root())?;
    fs::create_dir_all(at.join("node_modules"))?;
    fs::write(&installed, lock).context("the installed lock could not be kept")
}

fn cargo_deny(shell: &Shell) -> Result<()> {
    let version = cmd!(shell, "cargo deny --version").quiet().ignore_stderr().read();
    if version.is_ok_and(|text| text == format!("cargo-deny {CARGO_DENY}")) {
        return Ok(());
    }
    Step::new("cargo install cargo-deny", "checks bans and licences; a few minutes, once")
        .program("cargo", ["install", "--locked", "cargo-deny", "--version", CARGO_DENY])
        .run(root())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_major_version_is_read_from_node_and_from_debian() {
        assert_eq!(major("v20.11.1\n"), Some(20));
        assert_eq!(major(" 18.20.4+dfsg-1~deb12u1"), Some(18));
        assert_eq!(major(" (none)"), None);
    }

    #[test]
    fn the_advice_names_only_what_is_missing() {
        let text = advice(&["chromium"], true);
        assert!(text.contains("apt-get install chromium"), "{text}");
        assert!(!text.contains("Node"), "{text}");
        assert!(advice(&[], false).contains("Node.js 20"));
    }

    #[test]
    fn a_program_is_looked_up_on_the_path() {
        assert!(on_path("cargo").is_some());
        assert!(on_path("no-such-program-here").is_none());
    }
}
