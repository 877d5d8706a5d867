//! A master that a Sentinel knows, and its replica taking over.

use std::sync::Arc;

use router_core::backend::{
    BackendErrorKind,
    bus::Subject,
    conformance::{Heard, LONG, eventually, fresh_ns, holder},
    tokens::TokenKey,
};

use crate::server::{Server, connect};

#[tokio::test]
async fn the_new_master_is_found_after_a_failover() {
    let mut master = Server::start();
    let replica = Server::start_with(&["--replicaof", &format!("127.0.0.1 {}", master.port)]);
    let sentinel = Server::start_sentinel(master.port);
    eventually("the replica to be known", async || {
        let info = master.cli(&["info", "replication"]);
        let known = sentinel.cli(&["sentinel", "replicas", "mymaster"]);
        (info.contains("state=online") && known.contains(&replica.port.to_string())).then_some(())
    })
    .await;
    let backend =
        connect(&format!("redis+sentinel://localhost:1,127.0.0.1:{}/mymaster", sentinel.port));
    let heard = Arc::new(Heard::default());
    let link = backend.bus.open(heard.clone());
    let subject = Subject::Namespace(fresh_ns());
    link.subscribe(subject.clone()).await.unwrap();
    let node = fresh_ns().node(0);
    backend.registry.acquire(&node, &holder("a"), None, LONG).await.unwrap();
    eventually("the replica to have it", async || {
        // `WAIT` would count the writes of its own connection only.
        replica.cli(&["keys", "*:lease"]).contains(&node.to_string()).then_some(())
    })
    .await;
    master.kill();
    eventually("the replica to be the master", async || {
        replica.cli(&["role"]).starts_with("master").then_some(())
    })
    .await;
    eventually("a frame", async || {
        link.publish(subject.clone(), "frame".into()).await.ok()?;
        (!heard.on(&subject).is_empty()).then_some(())
    })
    .await;
    assert!(heard.resubscriptions() > 0);
    link.append(&node, "x".into(), 9).await.unwrap();
}

#[tokio::test]
async fn a_name_that_no_sentinel_knows_is_no_master() {
    let master = Server::start();
    let sentinel = Server::start_sentinel(master.port);
    let backend = connect(&format!("redis+sentinel://127.0.0.1:{}/other", sentinel.port));
    let key = TokenKey { site: "main".into(), jti: "x".into() };
    let error = backend.tokens.take(&key).await.unwrap_err();
    assert_eq!(error.kind(), BackendErrorKind::NotApplied);
}
