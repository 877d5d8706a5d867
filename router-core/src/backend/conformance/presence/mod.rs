//! What a store promises about rosters.

mod notes;
mod owners;
mod pages;

pub use notes::*;
pub use owners::*;
pub use pages::*;

use std::sync::Arc;

use bytestring::ByteString;

use super::{Heard, Two, bus::open, fresh_id, fresh_ns};
use crate::{
    address::Incarnation,
    backend::{
        Backend,
        bus::BusLink,
        presence::{Outcome, PresenceError},
        registry::Lease,
    },
    channel::ChannelKey,
    presence::{
        ClientId, Coming, Counts, Entrance, Kind, Member, Meta, Page, PresenceEvent, Profile,
        Serial, State,
    },
    session::{Site, UserId},
};

/// A channel, and what is told of its roster.
struct Room {
    channel: ChannelKey,
    heard: Arc<Heard>,
    _link: Arc<dyn BusLink>,
}

impl Room {
    async fn new(backend: &Backend) -> Self {
        let name = format!("p-{}", fresh_id());
        let channel = ChannelKey::new(&Site::main(), &name.parse().unwrap());
        let (link, heard) = open(backend);
        link.subscribe(channel.subject()).await.unwrap();
        Self { channel, heard, _link: link }
    }

    fn told(&self) -> Vec<PresenceEvent> {
        let frames = self.heard.on(&self.channel.subject());
        frames.iter().map(|frame| PresenceEvent::decode(frame).expect("a change")).collect()
    }

    /// The changes that were told, when there are so many.
    async fn hears(&self, count: usize) -> Vec<PresenceEvent> {
        let enough = |_: &Heard| Some(self.told()).filter(|told| told.len() >= count);
        let told = self.heard.until("changes", enough).await;
        assert_eq!(told.len(), count, "each once: {told:?}");
        told
    }

    /// What was told so far: kinds and clients.
    async fn hears_kinds(&self, kinds: &[(Kind, &str)]) {
        let told = self.hears(kinds.len()).await;
        let told: Vec<_> =
            told.iter().map(|told| (told.kind, told.member.coming.client.as_str())).collect();
        assert_eq!(told, kinds);
    }
}

fn owner(nid: u32) -> Lease {
    Lease { node: fresh_ns().node(nid), incarnation: Incarnation(7) }
}

fn client(name: &str) -> ClientId {
    name.parse().unwrap()
}

/// A client of a user of the same first letter, by a socket of the same name.
fn entrance(name: &str, serial: Serial) -> Entrance {
    let coming = Coming {
        client: client(name),
        user: UserId::new(&name[..1]),
        address: format!("ws/0/{name}").parse().unwrap(),
        profile: Profile::default(),
    };
    Entrance { coming, at: 1_000, kept: 60_000, serial, again: false }
}

fn by_socket(mut entrance: Entrance, socket: &str) -> Entrance {
    entrance.coming.address = format!("ws/9/{socket}").parse().unwrap();
    entrance
}

async fn enter(
    backend: &Backend,
    channel: &ChannelKey,
    owner: &Lease,
    entrance: Entrance,
) -> Outcome {
    backend.presence.enter(channel, owner, &entrance).await.unwrap()
}

async fn lose(
    backend: &Backend,
    channel: &ChannelKey,
    owner: &Lease,
    name: &str,
    serial: Serial,
) -> Outcome {
    backend.presence.lose(channel, owner, &client(name), serial, 2_000).await.unwrap()
}

async fn remove(
    backend: &Backend,
    channel: &ChannelKey,
    owner: &Lease,
    name: &str,
    serial: Serial,
) -> Outcome {
    backend.presence.remove(channel, owner, &client(name), serial).await.unwrap()
}

async fn counts(backend: &Backend, channel: &ChannelKey) -> Counts {
    backend.presence.counts(channel).await.unwrap()
}

async fn page(
    backend: &Backend,
    channel: &ChannelKey,
    after: Option<&ClientId>,
    limit: usize,
) -> Page {
    backend.presence.page(channel, after, limit).await.unwrap()
}

