//! What the bus promises about the streams of nodes.

use std::fmt::Display;

use bytes::Bytes;

use super::{LONG, SHORT, Two, bus::open, fresh_ns, holder, outlive};
use crate::{
    backend::{
        BackendErrorKind,
        bus::{AppendError, Subject},
    },
    envelope::Entry,
};

/// A bound that no test but the one for it reaches.
const MAX: usize = 10_000;

fn text(text: impl Display) -> Bytes {
    format!("{text}").into()
}

fn frames(entries: &[Entry]) -> Vec<Bytes> {
    entries.iter().map(|entry| entry.frame.clone()).collect()
}

fn texts(range: std::ops::Range<usize>) -> Vec<Bytes> {
    range.map(text).collect()
}

pub async fn an_append_without_a_lease_is_refused(two: Two) {
    let (link, _) = open(&two.first);
    let node = fresh_ns().node(1);
    let refused = link.append(&node, text("lost"), MAX).await;
    assert!(matches!(refused, Err(AppendError::NodeGone)), "{refused:?}");
    // Nor was it stored for the life that begins now.
    let lease = two.first.registry.acquire(&node, &holder("a"), None, LONG).await.unwrap();
    assert!(link.take(&lease, None, MAX).await.unwrap().is_empty());
}

pub async fn an_append_after_the_lease_expired_is_refused(two: Two) {
    let (link, _) = open(&two.second);
    let node = fresh_ns().node(1);
    two.first.registry.acquire(&node, &holder("a"), None, SHORT).await.unwrap();
    outlive(&two.first, SHORT).await;
    let refused = link.append(&node, text("x"), MAX).await;
    assert!(matches!(refused, Err(AppendError::NodeGone)), "{refused:?}");
}

pub async fn an_append_after_release_is_refused(two: Two) {
    let (link, _) = open(&two.second);
    let node = fresh_ns().node(1);
    let lease = two.first.registry.acquire(&node, &holder("a"), None, LONG).await.unwrap();
    link.append(&node, text("x"), MAX).await.unwrap();
    two.first.registry.release(&lease).await.unwrap();
    let refused = link.append(&node, text("y"), MAX).await;
    assert!(matches!(refused, Err(AppendError::NodeGone)), "{refused:?}");
}

pub async fn an_append_names_the_life_that_accepted_it(two: Two) {
    let (link, _) = open(&two.second);
    let node = fresh_ns().node(1);
    let lease = two.first.registry.acquire(&node, &holder("a"), None, LONG).await.unwrap();
    assert_eq!(link.append(&node, text("x"), MAX).await.unwrap(), lease.incarnation);
    let entries = link.take(&lease, None, MAX).await.unwrap();
    assert_eq!(entries[0].incarnation, lease.incarnation);
}

pub async fn a_full_stream_refuses_until_entries_are_forgotten(two: Two) {
    let ((sender, _), (owner, _)) = (open(&two.second), open(&two.first));
    let node = fresh_ns().node(1);
    let lease = two.first.registry.acquire(&node, &holder("a"), None, LONG).await.unwrap();
    for round in 0..3 {
        sender.append(&node, text(round), 3).await.unwrap();
    }
    let refused = sender.append(&node, text(3), 3).await;
    assert!(matches!(refused, Err(AppendError::Full)), "{refused:?}");
    let taken = owner.take(&lease, None, 1).await.unwrap();
    assert_eq!(frames(&owner.take(&lease, Some(taken[0].id), MAX).await.unwrap()), texts(1..3));
    sender.append(&node, text(3), 3).await.unwrap();
    assert_eq!(frames(&owner.take(&lease, Some(taken[0].id), MAX).await.unwrap()), texts(1..4));
}

pub async fn entries_come_in_order_and_go_when_they_are_forgotten(two: Two) {
    let ((sender, _), (owner, _)) = (open(&two.second), open(&two.first));
    let node = fresh_ns().node(1);
    let lease = two.first.registry.acquire(&node, &holder("a"), None, LONG).await.unwrap();
    for round in 0..100 {
        sender.append(&node, text(round), MAX).await.unwrap();
    }
    let head = owner.take(&lease, None, 40).await.unwrap();
    assert_eq!(frames(&head), texts(0..40));
    assert!(head.is_sorted_by(|one, next| one.id < next.id));
    let again = owner.take(&lease, None, 1).await.unwrap();
    assert_eq!(frames(&again), texts(0..1), "what was not forgotten comes again");
    let tail = owner.take(&lease, Some(head[39].id), MAX).await.unwrap();
    assert_eq!(frames(&tail), texts(40..100));
    assert!(owner.take(&lease, Some(tail[59].id), MAX).await.unwrap().is_empty());
    assert!(owner.take(&lease, None, MAX).await.unwrap().is_empty());
    // An emptied stream goes on with greater ids.
    sender.append(&node, text("next"), MAX).await.unwrap();
    let next = owner.take(&lease, Some(tail[59].id), MAX).await.unwrap();
    assert_eq!(frames(&next), [text("next")]);
    assert!(next[0].id > tail[59].id);
}

