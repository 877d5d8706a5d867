//! Real servers on free ports of loopback, which end with the test that holds them, and with the
//! test process however it ends.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    sync::OnceLock,
    time::{Duration, Instant},
};

use router_core::backend::Backend;
use router_redis::{RedisBackend, RedisConfig};
use tempfile::TempDir;

const DEADLINE: Duration = Duration::from_secs(20);

/// A backend as one process has it.
pub(crate) fn connect(url: &str) -> Backend {
    RedisBackend::connect(config(url)).unwrap()
}

/// With calls that may take longer than on a machine of one's own: only tests of faults wait for it.
pub(crate) fn config(url: &str) -> RedisConfig {
    RedisConfig::new(url.parse().unwrap()).call_timeout(Duration::from_secs(10))
}

/// The server that the tests share which leave it as it is.
pub(crate) fn shared_server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(Server::start)
}

/// The cluster that the tests share which leave it as it is.
pub(crate) fn shared_cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(Cluster::start)
}

/// One server.
pub(crate) struct Server {
    pub(crate) port: u16,
    /// The option that names the port.
    listens: &'static str,
    args: Vec<String>,
    dir: TempDir,
    process: Option<Process>,
}

/// A shell that holds the server: it kills it when its own input ends, and so also when the test
/// process is gone without having cleaned up.
struct Process {
    shell: Child,
    pid: String,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// A server that speaks TLS alone, with this certificate and key.
    pub(crate) fn start_tls(cert: &str, key: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("cert.pem"), cert).unwrap();
        std::fs::write(dir.path().join("key.pem"), key).unwrap();
        let args = ["--tls-cert-file", "cert.pem", "--tls-key-file", "key.pem"];
        let rest = ["--tls-auth-clients", "no", "--tls-ca-cert-file", "cert.pem"];
        let args = [&args[..], &rest].concat().into_iter().map(str::to_owned).collect();
        let mut server =
            Self { port: free_port(), listens: "--tls-port", args, dir, process: None };
        assert!(server.try_run(), "redis-server did not come up: {}", server.log());
        server
    }

    pub(crate) fn start_with(args: &[&str]) -> Self {
        // Another process may take a free port first: then another one is tried.
        for _ in 0..10 {
            let dir = tempfile::tempdir().unwrap();
            let args = args.iter().map(ToString::to_string).collect();
            let mut server =
                Self { port: free_port(), listens: "--port", args, dir, process: None };
            if server.try_run() {
                return server;
            }
        }
        panic!("no redis-server came up on a free port");
    }

    /// A Sentinel that watches the server on `port` as `mymaster`, and decides alone.
    pub(crate) fn start_sentinel(port: u16) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let watched = format!(
            "sentinel monitor mymaster 127.0.0.1 {port} 1\n\
             sentinel down-after-milliseconds mymaster 500\n\
             sentinel failover-timeout mymaster 3000\n"
        );
        std::fs::write(dir.path().join("sentinel.conf"), watched).unwrap();
        let args = vec!["sentinel.conf".to_owned(), "--sentinel".into()];
        let mut sentinel = Self { port: free_port(), listens: "--port", args, dir, process: None };
        assert!(sentinel.try_run(), "the Sentinel did not come up: {}", sentinel.log());
        sentinel
    }

    /// The same with other arguments.
    pub(crate) fn run_again_with(&mut self, args: &[&str]) {
        self.args = args.iter().map(ToString::to_string).collect();
        self.run_again();
    }

    /// Starts the server that was killed, on its port and with nothing in it.
    pub(crate) fn run_again(&mut self) {
        assert!(self.try_run(), "redis-server did not come up again: {}", self.log());
    }

    fn try_run(&mut self) -> bool {
        // An absent log tells from the log of a former life.
        drop(std::fs::remove_file(self.dir.path().join("log")));
        let mut shell = Command::new("sh")
            .args(["-c", r#""$@" & pid=$!; echo $pid; read -r _; kill -9 $pid"#, "sh"])
            .arg(binary("redis-server"))
            .args(&self.args)
            .args([
                "--port",
                "0",
                self.listens,
                &self.port.to_string(),
                "--bind",
                "127.0.0.1",
                "--save",
                "",
            ])
            .args(["--appendonly", "no", "--daemonize", "no", "--logfile", "log"])
            .args(["--enable-debug-command", "local"])
            .current_dir(self.dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut pid = String::new();
        BufReader::new(shell.stdout.take().unwrap()).read_line(&mut pid).unwrap();
        let pid = pid.trim().to_owned();
        let alive = format!("/proc/{pid}");
        let begun = Instant::now();
        self.process = Some(Process { shell, pid });
        while begun.elapsed() < DEADLINE && Path::new(&alive).exists() {
            if self.log().contains("Ready to accept connections") || self.answers() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        self.kill();
        false
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// Whether the process answers that is ours, and not another on the same port.
    fn answers(&self) -> bool {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) else {
            return false;
        };
        stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
        let mut answer = [0; 8192];
        let pid = self.process.as_ref().map(|process| format!("process_id:{}", process.pid));
        stream.write_all(b"INFO server\r\n").is_ok()
            && stream.read(&mut answer).is_ok_and(|read| {
                pid.is_some_and(|pid| String::from_utf8_lossy(&answer[..read]).contains(&pid))
            })
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// As the power going out.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            drop(process.shell.stdin.take());
            process.shell.wait().unwrap();
        }
    }

    pub(crate) fn freeze(&self) {
        self.signal("-STOP");
    }

    pub(crate) fn thaw(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let pid = &self.process.as_ref().unwrap().pid;
        assert!(Command::new("kill").args([signal, pid]).status().unwrap().success());
    }

    /// What `redis-cli` prints for this command.
    pub(crate) fn cli(&self, args: &[&str]) -> String {
        cli(&[&["-p", &self.port.to_string()], args].concat())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Three masters.
pub(crate) struct Cluster {
    pub(crate) masters: Vec<Server>,
}

impl Cluster {
    pub(crate) fn start() -> Self {
        let masters: Vec<_> = (0..3).map(|_| Self::start_node()).collect();
        let mut args = vec!["--cluster".to_owned(), "create".into()];
        args.extend(masters.iter().map(|master| format!("127.0.0.1:{}", master.port)));
        args.push("--cluster-yes".into());
        cli(&args.iter().map(String::as_str).collect::<Vec<_>>());
        let begun = Instant::now();
        for master in &masters {
            while !master.cli(&["cluster", "info"]).contains("cluster_state:ok") {
                assert!(begun.elapsed() < DEADLINE, "the cluster did not form");
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        Self { masters }
    }

    fn start_node() -> Server {
        let bus = free_port().to_string();
        Server::start_with(&[
            "--cluster-enabled",
            "yes",
            "--cluster-port",
            &bus,
            "--cluster-node-timeout",
            "2000",
        ])
    }

    /// A replica of one of the masters, which takes over when that is gone.
    pub(crate) fn add_replica(&self, of: usize) -> Server {
        let replica = Self::start_node();
        let (node, known) = (Self::address(&replica), Self::address(&self.masters[of]));
        let id = self.masters[of].cli(&["cluster", "myid"]);
        let add = ["--cluster", "add-node", &node, &known, "--cluster-slave"];
        cli(&[&add[..], &["--cluster-master-id", id.trim()]].concat());
        let begun = Instant::now();
        let knows = |server: &Server| {
            let nodes = server.cli(&["cluster", "nodes"]);
            nodes.lines().any(|line| line.contains(&node) && line.contains("slave"))
        };
        let is_up = || replica.cli(&["info", "replication"]).contains("master_link_status:up");
        while !(is_up() && self.masters.iter().all(knows)) {
            assert!(begun.elapsed() < DEADLINE, "the replica did not come up");
            std::thread::sleep(Duration::from_millis(20));
        }
        replica
    }

    fn address(node: &Server) -> String {
        format!("127.0.0.1:{}", node.port)
    }

    pub(crate) fn url(&self) -> String {
        let hosts: Vec<_> =
            self.masters.iter().map(|master| format!("127.0.0.1:{}", master.port)).collect();
        format!("redis+cluster://{}", hosts.join(","))
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn cli(args: &[&str]) -> String {
    let output = Command::new(binary("redis-cli")).args(args).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "redis-cli {args:?}: {text}");
    text
}

/// # Panics
/// When the program is not installed: a test that needs it is never skipped.
fn binary(name: &'static str) -> &'static str {
    let found = Command::new(name).arg("--version").stdout(Stdio::null()).status();
    assert!(
        found.is_ok_and(|status| status.success()),
        "{name} is missing; `cargo xtask setup` installs what the tests need"
    );
    name
}
