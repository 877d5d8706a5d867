//! The notes of who has members where, by which a dead node's are found.

use super::*;
use crate::backend::{
    conformance::{LONG, SHORT, holder, outlive},
    presence::Noted,
};

fn some_channel() -> ChannelKey {
    ChannelKey::new(&Site::main(), &format!("p-{}", fresh_id()).parse().unwrap())
}

async fn noted(backend: &Backend, owner: &Lease) -> Vec<(Serial, ChannelKey)> {
    let (mut all, mut after) = (Vec::new(), 0);
    loop {
        let part = backend.presence.noted(owner, after, 3).await.unwrap();
        let Some(last) = part.last() else { return all };
        after = last.serial;
        assert!(part.len() <= 3);
        all.extend(part.into_iter().map(|Noted { serial, channel }| (serial, channel)));
    }
}

pub async fn notes_are_kept_until_exactly_they_are_taken_back(two: Two) {
    let (owner, other) = (owner(0), owner(1));
    let channels: Vec<_> = (0..8).map(|_| some_channel()).collect();
    for (serial, channel) in (1..).zip(&channels) {
        two.first.presence.note(&owner, channel, serial).await.unwrap();
    }
    two.first.presence.note(&other, &channels[0], 1).await.unwrap();
    let mut expected: Vec<_> = (1..).zip(channels.clone()).collect();
    assert_eq!(noted(&two.second, &owner).await, expected);
    // The same channel noted anew, and then what was meant for the earlier note.
    two.first.presence.note(&owner, &channels[0], 20).await.unwrap();
    two.first.presence.forget(&owner, &channels[0], 1).await.unwrap();
    two.second.presence.forget(&owner, &channels[1], 2).await.unwrap();
    expected.drain(..2);
    expected.push((20, channels[0].clone()));
    assert_eq!(noted(&two.second, &owner).await, expected);
    for (serial, channel) in expected {
        two.first.presence.forget(&owner, &channel, serial).await.unwrap();
    }
    assert_eq!(noted(&two.second, &owner).await, []);
    assert_eq!(noted(&two.second, &other).await.len(), 1);
}

pub async fn whoever_notes_something_is_an_owner_until_it_is_forgotten(two: Two) {
    let owner = owner(0);
    let is_one =
        async |backend: &Backend| backend.presence.owners().await.unwrap().contains(&owner);
    assert!(!is_one(&two.first).await);
    two.first.presence.note(&owner, &some_channel(), 1).await.unwrap();
    two.first.presence.note(&owner, &some_channel(), 2).await.unwrap();
    assert!(is_one(&two.second).await);
    two.second.presence.forget_owner(&owner).await.unwrap();
    assert!(!is_one(&two.first).await);
}

pub async fn a_life_is_sealed_when_its_lease_is_gone_and_notes_nothing_then(two: Two) {
    let node = fresh_ns().node(3);
    let channel = some_channel();
    let life = two.first.registry.acquire(&node, &holder("a"), None, LONG).await.unwrap();
    assert!(!two.second.presence.seal(&life).await.unwrap());
    two.first.presence.note(&life, &channel, 1).await.unwrap();
    two.first.registry.release(&life).await.unwrap();
    let brief = two.second.registry.acquire(&node, &holder("b"), None, SHORT).await.unwrap();
    // Another life of the node does not hold the lease of this one.
    assert!(two.second.presence.seal(&life).await.unwrap());
    let late = two.first.presence.note(&life, &some_channel(), 2).await;
    assert!(matches!(late, Err(PresenceError::Fenced)), "{late:?}");
    assert_eq!(noted(&two.second, &life).await, [(1, channel.clone())]);
    two.first.presence.note(&brief, &channel, 1).await.unwrap();
    outlive(&two.first, SHORT).await;
    assert!(two.second.presence.seal(&brief).await.unwrap());
    // That an earlier life is sealed once more does not lift the seal.
    assert!(two.second.presence.seal(&life).await.unwrap());
    let late = two.first.presence.note(&brief, &channel, 2).await;
    assert!(matches!(late, Err(PresenceError::Fenced)), "{late:?}");
    two.first.presence.forget(&life, &channel, 1).await.unwrap();
    two.first.presence.forget_owner(&life).await.unwrap();
}
