//! The pages that proxies and operators ask whether the node lives, and whether it is ready.

use std::sync::Arc;

use actix_web::{
    HttpResponse,
    web::{self, ServiceConfig},
};

use crate::shared::Shared;

/// `/healthz` and `/readyz`.
pub(crate) fn configure(cfg: &mut ServiceConfig, shared: &Arc<Shared>) {
    let shared = web::Data::from(Arc::clone(shared));
    cfg.route("/healthz", web::get().to(healthz))
        .service(web::resource("/readyz").app_data(shared).route(web::get().to(readyz)));
}

/// The process lives.
async fn healthz() -> &'static str {
    "ok\n"
}

/// Messages reach this node, and new sockets are welcome.
async fn readyz(shared: web::Data<Shared>) -> HttpResponse {
    let readiness = *shared.readiness.borrow();
    let body = serde_json::json!({
        "ready": shared.is_ready(),
        "lease": readiness.lease,
        "bus": readiness.bus,
        "draining": shared.drain.is_draining(),
    });
    let mut response =
        if shared.is_ready() { HttpResponse::Ok() } else { HttpResponse::ServiceUnavailable() };
    response.json(body)
}