pub async fn entries_outlive_the_link_and_the_life(two: Two) {
    let node = fresh_ns().node(1);
    let (sender, _) = open(&two.second);
    let (link, _) = open(&two.first);
    let old = two.first.registry.acquire(&node, &holder("a"), None, LONG).await.unwrap();
    sender.append(&node, text("old"), MAX).await.unwrap();
    drop(link);
    two.first.registry.release(&old).await.unwrap();
    let new = two.second.registry.acquire(&node, &holder("b"), None, LONG).await.unwrap();
    sender.append(&node, text("new"), MAX).await.unwrap();
    let (link, _) = open(&two.first);
    let entries = link.take(&new, None, MAX).await.unwrap();
    assert_eq!(frames(&entries), [text("old"), text("new")]);
    assert_eq!(entries[0].incarnation, old.incarnation);
    assert_eq!(entries[1].incarnation, new.incarnation);
}

pub async fn a_former_life_takes_and_forgets_nothing(two: Two) {
    let node = fresh_ns().node(1);
    let (link, _) = open(&two.first);
    let old = two.first.registry.acquire(&node, &holder("a"), None, LONG).await.unwrap();
    let new =
        two.second.registry.acquire(&node, &holder("b"), Some(&holder("a")), LONG).await.unwrap();
    link.append(&node, text("for the new"), MAX).await.unwrap();
    let entry = link.take(&new, None, 1).await.unwrap().remove(0);
    let refused = link.take(&old, Some(entry.id), MAX).await.unwrap_err();
    assert_eq!(refused.kind(), BackendErrorKind::NotApplied);
    assert_eq!(link.take(&new, None, MAX).await.unwrap(), [entry]);
}

pub async fn an_append_wakes_the_node(two: Two) {
    let ((sender, _), (owner, heard)) = (open(&two.second), open(&two.first));
    let node = fresh_ns().node(1);
    two.first.registry.acquire(&node, &holder("a"), None, LONG).await.unwrap();
    let subject = Subject::Node(node.clone());
    owner.subscribe(subject.clone()).await.unwrap();
    sender.append(&node, text("x"), MAX).await.unwrap();
    heard.hears(&subject, b"").await;
}

pub async fn appends_of_two_senders_are_all_kept_in_each_ones_order(two: Two) {
    const EACH: usize = 100;
    let node = fresh_ns().node(1);
    let lease = two.first.registry.acquire(&node, &holder("a"), None, LONG).await.unwrap();
    let ((first, _), (second, _)) = (open(&two.first), open(&two.second));
    let append = async |link: &dyn crate::backend::bus::BusLink, name: &str| {
        for round in 0..EACH {
            link.append(&node, text(format!("{name} {round}")), MAX).await.unwrap();
        }
    };
    tokio::join!(append(&*first, "a"), append(&*second, "b"));
    let all = frames(&first.take(&lease, None, MAX).await.unwrap());
    assert_eq!(all.len(), 2 * EACH);
    for name in ["a", "b"] {
        let kept: Vec<_> = all.iter().filter(|frame| frame.starts_with(name.as_bytes())).collect();
        let sent: Vec<_> = (0..EACH).map(|round| text(format!("{name} {round}"))).collect();
        assert!(kept.into_iter().eq(&sent), "entries of {name}");
    }
}

pub async fn streams_of_nodes_do_not_meet(two: Two) {
    let ns = fresh_ns();
    let (link, _) = open(&two.first);
    for nid in 0..3 {
        let lease =
            two.first.registry.acquire(&ns.node(nid), &holder("a"), None, LONG).await.unwrap();
        link.append(&ns.node(nid), text(nid), MAX).await.unwrap();
        assert_eq!(frames(&link.take(&lease, None, MAX).await.unwrap()), [text(nid)]);
    }
}