/// The whole roster.
async fn roster(backend: &Backend, channel: &ChannelKey) -> Vec<Member> {
    let (mut members, mut after) = (Vec::new(), None);
    loop {
        let page = page(backend, channel, after.as_ref(), 100).await;
        members.extend(page.members);
        after = page.next;
        if after.is_none() {
            return members;
        }
    }
}

/// The counts that a roster should have.
fn counted(roster: &[Member]) -> Counts {
    let connected = roster.iter().filter(|member| member.state == State::Connected).count() as u64;
    let users: std::collections::BTreeSet<_> =
        roster.iter().filter_map(|member| Some(member.coming.user.as_ref()?.as_str())).collect();
    let disconnected = roster.len() as u64 - connected;
    Counts { connected, disconnected, users: users.len() as u64 }
}

pub async fn who_enters_a_roster_is_told_and_counted(two: Two) {
    let (room, owner) = (Room::new(&two.second).await, owner(0));
    let entered = entrance("ann", 1);
    let outcome = enter(&two.first, &room.channel, &owner, entered.clone()).await;
    let told = room.hears(1).await.remove(0);
    assert_eq!(outcome, Outcome::Told(Kind::Connected, told.member.version));
    let expected = Member { version: told.member.version, ..entered.member(&owner) };
    assert_eq!((told.kind, &told.member), (Kind::Connected, &expected));
    let page = page(&two.second, &room.channel, None, 10).await;
    assert_eq!(page.members, std::slice::from_ref(&expected));
    assert_eq!((page.epoch, page.version, page.next), (told.epoch, expected.version, None));
    let member = two.second.presence.member(&room.channel, &client("ann")).await.unwrap();
    assert_eq!(member, Some(expected));
    let one = Counts { connected: 1, disconnected: 0, users: 1 };
    assert_eq!(counts(&two.second, &room.channel).await, one);
}

pub async fn who_enters_twice_is_told_once_unless_something_changed(two: Two) {
    let (room, owner) = (Room::new(&two.second).await, owner(0));
    let (channel, mut again) = (&room.channel, entrance("ann", 1));
    enter(&two.first, channel, &owner, again.clone()).await;
    (again.serial, again.at) = (2, 3_000);
    assert_eq!(enter(&two.second, channel, &owner, again.clone()).await, Outcome::Quiet);
    let member = roster(&two.first, channel).await.remove(0);
    assert_eq!((member.first_seen, member.last_seen, member.serial), (1_000, 3_000, 2));
    again.coming.profile.label = Some("Ann".try_into().unwrap());
    again.coming.user = UserId::new("somebody else");
    again.serial = 3;
    let outcome = enter(&two.second, channel, &owner, again.clone()).await;
    assert!(matches!(outcome, Outcome::Told(Kind::Updated, _)), "{outcome:?}");
    room.hears_kinds(&[(Kind::Connected, "ann"), (Kind::Updated, "ann")]).await;
    let told = room.hears(2).await.remove(1).member;
    assert_eq!((&told.coming, told.first_seen), (&again.coming, 1_000));
    assert_eq!(roster(&two.first, channel).await, [told]);
    assert_eq!(counts(&two.first, channel).await.users, 1);
}

pub async fn who_is_lost_and_comes_back_is_told_once_each(two: Two) {
    let (room, owner) = (Room::new(&two.second).await, owner(0));
    let channel = &room.channel;
    enter(&two.first, channel, &owner, entrance("ann", 1)).await;
    let lost = lose(&two.first, channel, &owner, "ann", 2).await;
    assert!(matches!(lost, Outcome::Told(Kind::Disconnected, _)), "{lost:?}");
    assert_eq!(lose(&two.second, channel, &owner, "ann", 3).await, Outcome::Quiet);
    let away = Counts { connected: 0, disconnected: 1, users: 1 };
    assert_eq!(counts(&two.second, channel).await, away);
    let member = roster(&two.first, channel).await.remove(0);
    assert_eq!((member.state, member.last_seen), (State::Disconnected, 2_000));
    enter(&two.first, channel, &owner, entrance("ann", 4)).await;
    let removed = remove(&two.second, channel, &owner, "ann", 5).await;
    assert!(matches!(removed, Outcome::Told(Kind::Removed, _)), "{removed:?}");
    assert_eq!(remove(&two.first, channel, &owner, "ann", 6).await, Outcome::NotHeld);
    let kinds = [Kind::Connected, Kind::Disconnected, Kind::Reconnected, Kind::Removed];
    room.hears_kinds(&kinds.map(|kind| (kind, "ann"))).await;
}

