//! The hub keeps every backend's promises, and can be cut off.

use std::sync::Arc;

use super::MemoryHub;
use crate::backend::{
    BackendErrorKind,
    bus::{AppendError, Subject},
    conformance::{Heard, LONG, Two, fresh_ns, holder},
    registry::AcquireError,
};

async fn two() -> Two {
    let hub = MemoryHub::new();
    Two { first: hub.backend(), second: hub.backend() }
}

crate::conformance_suite!(two());

#[tokio::test]
async fn a_cut_hub_takes_no_call() {
    let hub = MemoryHub::new();
    let backend = hub.backend();
    let link = backend.bus.open(Arc::new(Heard::default()));
    let node = fresh_ns().node(0);
    backend.registry.acquire(&node, &holder("a"), None, LONG).await.unwrap();
    hub.cut(true);
    let published = link.publish(Subject::Node(node.clone()), "x".into()).await.unwrap_err();
    assert_eq!(published.kind(), BackendErrorKind::NotApplied);
    let appended = link.append(&node, "x".into(), 9).await.unwrap_err();
    assert!(
        matches!(appended, AppendError::Backend(error) if error.kind() == BackendErrorKind::NotApplied)
    );
    let acquired = backend.registry.acquire(&node, &holder("b"), None, LONG).await.unwrap_err();
    assert!(matches!(acquired, AcquireError::Backend(_)));
    hub.cut(false);
    link.append(&node, "x".into(), 9).await.unwrap();
}

#[tokio::test]
async fn a_mended_hub_has_all_subscriptions_and_says_so() {
    let hub = MemoryHub::new();
    let heard = Arc::new(Heard::default());
    let link = hub.backend().bus.open(heard.clone());
    let ns = fresh_ns();
    let (before, meanwhile) = (Subject::Namespace(ns.clone()), Subject::Node(ns.node(0)));
    let left = Subject::Node(ns.node(1));
    link.subscribe(before.clone()).await.unwrap();
    link.subscribe(left.clone()).await.unwrap();
    hub.cut(true);
    let not_yet = link.subscribe(meanwhile.clone()).await.unwrap_err();
    assert_eq!(not_yet.kind(), BackendErrorKind::NotApplied);
    link.unsubscribe(left.clone()).await.unwrap();
    assert_eq!(heard.resubscriptions(), 0);
    hub.cut(false);
    assert_eq!(heard.resubscriptions(), 1);
    for subject in [&before, &meanwhile, &left] {
        link.publish(subject.clone(), "x".into()).await.unwrap();
    }
    assert_eq!((heard.on(&before).len(), heard.on(&meanwhile).len()), (1, 1));
    assert!(heard.on(&left).is_empty());
}

#[tokio::test]
async fn a_dropped_link_leaves_nothing_behind() {
    let hub = MemoryHub::new();
    let link = hub.backend().bus.open(Arc::new(Heard::default()));
    link.subscribe(Subject::Namespace(fresh_ns())).await.unwrap();
    drop(link);
    assert!(hub.lock().bus.is_empty());
}
