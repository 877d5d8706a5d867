//! `/healthz` and `/readyz`: the pages that proxies and supervisors ask.

use actix_web::{
    HttpResponse,
    http::{StatusCode, header::CACHE_CONTROL},
    web::{self, ServiceConfig},
};
use router_core::node::{Health, HealthAnswer};

pub(crate) fn mount(cfg: &mut ServiceConfig, health: &Health) {
    let live = || async { response(Health::live()) };
    let health = health.clone();
    let ready = move || {
        let answer = health.ready();
        async move { response(answer) }
    };
    cfg.service(web::resource("/healthz").route(web::get().to(live)).route(web::head().to(live)));
    cfg.service(
        web::resource("/readyz").route(web::get().to(ready.clone())).route(web::head().to(ready)),
    );
}

fn response(answer: HealthAnswer) -> HttpResponse {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
    HttpResponse::build(status)
        .insert_header((CACHE_CONTROL, "no-store"))
        .content_type("application/json")
        .body(answer.body)
}
