//! What the service runs under: its own listener, or a program's actix-web App. The same tests are
//! built for both; where a promise differs, the test says so.

use std::{future::Future, net::TcpListener, pin::Pin, sync::Arc, time::Duration};

use actix_web::{App, HttpServer, web};
use router_core::{handler::Services, socket::SocketHub};
use ws_service::{Builder, Handle, Mount, RunError};

use crate::MOUNTED;

/// A running service, as its program holds it.
#[derive(Debug, Clone)]
pub(crate) enum Held {
    Listener(Handle),
    App(Mount),
}

impl Held {
    pub(crate) fn hub(&self) -> Arc<dyn SocketHub> {
        match self {
            Self::Listener(handle) => handle.hub(),
            Self::App(mount) => mount.hub(),
        }
    }

    pub(crate) fn services(&self) -> &Arc<Services> {
        match self {
            Self::Listener(handle) => handle.services(),
            Self::App(mount) => mount.services(),
        }
    }

    pub(crate) fn is_ready(&self) -> bool {
        match self {
            Self::Listener(handle) => handle.is_ready(),
            Self::App(mount) => mount.is_ready(),
        }
    }

    pub(crate) fn stop(&self) {
        match self {
            Self::Listener(handle) => handle.stop(),
            Self::App(mount) => mount.stop(),
        }
    }
}

/// Runs the service to its end; dropped, it is killed.
pub(crate) type Running = Pin<Box<dyn Future<Output = Result<(), RunError>> + Send>>;

/// The service under the host of this suite. An App has a page of its own at `/hello`.
pub(crate) fn host(builder: Builder, socket: TcpListener) -> (Held, Running) {
    if !MOUNTED {
        let service = builder.workers(2).listen(socket).build().unwrap();
        let held = Held::Listener(service.handle());
        return (held, Box::pin(service.run(std::future::pending())));
    }
    let service = builder.mount().unwrap();
    let (sockets, kernel) = (service.sockets(), service.sockets());
    let held = Held::App(service.sockets());
    let server = HttpServer::new(move || {
        App::new()
            .configure(|cfg| sockets.configure(cfg))
            .configure(|cfg| sockets.health(cfg))
            .route("/hello", web::get().to(async || "hello"))
    })
    .on_connect(move |io, _| kernel.on_connect(io))
    .h1_allow_half_closed(false)
    .client_disconnect_timeout(Duration::ZERO)
    // Longer than a test may do something else.
    .keep_alive(Duration::from_secs(60))
    .disable_signals()
    .workers(2)
    .listen(socket)
    .unwrap()
    .run();
    let running = Box::pin(async move {
        let mut server = server;
        let http = server.handle();
        tokio::select! {
            () = service.run(std::future::pending::<()>()) => {}
            ended = &mut server => return ended.map_err(RunError::Listener),
        }
        let stopped = tokio::join!(http.stop(true), server);
        stopped.1.map_err(RunError::Listener)
    });
    (held, running)
}
