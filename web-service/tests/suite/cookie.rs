//! The cookie: its flags, and which ones are believed.

use crate::rig::System;

fn attributes(set_cookie: &str) -> Vec<&str> {
    let mut attributes: Vec<&str> = set_cookie.split("; ").skip(1).collect();
    attributes.sort_unstable();
    attributes
}

#[actix_web::test]
async fn a_session_cookie_is_http_only_lax_and_of_the_whole_host() {
    let service = System::new().start(0).await;
    let answer = service.browser().post("/count").await;
    let cookie = answer.header("set-cookie").unwrap();
    assert!(cookie.starts_with("whisk-session=now."), "{cookie}");
    assert_eq!(attributes(cookie), ["HttpOnly", "Path=/", "SameSite=Lax"]);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
}

#[actix_web::test]
async fn behind_tls_it_is_secure_and_of_this_host_alone() {
    let service = System::new().start_with(0, |builder| builder.secure(true)).await;
    let mut browser = service.browser();
    let answer = browser.post("/count").await;
    let cookie = answer.header("set-cookie").unwrap();
    assert!(cookie.starts_with("__Host-whisk-session="), "{cookie}");
    assert_eq!(attributes(cookie), ["HttpOnly", "Path=/", "SameSite=Lax", "Secure"]);
    assert_eq!(browser.post("/count").await.json()["count"], 2);
}

#[actix_web::test]
async fn a_cookie_can_have_another_name() {
    let service = System::new().start_with(0, |builder| builder.cookie_name("shop")).await;
    let answer = service.browser().post("/count").await;
    assert!(answer.header("set-cookie").unwrap().starts_with("shop="));
}

#[actix_web::test]
async fn a_forged_cookie_is_no_session_and_is_cleared() {
    let service = System::new().start(0).await;
    let mut victim = service.browser();
    victim.post("/login/7").await;
    let real = victim.cookie.clone().unwrap();
    let mut swapped = real.clone();
    let last = swapped.pop().unwrap();
    swapped.push(if last == 'A' { 'B' } else { 'A' });

    for forged in ["whisk-session=garbage", "whisk-session=", &swapped, &real[..real.len() - 10]] {
        let mut browser = service.browser();
        browser.cookie = Some(forged.to_owned());
        let answer = browser.get("/who").await;
        assert_eq!((answer.status, &answer.json()["user"]), (200, &serde_json::Value::Null));
        let cleared = answer.header("set-cookie").unwrap();
        assert!(cleared.starts_with("whisk-session=; "), "{cleared}");
        assert_eq!(attributes(cleared), ["HttpOnly", "Max-Age=0", "Path=/", "SameSite=Lax"]);
    }
    assert_eq!(victim.get("/who").await.json()["user"], "7");
}

#[actix_web::test]
async fn a_cookie_of_the_previous_key_is_accepted_and_signed_anew() {
    let system = System::new();
    let before = system.start(0).await;
    let mut browser = before.browser();
    browser.post("/login/7").await;
    let old = browser.cookie.clone();

    let rotated = system.with_next_key("next");
    let after = rotated.start(1).await;
    let mut moved = after.browser();
    moved.cookie = old.clone();
    let answer = moved.get("/who").await;
    assert_eq!(answer.json()["user"], "7");
    assert!(answer.header("set-cookie").unwrap().starts_with("whisk-session=next."));
    assert_eq!(moved.get("/who").await.header("set-cookie"), None);

    // One key later the new cookie is good, and the one that was never shown in between is not.
    let later = rotated.with_next_key("later").start(2).await;
    let mut followed = later.browser();
    followed.cookie = moved.cookie;
    assert_eq!(followed.get("/who").await.json()["user"], "7");
    let mut stayed = later.browser();
    stayed.cookie = old;
    assert!(stayed.get("/who").await.json()["user"].is_null());
}
