//! The session as pages see it: made when it is needed, rotated at login, whole after a failure.

use serde_json::json;

use crate::rig::System;

#[actix_web::test]
async fn a_visit_that_stores_nothing_makes_no_session() {
    let system = System::new();
    let service = system.start(0).await;
    let mut browser = service.browser();
    for path in ["/plain", "/who"] {
        let answer = browser.get(path).await;
        assert_eq!((answer.status, answer.header("set-cookie")), (200, None), "{path}");
    }
}

#[actix_web::test]
async fn a_stored_value_is_there_at_the_next_visit_and_on_another_node() {
    let system = System::new();
    let (first, second) = (system.start(0).await, system.start(1).await);
    let mut browser = first.browser();
    assert_eq!(browser.post("/count").await.json(), json!({"count": 1}));
    assert_eq!(browser.post("/count").await.header("set-cookie"), None);

    let mut elsewhere = second.browser();
    elsewhere.cookie = browser.cookie;
    assert_eq!(elsewhere.get("/who").await.json(), json!({"user": null, "store": {"count": 2}}));
}

#[actix_web::test]
async fn a_login_changes_the_id_and_keeps_the_visitors_store() {
    let service = System::new().start(0).await;
    let mut browser = service.browser();
    browser.post("/count").await;
    let before = browser.cookie.clone().unwrap();
    browser.post("/login/7").await;
    assert_ne!(browser.cookie.as_ref(), Some(&before));
    assert_eq!(browser.get("/who").await.json(), json!({"user": "7", "store": {"count": 1}}));

    // Whoever planted or saw the former id has nothing of it.
    let mut planted = service.browser();
    planted.cookie = Some(before);
    assert_eq!(planted.get("/who").await.json(), json!({"user": null, "store": {}}));
}

#[actix_web::test]
async fn another_user_does_not_inherit_the_store() {
    let system = System::new();
    let (_node, mut ended) = system.listening_ws_node().await;
    let service = system.start(0).await;
    let mut browser = service.browser();
    browser.post("/login/7").await;
    browser.post("/count").await;
    browser.post("/login/8").await;
    assert_eq!(browser.get("/who").await.json(), json!({"user": "8", "store": {}}));
    assert!(ended.recv().await.is_some());
}

#[actix_web::test]
async fn a_page_that_fails_after_the_login_still_sets_the_cookie() {
    let service = System::new().start(0).await;
    let mut browser = service.browser();
    let answer = browser.post("/login-and-fail").await;
    assert_eq!(answer.status, 418);
    assert_eq!(browser.get("/who").await.json()["user"], "7");
}

#[actix_web::test]
async fn a_session_that_ran_out_is_made_anew() {
    let system = System::new();
    let service = system.start(0).await;
    let mut browser = service.browser();
    browser.post("/count").await;
    let before = browser.cookie.clone().unwrap();
    let sid = before.split('.').nth(1).unwrap().to_owned();
    let sid = router_core::session::SessionId::from_signed(sid);
    assert!(system.sessions().end(&sid).await.unwrap());
    assert_eq!(browser.post("/count").await.json(), json!({"count": 1}));
    assert_ne!(browser.cookie, Some(before));
}

#[actix_web::test]
async fn a_store_that_is_away_is_told_as_such() {
    let system = System::new();
    let service = system.start(0).await;
    let mut browser = service.browser();
    browser.post("/login/7").await;
    system.hub.cut(true);
    for answer in [browser.get("/who").await, browser.post("/logout").await] {
        assert_eq!((answer.status, answer.error_code()), (503, "unavailable".to_owned()));
        assert_eq!(answer.header("set-cookie"), None);
    }
    assert_eq!(browser.get("/plain").await.status, 200);
    system.hub.cut(false);
    assert_eq!(browser.get("/who").await.json()["user"], "7");
}

#[actix_web::test]
async fn a_guarded_page_refuses_foreign_pages() {
    let service = System::new().start(0).await;
    let mut browser = service.browser();
    let own = browser.origin();
    let method = || awc::http::Method::POST;
    let fine = browser.send(method(), "/guarded", &[("origin", &own)]).await;
    assert_eq!(fine.status, 200);
    let foreign = browser.send(method(), "/guarded", &[("origin", "http://evil.example")]).await;
    assert_eq!((foreign.status, foreign.error_code()), (403, "forbidden".to_owned()));
}

#[actix_web::test]
async fn pages_have_the_bus() {
    let service = System::new().start(3).await;
    assert_eq!(service.browser().get("/bus").await.body, "web/3");
}
