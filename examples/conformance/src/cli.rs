//! The command line. The defaults are the times and sizes that the protocols' public suites expect.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use clap::{Parser, ValueEnum};
use router_core::limits::{Limit, Limits};

/// A Socket.IO server for suites, official clients and benchmarks.
///
/// Anybody may connect, from any page. Limits of rates and numbers are off; bounds of bytes and of
/// time stay. The namespaces are /, /custom and /guarded, which admits the token `letmein`. Stops on SIGTERM or Ctrl-C.
#[derive(Debug, Parser)]
#[command(version, args_override_self = true)]
pub(crate) struct Cli {
    /// The port for Socket.IO, at /socket.io/.
    #[arg(long, default_value_t = 3000)]
    pub(crate) port: u16,
    /// The port of a bare Engine.IO server, at /engine.io/, which sends back every message: the next
    /// one by default, 0 for none.
    #[arg(long)]
    pub(crate) engine_port: Option<u16>,
    /// The address to listen on.
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    pub(crate) address: IpAddr,
    /// The node id in the namespace `ws`; no two living processes on one bus have the same.
    #[arg(long, default_value_t = 0)]
    pub(crate) nid: u32,
    /// Where processes meet: `memory:` for one alone, or a redis:// URL.
    #[arg(long, value_name = "URL", default_value = "memory:")]
    pub(crate) bus: String,
    /// Milliseconds from the handshake, and from each pong, to the next ping.
    #[arg(long, value_name = "MS", default_value_t = 300)]
    pub(crate) ping_interval_ms: u64,
    /// Milliseconds within which a ping must be answered.
    #[arg(long, value_name = "MS", default_value_t = 200)]
    pub(crate) ping_timeout_ms: u64,
    /// Milliseconds after which a connection without any namespace is closed.
    #[arg(long, value_name = "MS", default_value_t = 1000)]
    pub(crate) connect_timeout_ms: u64,
    /// Bytes of one frame, one message or one polling body.
    #[arg(long, value_name = "BYTES", default_value_t = 1_000_000)]
    pub(crate) max_payload: u64,
    /// Packets in message-pack, for clients with socket.io-msgpack-parser.
    #[arg(long)]
    pub(crate) msgpack: bool,
    /// What holds the sockets: a listener of their own, or an actix-web App that they are mounted
    /// in.
    #[arg(long, value_enum, default_value_t = Host::Standalone)]
    pub(crate) host: Host,
    /// Threads that hold sockets. By default one for each core.
    #[arg(long)]
    pub(crate) workers: Option<usize>,
    /// What is logged to standard error, as `info,ws_service=debug`.
    #[arg(long, value_name = "FILTER", default_value = "warn")]
    pub(crate) log: String,
}

/// What a service runs under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Host {
    /// Its own listener.
    Standalone,
    /// The App of a program.
    ActixWeb,
}

impl Cli {
    /// Where sockets come.
    pub(crate) fn listen(&self) -> SocketAddr {
        SocketAddr::new(self.address, self.port)
    }

    /// Where bare Engine.IO sessions come, if they do.
    pub(crate) fn engine_listen(&self) -> Option<SocketAddr> {
        let port = match self.engine_port {
            Some(0) => None,
            Some(port) => Some(port),
            // After a port that the system chooses, or after the last one, there is no next one.
            None => self.port.checked_add(1).filter(|_| self.port != 0),
        };
        port.map(|port| SocketAddr::new(self.address, port))
    }

    /// Time between pings.
    pub(crate) fn ping_interval(&self) -> Duration {
        Duration::from_millis(self.ping_interval_ms)
    }

    /// Time for a pong.
    pub(crate) fn ping_timeout(&self) -> Duration {
        Duration::from_millis(self.ping_timeout_ms)
    }

    /// Everything off but bounds of bytes, of nesting and of time.
    pub(crate) fn limits(&self) -> Limits {
        Limits {
            max_payload: Limit::At(self.max_payload),
            // Nothing is confirmed here, so this is the clock of a connection without any namespace.
            confirm_timeout: Limit::At(Duration::from_millis(self.connect_timeout_ms)),
            ..Limits::default().rates_and_numbers_off()
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_flag_explains_itself() {
        for argument in Cli::command().get_arguments() {
            assert!(argument.get_help().is_some(), "{}", argument.get_id());
        }
    }

    #[test]
    fn the_engine_is_on_the_next_port_or_another_or_none() {
        let port = |args: &[&str]| {
            let cli = Cli::parse_from([&["conformance"], args].concat());
            cli.engine_listen().map(|address| address.port())
        };
        assert_eq!(port(&["--port", "4000"]), Some(4001));
        assert_eq!(port(&["--port", "4000", "--engine-port", "7"]), Some(7));
        assert_eq!(port(&["--engine-port", "0"]), None);
        assert_eq!(port(&["--port", "0"]), None);
    }

    #[test]
    fn without_flags_it_is_what_the_suites_expect() {
        let cli = Cli::parse_from(["conformance"]);
        assert_eq!(cli.listen().to_string(), "127.0.0.1:3000");
        assert_eq!(cli.engine_listen().unwrap().port(), 3001);
        assert_eq!((cli.ping_interval().as_millis(), cli.ping_timeout().as_millis()), (300, 200));
        let limits = cli.limits();
        assert_eq!(limits.max_payload, Limit::At(1_000_000));
        assert_eq!(limits.confirm_timeout, Limit::At(Duration::from_secs(1)));
        assert_eq!(limits.emits_per_second, Limit::Off);
        assert_eq!(limits.outbox_hard, Limits::default().outbox_hard);
    }
}
