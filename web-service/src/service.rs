//! The service itself: what pages, endpoints and the running server share.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use actix_web::web::{self, ServiceConfig};
use router_core::{
    Bus,
    channel::Channels,
    node::{Health, Node},
    session::{Authority, Confirmer, SessionDocument, SessionError, SessionId, Sessions, UserId},
};
use tokio::{sync::watch, task::JoinHandle};

use crate::{
    SessionLayer, WebError, assets, builder::Configure, cookies::Cookies, health, origin::Origins,
    renew,
};

/// A web-service. Cheap to clone; all clones are the same service. Made by
/// [`WebService::builder`](crate::Builder); it is run as a server of its own by
/// [`run`](Self::run), or mounted in an app by [`mount`](Self::mount).
#[derive(Clone)]
pub struct WebService {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) confirmer: Confirmer,
    pub(crate) bus: Bus,
    pub(crate) channels: Channels,
    pub(crate) cookies: Cookies,
    pub(crate) origins: Origins,
    pub(crate) health: Health,
    pub(crate) configure: Vec<Configure>,
    pub(crate) workers: usize,
    pub(crate) notice: Duration,
    pub(crate) window: Duration,
    pub(crate) request_timeout: Duration,
    /// Taken by the stop.
    pub(crate) node: Mutex<Option<Node>>,
    /// The observers' task, taken by the stop, which ends it by `observers_stop`.
    pub(crate) observers: Mutex<Option<JoinHandle<()>>>,
    pub(crate) observers_stop: watch::Sender<bool>,
}

impl WebService {
    /// The bus, as this node. Pages extract it as `web::Data<Bus>`.
    pub fn bus(&self) -> &Bus {
        &self.inner.bus
    }

    /// The channels of the site. Pages extract them as `web::Data<Channels>`.
    pub fn channels(&self) -> &Channels {
        &self.inner.channels
    }

    /// The sessions of the site.
    pub fn sessions(&self) -> &Sessions {
        self.inner.confirmer.sessions()
    }

    pub(crate) fn confirmer(&self) -> &Confirmer {
        &self.inner.confirmer
    }

    pub(crate) fn cookies(&self) -> &Cookies {
        &self.inner.cookies
    }

    pub(crate) fn origins(&self) -> &Origins {
        &self.inner.origins
    }

    /// Whether the other is the same service.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }

    /// Adds Whisk's endpoints, what was registered by [`Builder::data`](crate::Builder::data), and
    /// what was given to [`Builder::configure`](crate::Builder::configure). The pages of the app
    /// have their session if the app is wrapped in [`session_layer`](Self::session_layer).
    pub fn mount(&self, cfg: &mut ServiceConfig) {
        cfg.app_data(web::Data::new(self.bus().clone()));
        cfg.app_data(web::Data::new(self.channels().clone()));
        health::mount(cfg, &self.inner.health);
        cfg.service(
            web::scope("/whisk")
                .wrap(self.session_layer())
                .configure(renew::mount)
                .configure(assets::mount),
        );
        for configure in &self.inner.configure {
            configure(cfg);
        }
    }

    /// The middleware that gives pages their [`WebSession`](crate::WebSession).
    pub fn session_layer(&self) -> SessionLayer {
        SessionLayer(self.clone())
    }

    /// Ends a session from outside of its own pages, as an operator who revokes it: its record
    /// goes, and its sockets are sent away on every node. When this returns `Ok`, every live node has
    /// confirmed that it knows.
    ///
    /// # Errors
    /// When the store or the bus is away, or a node does not confirm: the session has ended then, and
    /// some of its sockets may live on. Ending the same session again is harmless.
    pub async fn end_session(&self, sid: &SessionId) -> Result<(), WebError> {
        Ok(self.authority().end(sid).await?)
    }

    /// Ends and changes sessions from outside of their own pages, as an operator does.
    pub fn authority(&self) -> Authority {
        Authority::new(self.sessions().clone(), self.bus().clone())
    }

    /// The session of a user who logs in, given the one that the visitor had before.
    pub(crate) async fn change_hands(
        &self,
        old: Option<SessionId>,
        user: UserId,
    ) -> Result<SessionId, WebError> {
        let sessions = self.sessions();
        let fresh = SessionDocument::new(Some(user.clone()));
        let Some(old) = old else {
            return Ok(sessions.create(&fresh).await?);
        };
        let Some(document) = sessions.load(&old).await? else {
            return Ok(sessions.create(&fresh).await?);
        };
        match &document.user_id {
            Some(former) if *former != user => {
                self.end_session(&old).await?;
                return Ok(sessions.create(&fresh).await?);
            }
            Some(_) | None => {}
        }
        let new = match sessions.rotate(&old, Some(user)).await {
            // It ended in this moment.
            Err(SessionError::NoSession) => sessions.create(&fresh).await?,
            outcome => outcome?,
        };
        if document.user_id.is_some()
            && let Err(error) = self.end_session(&old).await
        {
            // Such a socket belongs to the same user still; its session is found no more.
            tracing::warn!(%error, "sockets of a rotated session were not told");
        }
        Ok(new)
    }

    /// `/readyz` is red from now on. [`run`](Self::run) does it by itself; an app of your own calls
    /// this when it begins to stop.
    pub fn announce_stop(&self) {
        self.inner.health.stop();
    }

    /// Frees the node's address, and ends the observers once they have finished what had arrived,
    /// within the [window](crate::Builder::window). [`run`](Self::run) does it by itself; an app of
    /// your own calls this when its server has stopped.
    pub async fn stop(&self) {
        self.announce_stop();
        let node = self.inner.node.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(node) = node {
            node.stop().await;
        }
        self.inner.observers_stop.send_replace(true);
        let task = self.inner.observers.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut task) = task
            && tokio::time::timeout(self.inner.window, &mut task).await.is_err()
        {
            tracing::warn!("observers did not finish within the window; they are cut off");
            task.abort();
        }
    }
}

impl fmt::Debug for WebService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebService").field("node", self.inner.bus.node()).finish_non_exhaustive()
    }
}
