//! `cargo xtask suites`: the public suites of the Socket.IO and Engine.IO protocols, unaltered, over
//! copies that somebody fetched, against the conformance program.
//!
//! Both suites speak to port 3000. The program serves Socket.IO there for the one, and its bare
//! Engine.IO for the other.

use std::{
    fmt,
    io::Read as _,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;

use crate::run::{Progress, Step, root};

/// The port that the suites have written into them.
const PORT: u16 = 3000;
/// Any other port, for what a suite does not speak to.
const OTHER_PORT: u16 = 3001;
/// What the program's sockets may be held by.
const HOSTS: [&str; 2] = ["standalone", "actix-web"];
/// How long the program may take to listen.
const START: Duration = Duration::from_secs(20);
/// How long a suite may take: one that hangs is a failure.
const SUITE: Duration = Duration::from_secs(180);
/// How long to wait between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// Which suites are run, and against what.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub(crate) struct Suites {
    /// A copy of docs/socket.io-protocol/v5-test-suite of the socketio/socket.io repository.
    #[arg(long, value_name = "DIR")]
    sio: Option<PathBuf>,
    /// A copy of docs/engine.io-protocol/v4-test-suite of the same.
    #[arg(long, value_name = "DIR")]
    eio: Option<PathBuf>,
    /// What holds the sockets: `standalone` or `actix-web`. By default each in turn.
    #[arg(long, value_parser = HOSTS)]
    host: Option<String>,
    /// How often each suite is run.
    #[arg(long, default_value_t = 1)]
    times: u32,
    /// Another build of the conformance program than a fresh one in release mode.
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
}

pub(crate) fn command(suites: &Suites) -> Result<()> {
    let mut progress = Progress::default();
    let mut counts = Vec::new();
    let outcome = run_all(suites, &mut progress, &mut counts);
    for (name, counts) in counts {
        println!("{name}: {counts}");
    }
    progress.summary(outcome)
}

fn run_all(
    suites: &Suites,
    progress: &mut Progress,
    counts: &mut Vec<(String, Counts)>,
) -> Result<()> {
    let program = match &suites.program {
        Some(program) => program.clone(),
        None => {
            progress.step(&build())?;
            crate::test::target_dir()?.join("release/conformance")
        }
    };
    let asked =
        [("socket.io", &suites.sio, [PORT, 0]), ("engine.io", &suites.eio, [OTHER_PORT, PORT])];
    let hosts = HOSTS.iter().filter(|host| suites.host.as_deref().is_none_or(|it| it == **host));
    for host in hosts {
        for (suite, folder, ports) in &asked {
            let Some(folder) = folder else { continue };
            let name = format!("{suite} on {host}");
            progress.task(suite, &repeat(suite, folder, host), || {
                install(folder)?;
                for _ in 0..suites.times {
                    let counted = run_suite(&program, host, *ports, folder)?;
                    counts.push((name.clone(), counted));
                    ensure!(counted.failing == 0 && counted.passing > 0, "{name}: {counted}");
                }
                Ok(())
            })?;
        }
    }
    Ok(())
}

fn build() -> Step {
    Step::new("build", "the program that the suites run against, in release mode")
        .program("cargo", ["build", "--release", "-p", "conformance"])
}

fn repeat(suite: &str, folder: &Path, host: &str) -> String {
    let flag = if suite == "socket.io" { "--sio" } else { "--eio" };
    format!("cargo xtask suites {flag} {} --host {host}", folder.display())
}

/// The suite's own npm packages.
fn install(folder: &Path) -> Result<()> {
    ensure!(folder.join("package.json").is_file(), "there is no suite in {}", folder.display());
    if folder.join("node_modules").is_dir() {
        return Ok(());
    }
    let how = if folder.join("package-lock.json").is_file() { "ci" } else { "install" };
    let installed = Command::new("npm")
        .args([how, "--no-audit", "--no-fund"])
        .current_dir(folder)
        .status()
        .context("npm cannot be started")?;
    ensure!(installed.success(), "npm {how} failed in {}", folder.display());
    Ok(())
}

