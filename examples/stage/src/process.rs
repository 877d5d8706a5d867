//! What a program does at its edges: its words, its listener, its end.

use std::{
    fmt::Display,
    io::Write,
    net::{TcpListener, ToSocketAddrs},
    process::ExitCode,
};

use anyhow::{Context as _, Result};
use tokio::sync::watch;

/// What a program says to the person who started it; the log goes to standard error. A reader that
/// went away, as `head` does, is no reason to fail.
pub fn say(text: &str) {
    let _gone = writeln!(std::io::stdout(), "{text}");
}

/// How a program ends. The reason of a failed start is written here, since the log may not have begun.
pub fn outcome(name: &str, ran: Result<()>) -> ExitCode {
    let Err(error) = ran else { return ExitCode::SUCCESS };
    let _gone = writeln!(std::io::stderr(), "{name} did not start: {error:#}");
    ExitCode::FAILURE
}

/// A listener on `address`.
///
/// # Errors
/// Names the address that cannot be listened on.
pub fn listen(address: impl ToSocketAddrs + Display) -> Result<TcpListener> {
    TcpListener::bind(&address)
        .with_context(|| format!("{address} cannot be listened on; is the port taken?"))
}

/// When a program is to stop: all its services wait for the same word.
#[derive(Debug)]
pub struct Stop(watch::Sender<bool>);

impl Default for Stop {
    fn default() -> Self {
        Self(watch::Sender::new(false))
    }
}

impl Stop {
    /// A future for one service, which is over when the word is given.
    pub fn told(&self) -> impl Future<Output = ()> + 'static {
        let mut told = self.0.subscribe();
        async move {
            // The sender is dropped with the process.
            let _gone = told.wait_for(|told| *told).await;
        }
    }

    /// Gives the word at SIGTERM or Ctrl-C. Once the services are built: a start that hangs is to end
    /// at a signal at once.
    pub fn at_signal(self) {
        actix_web::rt::spawn(async move {
            if let Err(error) = launch::stop_signal().await {
                tracing::error!(%error, "signals cannot be heard; stopping");
            }
            self.0.send_replace(true);
        });
    }
}
