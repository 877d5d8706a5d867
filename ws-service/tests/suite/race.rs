//! A session that ends in the moment in which its socket is confirmed: the word of its end comes
//! before there is a socket to send away.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use router_core::{
    backend::{
        BackendError, BoxFuture,
        records::{Record, RecordKey, RecordKind, RecordStore, WriteError},
    },
    keys::{Key, KeyRing},
    session::{Confirmer, SessionSettings, Sessions, Site},
};

use crate::{
    client::Client,
    support::{Cluster, soon},
};

/// A store in which every session is touched last: by its confirmation, after which it is gone.
#[derive(Debug)]
struct Fleeting(Arc<dyn RecordStore>);

impl RecordStore for Fleeting {
    fn load<'a>(
        &'a self,
        key: &'a RecordKey,
    ) -> BoxFuture<'a, Result<Option<Record>, BackendError>> {
        self.0.load(key)
    }

    fn write<'a>(
        &'a self,
        key: &'a RecordKey,
        expected: Option<u64>,
        body: Bytes,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<u64, WriteError>> {
        self.0.write(key, expected, body, ttl)
    }

    fn touch<'a>(
        &'a self,
        key: &'a RecordKey,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<bool, BackendError>> {
        Box::pin(async move {
            let touched = self.0.touch(key, ttl).await?;
            if key.kind == RecordKind::Session {
                self.0.remove(key).await?;
            }
            Ok(touched)
        })
    }

    fn remove<'a>(&'a self, key: &'a RecordKey) -> BoxFuture<'a, Result<bool, BackendError>> {
        self.0.remove(key)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_ends_while_it_is_confirmed_keeps_no_socket() {
    let mut cluster = Cluster::new();
    let keys = Arc::new(KeyRing::new(Key::random("race").unwrap(), None).unwrap());
    let backend = cluster.hub.backend();
    let confirmer = |records| {
        let sessions = Sessions::new(records, Site::main(), SessionSettings::default());
        Confirmer::new(sessions, Arc::clone(&backend.tokens), Arc::clone(&keys))
    };
    let issuer = confirmer(Arc::clone(&backend.records));
    cluster.confirmer = confirmer(Arc::new(Fleeting(Arc::clone(&backend.records))));
    let server = cluster.serve(1).await;
    let sid = cluster.session("7").await;
    let (token, _) = issuer.issue(&sid).await.unwrap();
    let mut client = Client::open(server.addr()).await;
    client.send(&format!(r#"40{{"ws_token":"{token}"}}"#)).await;
    let ended = soon(client.ended()).await;
    assert!(ended.texts[1].contains("whisk.auth.accept"), "{ended:?}");
    assert_eq!(ended.code, Some(4102));
}