/// Runs one suite against a fresh program.
fn run_suite(
    program: &Path,
    host: &str,
    [port, engine]: [u16; 2],
    folder: &Path,
) -> Result<Counts> {
    let server = Server::start(program, host, port, engine)?;
    let output = npm_test(folder)?;
    drop(server);
    println!("{output}");
    Counts::read(&output).with_context(|| format!("{} tells no counts", folder.display()))
}

/// What `npm test` prints. How it ends says no more than the counts do.
fn npm_test(folder: &Path) -> Result<String> {
    let mut child = Command::new("npm")
        .arg("test")
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("npm cannot be started")?;
    let mut stdout = child.stdout.take().context("npm without an output")?;
    let reader = thread::spawn(move || {
        let mut output = String::new();
        stdout.read_to_string(&mut output).map(|_| output)
    });
    let end = Instant::now() + SUITE;
    while child.try_wait()?.is_none() {
        if Instant::now() > end {
            child.kill()?;
            child.wait()?;
            bail!("the suite did not end within {} s", SUITE.as_secs());
        }
        thread::sleep(PAUSE);
    }
    match reader.join() {
        Ok(output) => Ok(output?),
        Err(_) => bail!("the suite's output cannot be read"),
    }
}

/// A running conformance program; it ends with this value.
struct Server(Child);

impl Server {
    fn start(program: &Path, host: &str, port: u16, engine: u16) -> Result<Self> {
        for port in [port, engine].into_iter().filter(|port| *port != 0) {
            // Whoever listens there already would be what is tested.
            TcpListener::bind(("127.0.0.1", port))
                .with_context(|| format!("port {port} is taken; the suites need it"))?;
        }
        let child = Command::new(program)
            .args(["--host", host])
            .args(["--port", &port.to_string(), "--engine-port", &engine.to_string()])
            .args(["--ping-interval-ms", "300", "--ping-timeout-ms", "200"])
            .args(["--connect-timeout-ms", "1000", "--max-payload", "1000000"])
            .current_dir(root())
            .stdin(Stdio::null())
            .spawn()
            .with_context(|| format!("{} cannot be started", program.display()))?;
        let mut server = Self(child);
        let end = Instant::now() + START;
        while TcpStream::connect(("127.0.0.1", PORT)).is_err() {
            if let Some(status) = server.0.try_wait()? {
                bail!("the conformance program ended: {status}");
            }
            ensure!(Instant::now() < end, "the conformance program does not listen");
            thread::sleep(PAUSE);
        }
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // One that ended already has nothing to be told.
        let _ended = self.0.kill();
        let _status = self.0.wait();
    }
}

/// What a suite's summary says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Counts {
    passing: u32,
    failing: u32,
}

impl Counts {
    /// Reads them out of what mocha prints: lines as `32 passing (5s)` and `1 failing`.
    fn read(output: &str) -> Option<Self> {
        let count = |word| {
            output.lines().find_map(|line| {
                let mut words = line.split_whitespace();
                let number = words.next()?.parse().ok()?;
                (words.next()? == word).then_some(number)
            })
        };
        let passing = count("passing")?;
        Some(Self { passing, failing: count("failing").unwrap_or(0) })
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.passing, self.passing + self.failing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_from_the_summary() {
        let good = "  Socket.IO protocol\n    ✔ 7 passing tests (9ms)\n\n  32 passing (5s)\n\n";
        assert_eq!(Counts::read(good).unwrap(), Counts { passing: 32, failing: 0 });
        let bad = Counts::read("  24 passing (7s)\n  1 failing\n\n  1) closes it\n").unwrap();
        assert_eq!(bad.to_string(), "24 of 25");
        assert_eq!(Counts::read("Error: no test specified"), None);
    }

    #[test]
    fn a_folder_without_a_suite_is_refused() {
        assert!(install(&root().join("xtask")).is_err());
    }
}
