//! What a store promises about channels.

use bytes::Bytes;
use bytestring::ByteString;

use super::{Heard, Two, bus::open, fresh_id};
use crate::{
    backend::{Backend, bus::Subject},
    channel::{ChannelKey, Position},
    session::Site,
};

fn channel() -> ChannelKey {
    let name = format!("c-{}", fresh_id());
    ChannelKey::new(&Site::main(), &name.parse().unwrap())
}

/// What was heard on a channel so far: offsets and frames.
fn heard_on(heard: &Heard, subject: &Subject) -> Vec<(Position, Bytes)> {
    let taken_off = |frame| match Position::take_off(frame) {
        Some((Some(position), frame)) => (position, frame),
        other => panic!("no stamped frame: {other:?}"),
    };
    heard.on(subject).into_iter().map(taken_off).collect()
}

async fn publish(backend: &Backend, channel: &ChannelKey, text: impl std::fmt::Display) -> u64 {
    let frame = Bytes::from(text.to_string());
    backend.channels.publish(channel, frame).await.unwrap().position.offset
}

pub async fn offsets_count_up_from_one_for_all_publishers(two: Two) {
    let channel = channel();
    // Who only asks begins nothing.
    let before = two.first.channels.position(&channel).await.unwrap();
    assert_eq!(before, Position::default());
    let begin = two.first.channels.publish(&channel, Bytes::new()).await.unwrap().position;
    assert_eq!((begin.offset, begin.epoch.is_empty()), (1, false));
    for offset in 2..=6 {
        let publisher = if offset % 2 == 0 { &two.first } else { &two.second };
        let stored = publisher.channels.publish(&channel, Bytes::new()).await.unwrap();
        assert_eq!(stored.position, Position { epoch: begin.epoch.clone(), offset });
    }
    let last = Position { epoch: begin.epoch, offset: 6 };
    assert_eq!(two.second.channels.position(&channel).await.unwrap(), last);
}

pub async fn a_published_frame_reaches_every_listener_with_its_position(two: Two) {
    let channel = channel();
    let subject = channel.subject();
    let (listeners, frame) = ([open(&two.first), open(&two.second)], "\n@frame\u{0}");
    for (link, _) in &listeners {
        link.subscribe(subject.clone()).await.unwrap();
    }
    let stored = two.first.channels.publish(&channel, frame.into()).await.unwrap();
    assert_eq!(stored.listeners, 2);
    for (_, heard) in &listeners {
        let one = |heard: &Heard| (!heard.on(&subject).is_empty()).then_some(());
        heard.until("the frame", one).await;
        assert_eq!(heard_on(heard, &subject), [(stored.position.clone(), frame.into())]);
    }
}

pub async fn racing_publishers_frames_are_heard_in_the_order_of_their_offsets(two: Two) {
    const EACH: u64 = 200;
    let channel = channel();
    let subject = channel.subject();
    let (link, heard) = open(&two.first);
    link.subscribe(subject.clone()).await.unwrap();
    let race = |backend: Backend, channel: ChannelKey| {
        tokio::spawn(async move {
            for round in 0..EACH {
                publish(&backend, &channel, round).await;
            }
        })
    };
    let racers = [&two.first, &two.second, &two.first, &two.second];
    let racers = racers.map(|backend| race(backend.clone(), channel.clone()));
    for racer in racers {
        racer.await.unwrap();
    }
    let all = |heard: &Heard| (heard.on(&subject).len() as u64 == 4 * EACH).then_some(());
    heard.until("all frames", all).await;
    let offsets: Vec<u64> = heard_on(&heard, &subject).iter().map(|(at, _)| at.offset).collect();
    assert_eq!(offsets, (1..=4 * EACH).collect::<Vec<_>>());
}

pub async fn what_is_published_after_a_position_was_read_is_heard(two: Two) {
    let channel = channel();
    let subject = channel.subject();
    let publisher = {
        let (backend, channel) = (two.second.clone(), channel.clone());
        tokio::spawn(async move {
            for round in 0..300 {
                publish(&backend, &channel, round).await;
            }
        })
    };
    let (link, heard) = open(&two.first);
    link.subscribe(subject.clone()).await.unwrap();
    let from = two.first.channels.position(&channel).await.unwrap().offset;
    publisher.await.unwrap();
    let last = publish(&two.second, &channel, "last").await;
    let whole = |heard: &Heard| {
        let heard = heard_on(heard, &subject);
        heard.iter().any(|(at, _)| at.offset == last).then_some(heard)
    };
    let heard: Vec<u64> =
        heard.until("the last frame", whole).await.iter().map(|(at, _)| at.offset).collect();
    for offset in from + 1..=last {
        assert!(heard.contains(&offset), "{offset} of {from}..={last} is missing");
    }
}

pub async fn channels_of_sites_and_users_do_not_meet(two: Two) {
    let name = format!("c-{}", fresh_id());
    let other = Site::try_from(ByteString::from("other")).unwrap();
    let keys = [
        ChannelKey::new(&Site::main(), &name.parse().unwrap()),
        ChannelKey::new(&other, &name.parse().unwrap()),
        ChannelKey::of_user(&Site::main(), &crate::session::UserId::new(name).unwrap()),
    ];
    let (link, heard) = open(&two.first);
    for key in &keys {
        link.subscribe(key.subject()).await.unwrap();
    }
    for (round, key) in keys.iter().enumerate() {
        assert_eq!(publish(&two.second, key, round).await, 1);
    }
    for (round, key) in keys.iter().enumerate() {
        let one = |heard: &Heard| (!heard.on(&key.subject()).is_empty()).then_some(());
        heard.until("a frame", one).await;
        assert_eq!(heard_on(&heard, &key.subject())[0].1, round.to_string());
    }
}
