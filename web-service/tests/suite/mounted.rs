//! The service inside an actix-web app of the user's own.

use std::net::TcpListener;

use actix_web::{App, HttpServer, web};
use router_core::Observers;
use web_service::{BuildError, WebError, WebService, WebSession};

use crate::rig::{Browser, Gate, System, eventually, pages};

/// A user's own server, with the service in it. `wrapped`: its pages have the session layer.
fn serve(web: &WebService, wrapped: bool) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let web = web.clone();
    let server = if wrapped {
        let app = move || {
            App::new().wrap(web.session_layer()).configure(|cfg| web.mount(cfg)).configure(pages)
        };
        HttpServer::new(app).workers(1).disable_signals().listen(listener).unwrap().run()
    } else {
        let app = move || {
            let page = web::get().to(async |_: WebSession| "never");
            App::new().configure(|cfg| web.mount(cfg)).route("/page", page)
        };
        HttpServer::new(app).workers(1).disable_signals().listen(listener).unwrap().run()
    };
    actix_web::rt::spawn(server);
    port
}

#[actix_web::test]
async fn endpoints_and_sessions_work_in_a_users_own_app() {
    let system = System::new();
    let web = system.builder(0).await.data(Gate::default()).build().unwrap();
    let mut browser = Browser::new(serve(&web, true));
    let page = browser.post("/login/7").await;
    assert!(page.json()["ws_token"].is_string());
    // The layer is there twice, around the app and around Whisk's own scope: one cookie, once.
    assert_eq!(page.headers.get_all("set-cookie").count(), 1);
    assert_eq!(browser.get("/whisk/api/renew_ws_session").await.status, 200);
    assert_eq!(browser.get("/whisk/whisk.js").await.status, 200);
    assert_eq!(browser.get("/healthz").await.status, 200);
}

#[actix_web::test]
async fn readiness_is_red_once_the_app_announces_its_stop() {
    let system = System::new();
    let web = system.builder(0).await.build().unwrap();
    let port = serve(&web, true);
    eventually("/readyz is green", || async {
        Browser::new(port).get("/readyz").await.status == 200
    })
    .await;
    web.announce_stop();
    let answer = Browser::new(port).get("/readyz").await;
    assert_eq!((answer.status, &answer.json()["stopping"]), (503, &true.into()));
    web.stop().await;
    let next = system.builder(0).await;
    assert!(next.build().is_ok());
}

#[actix_web::test]
async fn without_the_layer_whisks_endpoints_work_and_a_page_says_what_is_missing() {
    let system = System::new();
    let web = system.builder(0).await.build().unwrap();
    let mut browser = Browser::new(serve(&web, false));
    assert_eq!(browser.get("/whisk/api/renew_ws_session").await.status, 401);
    let answer = browser.get("/page").await;
    assert_eq!((answer.status, answer.error_code()), (500, "internal".to_owned()));
    assert!(WebError::NoLayer.to_string().contains("session layer"));
}

#[actix_web::test]
async fn what_contradicts_is_refused_at_start() {
    let system = System::new();
    let origin = system.builder(0).await.origins(["shop.example"]).build();
    assert!(matches!(origin, Err(BuildError::Origin(_))));
    let name = system.builder(1).await.cookie_name("a b").build();
    assert!(matches!(name, Err(BuildError::CookieName)));
    let twice = |cfg: &mut Observers| {
        cfg.observer("a").on_ask("b", async || ()).on_ask("b", async || ());
    };
    let observers = system.builder(2).await.observers(twice).build();
    assert!(matches!(observers, Err(BuildError::Observers(_))));
}
