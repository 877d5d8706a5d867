//! The page: a user who is made at the first visit, a node chosen at random, a token.

use actix_web::{HttpResponse, http::header, web};
use router_core::{id::random_u64, session::UserId};
use serde::Serialize;
use stage::{Nodes, Page, script, style};
use web_service::{SameOrigin, WebError, WebSession};

const PAGE: &str = include_str!("../assets/index.html");
const SCRIPT: &str = include_str!("../assets/hello.js");
const STYLE: &str = include_str!("../assets/hello.css");

/// What the page's script needs.
#[derive(Debug, Serialize)]
struct Settings<'a> {
    user_id: &'a str,
    ws_token: &'a str,
    /// The chosen node first, then the others, for when it is gone.
    nodes: Vec<&'a str>,
}

/// The example's pages.
pub(crate) fn pages(cfg: &mut web::ServiceConfig) {
    cfg.route("/", web::get().to(index))
        .route("/reset", web::get().to(reset))
        .route("/hello.js", web::get().to(|| script(SCRIPT)))
        .route("/hello.css", web::get().to(|| style(STYLE)));
}

async fn index(session: WebSession, nodes: web::Data<Nodes>) -> Result<HttpResponse, WebError> {
    if session.user_id().await?.is_none() {
        // Six digits are easy to read aloud; an application has its own users.
        let number = 100_000 + random_u64() % 900_000;
        if let Some(user_id) = UserId::new(number.to_string()) {
            session.login(user_id).await?;
        }
    }
    let sync = session.start_session_sync().await?;
    let user_id = sync.user_id.as_str();
    let settings = Settings { user_id, ws_token: &sync.ws_token, nodes: nodes.shuffled() };
    let page = Page::new(PAGE).text("USER_ID", user_id).settings(&settings);
    Ok(page.connects_to(&nodes).answer())
}

/// Forgets the user, and begins again as another one.
/// Only the page's own link does it: a foreign page could otherwise log its visitors out.
async fn reset(_: SameOrigin, session: WebSession) -> Result<HttpResponse, WebError> {
    session.logout().await?;
    Ok(HttpResponse::SeeOther()
        .insert_header((header::LOCATION, "/"))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .finish())
}
