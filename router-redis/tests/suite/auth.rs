//! Users and passwords: used, refused, and never shown.

use router_core::backend::{BackendErrorKind, conformance::fresh_id, tokens::TokenKey};
use router_redis::{ConnectError, RedisBackend};

use crate::server::{Server, config, connect};

const PASSWORD: &str = "correct/horse@battery";

fn key() -> TokenKey {
    TokenKey { site: "main".into(), jti: fresh_id() }
}

#[tokio::test]
async fn a_password_is_used_and_a_wrong_one_is_refused() {
    let server = Server::start_with(&["--requirepass", PASSWORD]);
    let host = format!("127.0.0.1:{}", server.port);
    for url in [
        format!("redis://:correct%2Fhorse%40battery@{host}"),
        format!("redis://default:{PASSWORD}@{host}"),
    ] {
        assert_eq!(connect(&url).tokens.take(&key()).await.unwrap(), None);
    }
    for url in [format!("redis://:wrong-one@{host}"), format!("redis://{host}")] {
        let error = connect(&url).tokens.take(&key()).await.unwrap_err();
        assert_eq!(error.kind(), BackendErrorKind::NotApplied);
        assert!(!format!("{error} {error:?}").contains("wrong-one"));
    }
}

#[tokio::test]
async fn a_password_is_not_shown() {
    let server = Server::start_with(&["--requirepass", PASSWORD]);
    let url = format!("redis://:correct%2Fhorse%40battery@127.0.0.1:{}", server.port);
    let backend = connect(&url);
    backend.tokens.take(&key()).await.unwrap();
    let shown = format!("{backend:?} {:?}", config(&url));
    assert!(shown.contains("***") && !shown.contains("horse"), "{shown}");
}

#[test]
fn outside_a_runtime_no_backend_is_made() {
    let made = RedisBackend::connect(config("redis://127.0.0.1:1"));
    assert_eq!(made.unwrap_err(), ConnectError::NoRuntime);
}

#[tokio::test]
async fn calls_need_some_time() {
    let config = config("redis://127.0.0.1:1").call_timeout(std::time::Duration::ZERO);
    assert_eq!(RedisBackend::connect(config).unwrap_err(), ConnectError::CallTimeout);
}
