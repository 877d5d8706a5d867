//! The service as a server of its own, from its listener to its stop.

use std::{io, net::TcpListener, pin::pin};

use actix_web::{App, HttpServer};
use futures_util::future::join;

use crate::WebService;

/// Why a running service ended without being told to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The listener cannot be used, or the server failed.
    #[error("the web-service's server failed")]
    Server(#[from] io::Error),
    /// The server ended by itself.
    #[error("the web-service's server ended by itself")]
    Ended,
}

impl WebService {
    /// Serves on `listener` until `shutdown`. Then `/readyz` is red at once; after the
    /// [notice](crate::Builder::notice) nothing new is taken, requests in flight finish within the
    /// [window](crate::Builder::window), and the node's address is free.
    ///
    /// Signals are the caller's: `shutdown` is what SIGTERM resolves.
    ///
    /// # Errors
    /// [`RunError`] when the server does not start, or ends by itself.
    pub async fn run(
        self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), RunError> {
        let outcome = self.serve(listener, shutdown).await;
        self.stop().await;
        outcome
    }

    async fn serve(
        &self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), RunError> {
        let service = self.clone();
        let app = move || {
            let layer = service.session_layer();
            App::new().wrap(layer).configure(|cfg| service.mount(cfg))
        };
        let window = self.inner.window;
        // Whole seconds are what the server knows; a part of one counts as one.
        let window = window.as_secs() + u64::from(window.subsec_nanos() > 0);
        let server = HttpServer::new(app)
            .workers(self.inner.workers)
            .client_request_timeout(self.inner.request_timeout)
            .shutdown_timeout(window)
            .disable_signals()
            .listen(listener)?
            .run();
        let handle = server.handle();
        let mut server = pin!(server);
        tokio::select! {
            ended = &mut server => {
                ended?;
                return Err(RunError::Ended);
            }
            () = shutdown => {}
        }
        self.announce_stop();
        if !self.inner.notice.is_zero() {
            // The server goes on by itself; its future only tells its end.
            let notice = tokio::time::timeout(self.inner.notice, &mut server);
            if let Ok(ended) = notice.await {
                ended?;
                return Err(RunError::Ended);
            }
        }
        let ((), ended) = join(handle.stop(true), server).await;
        Ok(ended?)
    }
}
