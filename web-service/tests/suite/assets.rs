//! The client library's files.

use awc::http::Method;

use crate::rig::System;

const JS: &str = include_str!("../../../client/whisk.js");
const TYPES: &str = include_str!("../../../client/whisk.d.ts");

#[actix_web::test]
async fn the_library_and_its_types_are_served_as_what_they_are() {
    let service = System::new().start(0).await;
    let mut browser = service.browser();
    let files = [
        ("/whisk/whisk.js", "text/javascript; charset=utf-8", JS),
        ("/whisk/whisk.d.ts", "application/typescript; charset=utf-8", TYPES),
    ];
    for (path, content_type, text) in files {
        let answer = browser.get(path).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, Some(content_type)));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("cache-control"), Some("public, no-cache"));
        assert_eq!(answer.header("set-cookie"), None);
        assert!(answer.body == text, "{path}");

        let head = browser.send(Method::HEAD, path, &[]).await;
        assert_eq!((head.status, head.body.len()), (200, 0));
        assert_eq!(browser.post(path).await.status, 405);
    }
}

#[actix_web::test]
async fn a_file_that_the_browser_has_is_not_sent_again() {
    let service = System::new().start(0).await;
    let mut browser = service.browser();
    let tag = browser.get("/whisk/whisk.js").await.header("etag").unwrap().to_owned();
    for known in [tag.as_str(), &format!("\"other\", {tag}"), &format!("W/{tag}"), "*"] {
        let headers = [("if-none-match", known)];
        let answer = browser.send(Method::GET, "/whisk/whisk.js", &headers).await;
        assert_eq!((answer.status, answer.body.len()), (304, 0), "{known}");
        assert_eq!(answer.header("etag"), Some(tag.as_str()));
    }
    let headers = [("if-none-match", "\"other\"")];
    let answer = browser.send(Method::GET, "/whisk/whisk.js", &headers).await;
    assert_eq!(answer.status, 200);
}
