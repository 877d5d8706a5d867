//! What the bus promises about publishing and subscribing.

use std::{fmt::Display, sync::Arc};

use bytes::Bytes;

use super::{Heard, Two, fresh_ns};
use crate::backend::{
    Backend,
    bus::{BusLink, Subject},
};

/// A link with a sink that remembers.
pub(super) fn open(backend: &Backend) -> (Arc<dyn BusLink>, Arc<Heard>) {
    let heard = Arc::new(Heard::default());
    (backend.bus.open(heard.clone()), heard)
}

fn text(text: impl Display) -> Bytes {
    format!("{text}").into()
}

pub async fn a_publish_reaches_every_subscriber_its_own_link_included(two: Two) {
    let subject = Subject::Namespace(fresh_ns());
    let links = [open(&two.first), open(&two.first), open(&two.second)];
    for (link, _) in &links {
        link.subscribe(subject.clone()).await.unwrap();
    }
    for (round, (link, _)) in links.iter().enumerate() {
        link.publish(subject.clone(), text(round)).await.unwrap();
    }
    for (_, heard) in &links {
        for round in 0..links.len() {
            heard.hears(&subject, round.to_string().as_bytes()).await;
        }
        assert_eq!(heard.on(&subject).len(), links.len(), "each frame once");
    }
}

pub async fn nothing_arrives_after_unsubscribe(two: Two) {
    let (left, kept) = (fresh_ns().node(0), fresh_ns().node(0));
    let (left, kept) = (Subject::Node(left), Subject::Node(kept));
    let ((leaver, heard), (stayer, witness)) = (open(&two.first), open(&two.second));
    for subject in [&left, &kept] {
        leaver.subscribe(subject.clone()).await.unwrap();
        stayer.subscribe(subject.clone()).await.unwrap();
    }
    stayer.publish(left.clone(), text("before")).await.unwrap();
    heard.hears(&left, b"before").await;
    leaver.unsubscribe(left.clone()).await.unwrap();
    stayer.publish(left.clone(), text("after")).await.unwrap();
    witness.hears(&left, b"after").await;
    stayer.publish(kept.clone(), text("end")).await.unwrap();
    heard.hears(&kept, b"end").await;
    assert_eq!(heard.on(&left), [text("before")]);
}

pub async fn one_publishers_frames_arrive_in_order(two: Two) {
    const FRAMES: usize = 300;
    let subject = Subject::Namespace(fresh_ns());
    let (link, heard) = open(&two.first);
    link.subscribe(subject.clone()).await.unwrap();
    let publish = async |backend: &Backend, name: &str| {
        let (link, _) = open(backend);
        for round in 0..FRAMES {
            link.publish(subject.clone(), text(format!("{name} {round}"))).await.unwrap();
        }
    };
    tokio::join!(publish(&two.first, "a"), publish(&two.second, "b"));
    let all = |heard: &Heard| Some(heard.on(&subject)).filter(|all| all.len() == 2 * FRAMES);
    let all = heard.until("all frames", all).await;
    for name in ["a", "b"] {
        let rounds: Vec<usize> = all
            .iter()
            .filter_map(|frame| std::str::from_utf8(frame).unwrap().strip_prefix(name))
            .map(|round| round.trim().parse().unwrap())
            .collect();
        assert_eq!(rounds, (0..FRAMES).collect::<Vec<_>>(), "frames of {name}");
    }
}

pub async fn a_confirmed_subscription_misses_nothing(two: Two) {
    let ns = fresh_ns();
    let ((listener, heard), (publisher, _)) = (open(&two.first), open(&two.second));
    for round in 0..200 {
        let channel = Subject::Channel(format!("{ns}, {round}").into());
        let subject = if round % 2 == 0 { Subject::Node(ns.node(round)) } else { channel };
        listener.subscribe(subject.clone()).await.unwrap();
        publisher.publish(subject.clone(), text(round)).await.unwrap();
        heard.hears(&subject, round.to_string().as_bytes()).await;
    }
}

