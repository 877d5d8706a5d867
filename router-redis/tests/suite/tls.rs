//! TLS to Redis: a root that is trusted, one that is not, and a name that is not the server's.

use std::sync::Arc;

use router_core::backend::{BackendErrorKind, bus::Subject, conformance::Heard, tokens::TokenKey};
use router_redis::{RedisBackend, RedisConfig};

use crate::server::{Server, config};

async fn asks(config: RedisConfig) -> Result<(), BackendErrorKind> {
    let backend = RedisBackend::connect(config).unwrap();
    let link = backend.bus.open(Arc::new(Heard::default()));
    let subject = Subject::Namespace("ws".parse().unwrap());
    link.subscribe(subject).await.map_err(|error| error.kind())?;
    let key = TokenKey { site: "main".into(), jti: "x".into() };
    backend.tokens.take(&key).await.map(drop).map_err(|error| error.kind())
}

#[tokio::test]
async fn only_a_trusted_server_of_the_right_name_is_talked_to() {
    let names = || vec!["localhost".to_owned()];
    let own = rcgen::generate_simple_self_signed(names()).unwrap();
    let other = rcgen::generate_simple_self_signed(names()).unwrap();
    let server = Server::start_tls(&own.cert.pem(), &own.signing_key.serialize_pem());
    let right = config(&format!("rediss://localhost:{}", server.port));
    assert_eq!(asks(right.clone().roots(own.cert.pem())).await, Ok(()));
    let refused = Err(BackendErrorKind::NotApplied);
    assert_eq!(asks(right.clone().roots(other.cert.pem())).await, refused, "another root");
    assert_eq!(asks(right).await, refused, "the system's roots");
    let misnamed = config(&format!("rediss://127.0.0.1:{}", server.port));
    assert_eq!(asks(misnamed.roots(own.cert.pem())).await, refused, "another name");
    let plain = config(&format!("redis://localhost:{}", server.port));
    assert_eq!(asks(plain).await, refused, "no TLS");
}
