//! What a service runs under: its own listener, or an actix-web App that it is mounted in.

use std::{
    future::Future,
    net::{SocketAddr, TcpListener},
    time::Duration,
};

use actix_web::{
    App, HttpServer,
    dev::{Server, ServerHandle},
};
use anyhow::Result;
use ws_service::{Builder, MountedService, WsService};

use crate::cli::{Cli, Host};

/// A service that is ready to run, and where it listens.
pub(crate) struct Prepared {
    pub(crate) address: SocketAddr,
    hosted: Hosted,
}

enum Hosted {
    Listener(Box<WsService>),
    App { service: Box<MountedService>, server: Server, http: ServerHandle },
}

/// Puts a service under the host that was asked for.
pub(crate) fn prepare(cli: &Cli, builder: Builder, socket: TcpListener) -> Result<Prepared> {
    let address = socket.local_addr()?;
    let hosted = match cli.host {
        Host::Standalone => {
            let builder = match cli.workers {
                Some(workers) => builder.workers(workers),
                None => builder,
            };
            Hosted::Listener(Box::new(builder.listen(socket).build()?))
        }
        Host::ActixWeb => mounted(cli, builder, socket)?,
    };
    Ok(Prepared { address, hosted })
}

fn mounted(cli: &Cli, builder: Builder, socket: TcpListener) -> Result<Hosted> {
    let service = builder.mount()?;
    let (sockets, kernel) = (service.sockets(), service.sockets());
    let mut server = HttpServer::new(move || {
        App::new().configure(|cfg| sockets.configure(cfg)).configure(|cfg| sockets.health(cfg))
    })
    .on_connect(move |io, _| kernel.on_connect(io))
    .h1_allow_half_closed(false)
    .client_disconnect_timeout(Duration::ZERO)
    .max_connections(usize::MAX - 1)
    // The sockets are sent away first, while the App still answers.
    .disable_signals();
    if let Some(workers) = cli.workers {
        server = server.workers(workers);
    }
    let server = server.listen(socket)?.run();
    let http = server.handle();
    Ok(Hosted::App { service: Box::new(service), server, http })
}

impl Prepared {
    /// Runs until `stop` is over and the sockets are sent away.
    pub(crate) async fn run(self, stop: impl Future<Output = ()>) -> Result<()> {
        let (service, mut server, http) = match self.hosted {
            Hosted::Listener(service) => return Ok(service.run(stop).await?),
            Hosted::App { service, server, http } => (service, server, http),
        };
        tokio::select! {
            () = service.run(stop) => {}
            ended = &mut server => return Ok(ended?),
        }
        let ((), ended) = tokio::join!(http.stop(true), server);
        Ok(ended?)
    }
}