pub async fn a_second_subscription_doubles_nothing(two: Two) {
    let subject = Subject::Namespace(fresh_ns());
    let (link, heard) = open(&two.first);
    link.subscribe(subject.clone()).await.unwrap();
    link.subscribe(subject.clone()).await.unwrap();
    link.publish(subject.clone(), text("one")).await.unwrap();
    link.publish(subject.clone(), text("end")).await.unwrap();
    heard.hears(&subject, b"end").await;
    assert_eq!(heard.on(&subject), [text("one"), text("end")]);
}

pub async fn subjects_do_not_meet(two: Two) {
    let ns = fresh_ns();
    let channel = |name: String| Subject::Channel(name.into());
    let subjects = [
        Subject::Namespace(ns.clone()),
        Subject::Node(ns.node(0)),
        Subject::Node(ns.node(1)),
        // Named as the others, and with what a backend may have a meaning for.
        channel(format!("{ns}")),
        channel(format!("{ns}/0")),
        channel(format!("{ns} *?[a]{{}}\n\u{2014}")),
    ];
    let ((listener, heard), (publisher, _)) = (open(&two.first), open(&two.second));
    for subject in &subjects {
        listener.subscribe(subject.clone()).await.unwrap();
    }
    for (round, subject) in subjects.iter().enumerate() {
        publisher.publish(subject.clone(), text(round)).await.unwrap();
    }
    for (round, subject) in subjects.iter().enumerate() {
        heard.hears(subject, round.to_string().as_bytes()).await;
        assert_eq!(heard.on(subject), [text(round)]);
    }
}

pub async fn frames_of_every_size_arrive_whole(two: Two) {
    let subject = Subject::Namespace(fresh_ns());
    let ((listener, heard), (publisher, _)) = (open(&two.first), open(&two.second));
    listener.subscribe(subject.clone()).await.unwrap();
    let sent: Vec<Bytes> = [0, 1, 255, 4096, 1 << 20]
        .into_iter()
        .map(|size| (0..size).map(|at: usize| at.to_le_bytes()[0]).collect())
        .collect();
    for frame in &sent {
        publisher.publish(subject.clone(), frame.clone()).await.unwrap();
    }
    let all = |heard: &Heard| Some(heard.on(&subject)).filter(|all| all.len() == sent.len());
    let all = heard.until("all frames", all).await;
    assert!(all == sent, "frames were changed on their way");
}

pub async fn a_dropped_link_listens_no_longer(two: Two) {
    let subject = Subject::Namespace(fresh_ns());
    let ((dropped, silent), (stayer, witness)) = (open(&two.first), open(&two.second));
    dropped.subscribe(subject.clone()).await.unwrap();
    stayer.subscribe(subject.clone()).await.unwrap();
    drop(dropped);
    stayer.publish(subject.clone(), text("after")).await.unwrap();
    witness.hears(&subject, b"after").await;
    assert!(silent.on(&subject).is_empty());
}

pub async fn a_reconnect_is_announced_and_keeps_the_subscriptions(two: Two) {
    let ns = fresh_ns();
    let subjects = [
        Subject::Namespace(ns.clone()),
        Subject::Node(ns.node(0)),
        Subject::Channel(format!("{ns}").into()),
    ];
    let ((listener, heard), (publisher, _)) = (open(&two.first), open(&two.second));
    for subject in &subjects {
        listener.subscribe(subject.clone()).await.unwrap();
    }
    assert_eq!(heard.resubscriptions(), 0);
    listener.reconnect();
    heard.until("the notice", |heard| (heard.resubscriptions() > 0).then_some(())).await;
    for subject in &subjects {
        publisher.publish(subject.clone(), text("again")).await.unwrap();
        heard.hears(subject, b"again").await;
        assert_eq!(heard.on(subject).len(), 1, "no subscription was doubled");
    }
}
