//! The page: a user who is made at the first visit, a node chosen at random, a token.

use actix_web::{
    HttpResponse,
    http::header::{self, ContentType},
    web,
};
use router_core::{id::random_u64, session::UserId};
use serde::Serialize;
use web_service::{SameOrigin, WebError, WebSession};

const PAGE: &str = include_str!("../assets/index.html");
const SCRIPT: &str = include_str!("../assets/hello.js");
const STYLE: &str = include_str!("../assets/hello.css");

/// Where the ws nodes are, as browsers reach them: `ws://host:port`.
#[derive(Debug, Clone)]
pub(crate) struct Nodes(pub(crate) Vec<String>);

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
        .route("/hello.js", web::get().to(|| asset("text/javascript; charset=utf-8", SCRIPT)))
        .route("/hello.css", web::get().to(|| asset("text/css; charset=utf-8", STYLE)));
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
    let settings = Settings {
        user_id: sync.user_id.as_str(),
        ws_token: &sync.ws_token,
        nodes: shuffled(&nodes.0),
    };
    // Inside a script element, only `<` could end it.
    let settings = serde_json::json!(settings).to_string().replace('<', "\\u003c");
    let page = PAGE
        .replace("{{USER_ID}}", &escape(sync.user_id.as_str()))
        .replace("{{SETTINGS}}", &settings);
    // The page may open sockets to the nodes and load nothing that is not its own.
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; \
         connect-src 'self' {}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        nodes.0.join(" ")
    );
    Ok(HttpResponse::Ok()
        .content_type(ContentType::html())
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((header::CONTENT_SECURITY_POLICY, policy))
        .body(page))
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

async fn asset(content_type: &'static str, body: &'static str) -> HttpResponse {
    HttpResponse::Ok()
        .content_type(content_type)
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .body(body)
}

/// The nodes from a random one on.
fn shuffled(nodes: &[String]) -> Vec<&str> {
    let mut nodes: Vec<&str> = nodes.iter().map(String::as_str).collect();
    if !nodes.is_empty() {
        let first = random_u64() % nodes.len() as u64;
        nodes.rotate_left(usize::try_from(first).unwrap_or(0));
    }
    nodes
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_node_comes_first_at_times_and_none_is_lost() {
        let nodes: Vec<String> = (0..3).map(|n| format!("ws://n{n}")).collect();
        let mut first = std::collections::HashSet::new();
        for _ in 0..200 {
            let mut order = shuffled(&nodes);
            first.insert(order[0].to_owned());
            order.sort_unstable();
            assert_eq!(order, ["ws://n0", "ws://n1", "ws://n2"]);
        }
        assert_eq!(first.len(), 3);
        assert!(shuffled(&[]).is_empty());
    }
}