pub async fn a_removal_leaves_nothing_and_versions_rise_all_the_same(two: Two) {
    let (room, owner) = (Room::new(&two.second).await, owner(0));
    let channel = &room.channel;
    for serial in [1, 3] {
        enter(&two.first, channel, &owner, entrance("ann", serial)).await;
        remove(&two.second, channel, &owner, "ann", serial + 1).await;
        assert_eq!(roster(&two.first, channel).await, []);
        assert_eq!(counts(&two.first, channel).await, Counts::default());
        assert_eq!(two.first.presence.member(channel, &client("ann")).await.unwrap(), None);
        assert_eq!(two.first.presence.held(channel, &owner, None, 9).await.unwrap(), []);
    }
    let told = room.hears(4).await;
    let versions: Vec<_> = told.iter().map(|told| told.member.version).collect();
    assert!(versions.is_sorted_by(|one, next| one < next), "{versions:?}");
    assert!(told.iter().all(|one| one.epoch == told[0].epoch));
}

pub async fn a_roster_that_nobody_is_on_has_its_epoch(two: Two) {
    let room = Room::new(&two.second).await;
    let before = page(&two.first, &room.channel, None, 10).await;
    assert_eq!((before.version, before.members.len(), before.next), (0, 0, None));
    assert_eq!(page(&two.second, &room.channel, None, 10).await.epoch, before.epoch);
    assert_eq!(counts(&two.first, &room.channel).await, Counts::default());
    enter(&two.first, &room.channel, &owner(0), entrance("ann", 1)).await;
    assert_eq!(room.hears(1).await[0].epoch, before.epoch);
    assert!(!before.epoch.is_empty());
}

pub async fn what_is_said_of_a_member_is_kept_as_it_is(two: Two) {
    let (room, owner) = (Room::new(&two.second).await, owner(0));
    let texts = [
        ("plain", "Ann", r#"{"a":1}"#),
        ("li nes\n\u{7f}\"", "a\nb\u{0}\"\\ \u{2028}", "{\n \"list\": [],\n \"n\": 1e400 }\n"),
        ("\u{1F600} user", "", "null"),
    ];
    for (at, (user, label, meta)) in texts.into_iter().enumerate() {
        let mut entrance = entrance(&format!("c{at}"), 1);
        entrance.coming.user = UserId::new(user);
        let label = ByteString::from(label).try_into().unwrap();
        let profile = Profile { label: Some(label), meta: Some(Meta::parse(meta).unwrap()) };
        entrance.coming.profile = profile;
        enter(&two.first, &room.channel, &owner, entrance.clone()).await;
        let told = room.hears(at + 1).await.remove(at).member;
        assert_eq!(told.coming, entrance.coming);
        let member = two.second.presence.member(&room.channel, &told.coming.client).await.unwrap();
        assert_eq!(member, Some(told));
    }
    assert_eq!(counts(&two.second, &room.channel).await.users, 3);
}

pub async fn rosters_of_channels_do_not_meet(two: Two) {
    let (one, other, owner) = (Room::new(&two.first).await, Room::new(&two.first).await, owner(0));
    enter(&two.first, &one.channel, &owner, entrance("ann", 1)).await;
    assert_eq!(remove(&two.first, &other.channel, &owner, "ann", 2).await, Outcome::NotHeld);
    assert_eq!(roster(&two.second, &other.channel).await, []);
    enter(&two.first, &other.channel, &owner, entrance("bob", 3)).await;
    one.hears_kinds(&[(Kind::Connected, "ann")]).await;
    other.hears_kinds(&[(Kind::Connected, "bob")]).await;
    assert_eq!(counts(&two.second, &one.channel).await.connected, 1);
}
