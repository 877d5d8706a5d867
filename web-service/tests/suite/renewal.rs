//! `GET /whisk/api/renew_ws_session`, and what its tokens are good for.

use std::sync::Arc;

use awc::http::Method;
use router_core::session::{ConfirmError, Confirmer, Credential};

use crate::rig::{Answer, Browser, System};

const RENEW: &str = "/whisk/api/renew_ws_session";

async fn renew(browser: &mut Browser, headers: &[(&str, &str)]) -> Answer {
    let answer = browser.send(Method::GET, RENEW, headers).await;
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    answer
}

fn confirmer(system: &System) -> Confirmer {
    let tokens = system.hub.backend().tokens;
    Confirmer::new(system.sessions(), tokens, Arc::clone(&system.keys))
}

fn token(answer: &Answer) -> Credential {
    Credential::Token(answer.json()["ws_token"].as_str().unwrap().to_owned())
}

#[actix_web::test]
async fn a_logged_in_page_gets_a_token() {
    let system = System::new();
    let service = system.start(0).await;
    let mut browser = service.browser();
    browser.post("/login/7").await;
    let answer = renew(&mut browser, &[]).await;
    assert_eq!(answer.status, 200);
    let body = answer.json();
    assert_eq!((&body["success"], &body["user_id"]), (&true.into(), &"7".into()));
    assert_eq!(body.as_object().unwrap().len(), 3);
    assert!(confirmer(&system).confirm(&token(&answer)).await.is_ok());
}

#[actix_web::test]
async fn without_a_session_user_there_is_none() {
    let service = System::new().start(0).await;
    let mut visitor = service.browser();
    let answer = renew(&mut visitor, &[]).await;
    assert_eq!((answer.status, answer.error_code()), (401, "no_session".to_owned()));
    assert!(answer.json()["error"]["message"].is_string());

    visitor.post("/count").await;
    assert!(visitor.cookie.is_some());
    assert_eq!(renew(&mut visitor, &[]).await.status, 401);
}

#[actix_web::test]
async fn only_its_own_origin_may_renew() {
    let service = System::new().start(0).await;
    let mut browser = service.browser();
    browser.post("/login/7").await;
    let own = browser.origin();
    let other_port = format!("http://127.0.0.1:{}", service.port ^ 1);
    let https = own.replace("http:", "https:");
    let cases: [(&[(&str, &str)], u16); 12] = [
        (&[], 200),
        (&[("origin", &own)], 200),
        (&[("sec-fetch-site", "same-origin")], 200),
        (&[("origin", &own), ("sec-fetch-site", "same-origin")], 200),
        (&[("origin", &other_port)], 403),
        (&[("origin", &https)], 403),
        (&[("origin", "null")], 403),
        (&[("origin", &own), ("origin", "http://evil.example")], 403),
        (&[("sec-fetch-site", "same-site")], 403),
        (&[("sec-fetch-site", "cross-site")], 403),
        (&[("sec-fetch-site", "none")], 403),
        (&[("origin", &own), ("sec-fetch-site", "cross-site")], 403),
    ];
    for (headers, status) in cases {
        let answer = renew(&mut browser, headers).await;
        assert_eq!(answer.status, status, "{headers:?}");
        if status == 403 {
            assert_eq!(answer.error_code(), "forbidden");
            // A stranger does not even learn whether somebody is logged in.
            assert_eq!(renew(&mut service.browser(), headers).await.status, 403);
        }
    }
}

#[actix_web::test]
async fn an_allow_list_replaces_the_requests_own_host() {
    let list = ["https://shop.example"];
    let service = System::new().start_with(0, |builder| builder.origins(list)).await;
    let mut browser = service.browser();
    browser.post("/login/7").await;
    let own = browser.origin();
    assert_eq!(renew(&mut browser, &[("origin", list[0])]).await.status, 200);
    assert_eq!(renew(&mut browser, &[("origin", &own)]).await.status, 403);
}

#[actix_web::test]
async fn a_store_that_is_away_is_told_as_such() {
    let system = System::new();
    let service = system.start(0).await;
    let mut browser = service.browser();
    browser.post("/login/7").await;
    system.hub.cut(true);
    let answer = renew(&mut browser, &[]).await;
    assert_eq!((answer.status, answer.error_code()), (503, "unavailable".to_owned()));
    assert!(answer.header("retry-after").is_some());
}

#[actix_web::test]
async fn several_tokens_of_one_session_are_open_at_once_and_each_is_good_once() {
    let system = System::new();
    let service = system.start(0).await;
    let mut browser = service.browser();
    let page = browser.post("/login/7").await;
    assert_eq!(page.json()["user_id"], "7");
    let tokens = [
        token(&page),
        token(&renew(&mut browser, &[]).await),
        token(&renew(&mut browser, &[]).await),
    ];
    let confirmer = confirmer(&system);
    for token in tokens.iter().rev() {
        assert_eq!(confirmer.confirm(token).await.unwrap().user_id.as_str(), "7");
        let again = confirmer.confirm(token).await;
        assert!(matches!(again, Err(ConfirmError::Refused)));
    }
}
