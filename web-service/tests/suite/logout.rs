//! Logout: the record, the cookie, the open tokens and the sockets all go.

use std::sync::Arc;

use router_core::{
    limits::{Limit, Limits},
    node::{Node, NodeSpec},
    ns,
    session::{ConfirmError, Confirmer, Credential},
};

use crate::rig::System;

#[actix_web::test]
async fn a_logout_ends_the_session_clears_the_cookie_and_tells_the_ws_nodes() {
    let system = System::new();
    let (_node, mut ended) = system.listening_ws_node().await;
    let service = system.start(0).await;
    let mut browser = service.browser();
    let page = browser.post("/login/7").await;
    let cookie = browser.cookie.clone().unwrap();
    let sid = cookie.split('.').nth(1).unwrap().to_owned();

    let answer = browser.post("/logout").await;
    assert_eq!(answer.status, 204);
    assert!(answer.header("set-cookie").unwrap().contains("Max-Age=0"));
    assert_eq!(ended.recv().await, Some(sid));

    // The cookie that the browser had leads nowhere, and neither does the token that was open.
    let mut thief = service.browser();
    thief.cookie = Some(cookie);
    assert!(thief.get("/who").await.json()["user"].is_null());
    let token = Credential::Token(page.json()["ws_token"].as_str().unwrap().to_owned());
    let tokens = system.hub.backend().tokens;
    let confirmer = Confirmer::new(system.sessions(), tokens, Arc::clone(&system.keys));
    assert!(matches!(confirmer.confirm(&token).await, Err(ConfirmError::Refused)));
}

#[actix_web::test]
async fn a_logout_without_a_session_is_none() {
    let service = System::new().start(0).await;
    let answer = service.browser().post("/logout").await;
    assert_eq!((answer.status, answer.header("set-cookie")), (204, None));
}

#[actix_web::test]
async fn a_logout_that_failed_can_be_repeated() {
    let system = System::new();
    let (_node, mut ended) = system.listening_ws_node().await;
    let service = system.start(0).await;
    let mut browser = service.browser();
    browser.post("/login/7").await;
    system.hub.cut(true);
    assert_eq!(browser.post("/logout").await.status, 503);
    assert!(browser.cookie.is_some());
    system.hub.cut(false);
    assert_eq!(browser.post("/logout").await.status, 204);
    assert!(ended.recv().await.is_some());
    assert!(browser.cookie.is_none());
}

#[actix_web::test]
async fn a_logout_is_done_when_every_ws_node_has_confirmed_that_it_knows() {
    let system = System::new();
    let limits = Arc::new(Limits { bus_queue: Limit::At(1), ..Limits::default() });
    let spec = NodeSpec { limits, ..NodeSpec::new(ns("ws").node(5)) };
    // Nobody takes what arrives there, so that a second message finds no place.
    let full = Node::start(spec, system.hub.backend()).await.unwrap();
    full.bus().transmit(&full.address().clone().into(), "some.event", &()).await.unwrap();
    let (_node, mut ended) = system.listening_ws_node().await;
    let service = system.start(0).await;
    let mut browser = service.browser();
    browser.post("/login/7").await;

    assert_eq!(browser.post("/logout").await.status, 503);
    assert!(browser.cookie.is_some());
    // The others are told whatever becomes of one.
    assert!(ended.recv().await.is_some());

    // A node that lives no more has no sockets.
    full.stop().await;
    assert_eq!(browser.post("/logout").await.status, 204);
}
