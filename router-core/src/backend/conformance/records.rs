//! What the store of versioned documents promises.

use bytes::Bytes;

use super::{LONG, SHORT, TERM, Two, fresh_id, outlive};
use crate::backend::{
    Backend,
    records::{RecordKey, RecordKind, WriteError},
};

fn fresh_key() -> RecordKey {
    RecordKey { kind: RecordKind::Session, site: "main".into(), id: fresh_id() }
}

fn text(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

async fn body(backend: &Backend, key: &RecordKey) -> Option<Bytes> {
    backend.records.load(key).await.unwrap().map(|record| record.body)
}

fn is_conflict(written: &Result<u64, WriteError>) -> bool {
    matches!(written, Err(WriteError::Conflict))
}

pub async fn a_record_is_created_once(two: Two) {
    let key = fresh_key();
    assert_eq!(two.first.records.load(&key).await.unwrap(), None);
    let version = two.first.records.write(&key, None, text("one"), LONG).await.unwrap();
    let again = two.second.records.write(&key, None, text("two"), LONG).await;
    assert!(is_conflict(&again), "{again:?}");
    let record = two.second.records.load(&key).await.unwrap().unwrap();
    assert_eq!((record.version, record.body), (version, text("one")));
}

pub async fn a_write_with_a_stale_version_conflicts(two: Two) {
    let key = fresh_key();
    let nothing = two.first.records.write(&key, Some(1), text("zero"), LONG).await;
    assert!(is_conflict(&nothing), "there is no record yet: {nothing:?}");
    let one = two.first.records.write(&key, None, text("one"), LONG).await.unwrap();
    let two_ = two.second.records.write(&key, Some(one), text("two"), LONG).await.unwrap();
    assert!(two_ > one);
    let stale = two.first.records.write(&key, Some(one), text("three"), LONG).await;
    assert!(is_conflict(&stale), "{stale:?}");
    let ahead = two.first.records.write(&key, Some(two_ + 1), text("three"), LONG).await;
    assert!(is_conflict(&ahead), "{ahead:?}");
    assert_eq!(body(&two.first, &key).await, Some(text("two")));
}

pub async fn versions_are_not_reused_after_a_removal(two: Two) {
    let key = fresh_key();
    let old = two.first.records.write(&key, None, text("old"), LONG).await.unwrap();
    two.second.records.remove(&key).await.unwrap();
    let new = two.second.records.write(&key, None, text("new"), LONG).await.unwrap();
    assert_ne!(old, new);
    let stale = two.first.records.write(&key, Some(old), text("stale"), LONG).await;
    assert!(is_conflict(&stale), "{stale:?}");
}

pub async fn a_record_expires(two: Two) {
    let key = fresh_key();
    let version = two.first.records.write(&key, None, text("brief"), SHORT).await.unwrap();
    outlive(&two.first, SHORT).await;
    assert_eq!(body(&two.second, &key).await, None);
    assert!(!two.first.records.touch(&key, LONG).await.unwrap());
    let late = two.first.records.write(&key, Some(version), text("late"), LONG).await;
    assert!(is_conflict(&late), "{late:?}");
}

pub async fn a_touched_record_lives_on(two: Two) {
    let key = fresh_key();
    assert!(!two.first.records.touch(&key, LONG).await.unwrap());
    two.first.records.write(&key, None, text("kept"), TERM).await.unwrap();
    assert!(two.second.records.touch(&key, LONG).await.unwrap());
    outlive(&two.first, TERM).await;
    assert_eq!(body(&two.first, &key).await, Some(text("kept")));
    // And a touch may shorten a life as well.
    assert!(two.first.records.touch(&key, SHORT).await.unwrap());
    outlive(&two.first, SHORT).await;
    assert_eq!(body(&two.second, &key).await, None);
}

pub async fn a_removed_record_is_gone(two: Two) {
    let key = fresh_key();
    assert!(!two.first.records.remove(&key).await.unwrap());
    let version = two.first.records.write(&key, None, text("x"), LONG).await.unwrap();
    assert!(two.second.records.remove(&key).await.unwrap());
    assert_eq!(body(&two.first, &key).await, None);
    let late = two.first.records.write(&key, Some(version), text("y"), LONG).await;
    assert!(is_conflict(&late), "{late:?}");
    assert!(!two.first.records.remove(&key).await.unwrap());
}

pub async fn two_writers_lose_nothing(two: Two) {
    const EACH: u64 = 200;
    let key = fresh_key();
    two.first.records.write(&key, None, text("0"), LONG).await.unwrap();
    let writers = [two.first.clone(), two.second.clone()].map(|backend| {
        let key = key.clone();
        tokio::spawn(async move {
            let mut done = 0;
            while done < EACH {
                let record = backend.records.load(&key).await.unwrap().unwrap();
                let count: u64 = std::str::from_utf8(&record.body).unwrap().parse().unwrap();
                let next = (count + 1).to_string().into();
                match backend.records.write(&key, Some(record.version), next, LONG).await {
                    Ok(_) => done += 1,
                    // Lets the other go first, also where both share one thread.
                    Err(WriteError::Conflict) => tokio::task::yield_now().await,
                    Err(error) => panic!("{error:?}"),
                }
            }
        })
    });
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!(body(&two.first, &key).await, Some((2 * EACH).to_string().into()));
}

pub async fn sites_kinds_and_ids_do_not_meet(two: Two) {
    let id = fresh_id();
    let key = |kind, site: &str, id: String| RecordKey { kind, site: site.into(), id: id.into() };
    let keys = [
        key(RecordKind::Session, "a", format!("b:{id}")),
        key(RecordKind::Resume, "a", format!("b:{id}")),
        key(RecordKind::Session, "a:b", id.to_string()),
        key(RecordKind::Session, "b", format!("b:{id}")),
        key(RecordKind::Session, "", format!("a:b:{id}")),
        key(RecordKind::Session, "a{b}", format!("b:{id}")),
    ];
    for (at, key) in keys.iter().enumerate() {
        let body = at.to_string().into();
        two.first.records.write(key, None, body, LONG).await.unwrap();
    }
    for (at, key) in keys.iter().enumerate() {
        assert_eq!(body(&two.second, key).await, Some(at.to_string().into()), "{key:?}");
    }
}

pub async fn any_bytes_are_kept_as_they_are(two: Two) {
    let every: Bytes = (0..=255).collect();
    for sent in [Bytes::new(), every.clone(), every.repeat(1024).into()] {
        let key = fresh_key();
        two.first.records.write(&key, None, sent.clone(), LONG).await.unwrap();
        assert!(body(&two.second, &key).await == Some(sent), "the body was changed");
    }
}
