//! Putting a web-service together.

use std::{
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use actix_web::{
    rt::System,
    web::{self, ServiceConfig},
};
use router_core::{
    Observers,
    handler::{DataMap, Services},
    keys::KeyRing,
    node::{Health, Node},
    observer::ObserverSet,
    route::ConfigureError,
    session::{Confirmer, Sessions},
};
use tokio::sync::watch;

use crate::{OriginError, WebService, cookies::Cookies, origin::Origins, service::Inner};

/// Registers a part of the app, once for each of the server's threads.
pub(crate) type Configure = Arc<dyn Fn(&mut ServiceConfig) + Send + Sync>;

/// What a [`WebService`] is made of.
pub struct Builder {
    node: Node,
    sessions: Sessions,
    keys: Arc<KeyRing>,
    configure: Vec<Configure>,
    observers: Observers,
    data: DataMap,
    origins: Option<Vec<String>>,
    secure: bool,
    cookie_name: String,
    workers: usize,
    notice: Duration,
    window: Duration,
}

/// Why a web-service cannot be put together.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// Observers contradict each other.
    #[error(transparent)]
    Observers(#[from] ConfigureError),
    /// An origin of the allow-list is none.
    #[error(transparent)]
    Origin(#[from] OriginError),
    /// The cookie's name is no token.
    #[error("a cookie's name is 1 to 64 characters of A-Z, a-z, 0-9, '-' and '_'")]
    CookieName,
    /// The node's inbox was taken by someone else: a node serves one service.
    #[error("the node serves another service already")]
    NodeInUse,
    /// Not on a thread of an actix system, on which the observers are to run.
    #[error("a web-service is built inside an actix system; see `actix_web::main`")]
    NoSystem,
}

impl WebService {
    /// Begins a web-service on `node`, with the `sessions` of its site. The current key of `keys`
    /// signs cookies and tokens, the previous one is still believed.
    pub fn builder(node: Node, sessions: Sessions, keys: Arc<KeyRing>) -> Builder {
        Builder {
            node,
            sessions,
            keys,
            configure: Vec::new(),
            observers: Observers::default(),
            data: DataMap::default(),
            origins: None,
            secure: false,
            cookie_name: "whisk-session".to_owned(),
            workers: std::thread::available_parallelism().map_or(1, usize::from),
            notice: Duration::ZERO,
            window: Duration::from_secs(30),
        }
    }
}

impl Builder {
    /// Adds pages. Runs once for each of the server's threads.
    #[must_use]
    pub fn configure(mut self, pages: impl Fn(&mut ServiceConfig) + Send + Sync + 'static) -> Self {
        self.configure.push(Arc::new(pages));
        self
    }

    /// Adds an observer module: what other nodes broadcast, transmit or ask.
    #[must_use]
    pub fn observers(mut self, configure: impl FnOnce(&mut Observers)) -> Self {
        configure(&mut self.observers);
        self
    }

    /// Registers one value that pages extract as `web::Data<T>` and observers as `Data<T>`.
    #[must_use]
    pub fn data<T: Send + Sync + 'static>(mut self, value: T) -> Self {
        let value = Arc::new(value);
        self.data.insert_shared(Arc::clone(&value));
        self.configure(move |cfg| {
            cfg.app_data(web::Data::from(Arc::clone(&value)));
        })
    }

    /// The origins at which browsers see this service, as `https://example.com`: pages of no
    /// others may renew a token, or pass [`SameOrigin`](crate::SameOrigin). Without this, a page
    /// is of the same origin when its origin names the host that the request names; a proxy that
    /// changes `Host` makes the list necessary.
    #[must_use]
    pub fn origins<S: Into<String>>(mut self, origins: impl IntoIterator<Item = S>) -> Self {
        self.origins.get_or_insert_default().extend(origins.into_iter().map(Into::into));
        self
    }

    /// Behind TLS: the cookie is `Secure` and its name begins with `__Host-`. Off by default, since
    /// browsers drop such a cookie over plain HTTP.
    #[must_use]
    pub fn secure(mut self, secure: bool) -> Self {
        self.secure = secure;
        self
    }

    /// Names the cookie; `whisk-session` by default. Several services of one host need several
    /// names, since ports do not keep cookies apart.
    #[must_use]
    pub fn cookie_name(mut self, name: impl Into<String>) -> Self {
        self.cookie_name = name.into();
        self
    }

    /// The server's threads; one for each core by default.
    #[must_use]
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers.max(1);
        self
    }

    /// How long a stopping service still takes requests while `/readyz` is red already, so that a
    /// proxy sees the red before a closed port. 0 by default.
    #[must_use]
    pub fn notice(mut self, notice: Duration) -> Self {
        self.notice = notice;
        self
    }

    /// How long requests in flight, and then observers, may take to finish at a stop. 30 s.
    #[must_use]
    pub fn window(mut self, window: Duration) -> Self {
        self.window = window;
        self
    }

    /// Puts the service together and begins to observe, on this thread.
    ///
    /// # Errors
    /// [`BuildError`] says what contradicts; nothing runs then.
    pub fn build(self) -> Result<WebService, BuildError> {
        if System::try_current().is_none() {
            return Err(BuildError::NoSystem);
        }
        let site = self.sessions.site().clone();
        let cookies = Cookies::new(&self.cookie_name, self.secure, site, &self.keys)
            .map_err(|_| BuildError::CookieName)?;
        let origins = match &self.origins {
            Some(list) => Origins::listed(list)?,
            None => Origins::Own { scheme: if self.secure { "https" } else { "http" } },
        };
        let observers = Arc::new(ObserverSet::new(self.observers)?);
        let inbox = self.node.take_inbox().ok_or(BuildError::NodeInUse)?;
        let services = Services::without_sockets(&self.node, self.sessions.clone(), self.data);
        let channels = services.channels.clone();
        let (observers_stop, mut stopped) = watch::channel(false);
        let stop = async move {
            // The sender is dropped with the service's last handle, which is a stop too.
            let _gone = stopped.wait_for(|stop| *stop).await;
        };
        let task = actix_web::rt::spawn(inbox.observe_until(observers, services, stop));
        let tokens = Arc::clone(&self.node.backend().tokens);
        let inner = Inner {
            confirmer: Confirmer::new(self.sessions, tokens, self.keys),
            bus: self.node.bus().clone(),
            channels,
            cookies,
            origins,
            health: Health::new(self.node.readiness()),
            configure: self.configure,
            workers: self.workers,
            notice: self.notice,
            window: self.window,
            request_timeout: self.node.limits().request_timeout.get().unwrap_or_default(),
            node: Mutex::new(Some(self.node)),
            observers: Mutex::new(Some(task)),
            observers_stop,
        };
        Ok(WebService { inner: Arc::new(inner) })
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("node", self.node.address()).finish_non_exhaustive()
    }
}
