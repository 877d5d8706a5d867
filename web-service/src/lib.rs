//! The web side of Whisk: your pages, their cookie sessions, and the tokens that join a page's
//! sockets to its session.
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use actix_web::{HttpResponse, web};
//! use router_core::{
//!     keys::{Key, KeyRing},
//!     node::{Node, NodeSpec},
//!     ns,
//!     session::{SessionSettings, Sessions, Site, UserId, inc},
//!     backend::memory::MemoryHub,
//! };
//! use web_service::{WebError, WebService, WebSession};
//!
//! fn pages(cfg: &mut web::ServiceConfig) {
//!     cfg.route("/", web::get().to(index));
//! }
//!
//! async fn index(session: WebSession) -> Result<HttpResponse, WebError> {
//!     if let (None, Some(guest)) = (session.user_id().await?, UserId::new("guest")) {
//!         session.login(guest).await?;
//!     }
//!     session.update(inc("visits", 1)).await?;
//!     let sync = session.start_session_sync().await?;
//!     Ok(HttpResponse::Ok().body(format!("<script>const token = '{}'</script>", sync.ws_token)))
//! }
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let backend = MemoryHub::new().backend();
//! let sessions = Sessions::new(backend.records.clone(), Site::main(), SessionSettings::default());
//! let keys = Arc::new(KeyRing::new(Key::random("2026-11")?, None)?);
//! let node = Node::start(NodeSpec::new(ns("web").node(0)), backend).await?;
//!
//! let web = WebService::builder(node, sessions, keys).configure(pages).build()?;
//! let listener = std::net::TcpListener::bind("127.0.0.1:8888")?;
//! web.run(listener, std::future::pending()).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # What it answers by itself
//!
//! | path | what |
//! |---|---|
//! | `/whisk/whisk.js`, `/whisk/whisk.d.ts` | the client library and its types |
//! | `GET /whisk/api/renew_ws_session` | a new token for a page whose token ran out |
//! | `/healthz`, `/readyz` | whether the process runs, and whether messages reach it |
//!
//! # In an app of your own
//!
//! [`WebService::mount`] adds these endpoints to any actix-web `App`, and
//! [`WebService::session_layer`] gives its pages the session. Then you run the server, call
//! [`WebService::announce_stop`] when it begins to stop and [`WebService::stop`] when it has:
//!
//! ```
//! # use actix_web::App;
//! # fn app(web: &web_service::WebService) {
//! let app = App::new().wrap(web.session_layer()).configure(|cfg| web.mount(cfg));
//! # }
//! ```
//!
//! # What protects a page, and what does not
//!
//! Done here: the cookie is signed and bound to site and name, `HttpOnly`, `SameSite=Lax`, with
//! [`Builder::secure`] also `Secure` and named with the prefix `__Host-`, so that no subdomain can
//! plant one. It lives as long as the browser's own session; how long the record behind it lives
//! without a visit is [`SessionSettings::ttl`](router_core::session::SessionSettings::ttl). The
//! session's id changes at login. The renewal answers to its own origin alone, and a
//! response that sets the cookie is not cached.
//!
//! `SameSite=Lax` keeps a foreign page's POST from carrying the cookie, in every browser of today;
//! it does not cover a GET that changes something, nor another site of the same registrable domain.
//! A handler that takes [`SameOrigin`] as an argument is covered there too.
//!
//! Not done here, since only the page knows: `Content-Security-Policy` (its `connect-src` has to
//! name your ws nodes), `X-Frame-Options`, `Strict-Transport-Security` (the proxy's, where TLS
//! ends), escaping of what the page shows, and limits of how often somebody may log in.

mod assets;
mod builder;
mod cookies;
mod errors;
mod health;
mod layer;
mod origin;
mod renew;
mod run;
mod service;
mod session;

pub use builder::{BuildError, Builder};
pub use errors::WebError;
pub use layer::SessionLayer;
pub use origin::{OriginError, SameOrigin};
pub use run::RunError;
pub use service::WebService;
pub use session::{SessionSync, WebSession};
