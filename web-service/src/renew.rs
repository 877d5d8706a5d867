//! `GET /whisk/api/renew_ws_session`: a new token for a page whose token ran out.
//!
//! The page's cookie is the proof. It is a GET that a browser sends along from anywhere, and its
//! answer is a credential: so it is refused where the browser names a foreign page as the sender,
//! and never cached.

use actix_web::{
    HttpResponse,
    http::header::CACHE_CONTROL,
    web::{self, ServiceConfig},
};
use router_core::session::UserId;
use serde::Serialize;

use crate::{SameOrigin, SessionSync, WebError, WebSession};

pub(crate) fn mount(cfg: &mut ServiceConfig) {
    cfg.route("/api/renew_ws_session", web::get().to(renew));
}

#[derive(Serialize)]
struct Renewed {
    success: bool,
    ws_token: String,
    user_id: UserId,
}

async fn renew(_: SameOrigin, session: WebSession) -> Result<HttpResponse, WebError> {
    let SessionSync { ws_token, user_id } = session.start_session_sync().await?;
    Ok(HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(Renewed {
        success: true,
        ws_token,
        user_id,
    }))
}
