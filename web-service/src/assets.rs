//! The client library's files, as they were when this program was built.

use std::sync::LazyLock;

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{CACHE_CONTROL, ETAG, EntityTag, Header, IfNoneMatch, X_CONTENT_TYPE_OPTIONS},
    web::{self, ServiceConfig},
};
use router_core::keys::fingerprint;

struct Asset {
    path: &'static str,
    content_type: &'static str,
    text: &'static str,
    tag: LazyLock<EntityTag>,
}

static ASSETS: [Asset; 2] = [
    Asset {
        path: "/whisk.js",
        content_type: "text/javascript; charset=utf-8",
        text: LIBRARY,
        tag: LazyLock::new(|| EntityTag::new_strong(fingerprint(LIBRARY))),
    },
    Asset {
        path: "/whisk.d.ts",
        content_type: "application/typescript; charset=utf-8",
        text: TYPES,
        tag: LazyLock::new(|| EntityTag::new_strong(fingerprint(TYPES))),
    },
];

const LIBRARY: &str = include_str!("../../client/whisk.js");
const TYPES: &str = include_str!("../../client/whisk.d.ts");

pub(crate) fn mount(cfg: &mut ServiceConfig) {
    for asset in &ASSETS {
        let serve = move |req: HttpRequest| async move { asset.answer(&req) };
        cfg.service(
            web::resource(asset.path).route(web::get().to(serve)).route(web::head().to(serve)),
        );
    }
}

impl Asset {
    fn answer(&self, req: &HttpRequest) -> HttpResponse {
        let known = match IfNoneMatch::parse(req) {
            Ok(IfNoneMatch::Any) => true,
            Ok(IfNoneMatch::Items(tags)) => tags.iter().any(|tag| tag.weak_eq(&self.tag)),
            Err(_) => false,
        };
        let mut response = if known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
        // The address has no version in it, so that each use asks whether the file is the same
        // still: a client and a server of two versions are no pair.
        response
            .insert_header((CACHE_CONTROL, "public, no-cache"))
            .insert_header((ETAG, self.tag.to_string()))
            .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"));
        if known {
            response.finish()
        } else {
            response.content_type(self.content_type).body(self.text)
        }
    }
}
