//! In whose hands members are: moves, races, and what becomes of a dead owner's.

use super::*;

pub async fn only_its_owner_changes_a_member(two: Two) {
    let (room, one, other) = (Room::new(&two.second).await, owner(0), owner(1));
    let channel = &room.channel;
    enter(&two.first, channel, &one, entrance("ann", 1)).await;
    let later = Lease { incarnation: Incarnation(8), ..one.clone() };
    for stranger in [&other, &later] {
        assert_eq!(lose(&two.second, channel, stranger, "ann", 99).await, Outcome::NotHeld);
        assert_eq!(remove(&two.second, channel, stranger, "ann", 99).await, Outcome::NotHeld);
    }
    assert_eq!(lose(&two.first, channel, &one, "bob", 2).await, Outcome::NotHeld);
    room.hears_kinds(&[(Kind::Connected, "ann")]).await;
}

pub async fn a_client_moves_between_owners_and_nobody_is_told(two: Two) {
    let (room, one, other) = (Room::new(&two.second).await, owner(0), owner(1));
    let channel = &room.channel;
    enter(&two.first, channel, &one, entrance("ann", 7)).await;
    let moved = by_socket(entrance("ann", 1), "new");
    assert_eq!(enter(&two.second, channel, &other, moved.clone()).await, Outcome::Quiet);
    // What becomes of the older socket changes nothing.
    assert_eq!(lose(&two.first, channel, &one, "ann", 8).await, Outcome::NotHeld);
    assert_eq!(remove(&two.first, channel, &one, "ann", 9).await, Outcome::NotHeld);
    let member = roster(&two.first, channel).await.remove(0);
    assert_eq!((member.owner, member.coming.address), (other.clone(), moved.coming.address));
    assert_eq!(two.first.presence.held(channel, &one, None, 9).await.unwrap(), []);
    assert_eq!(two.first.presence.held(channel, &other, None, 9).await.unwrap().len(), 1);
    remove(&two.second, channel, &other, "ann", 2).await;
    room.hears_kinds(&[(Kind::Connected, "ann"), (Kind::Removed, "ann")]).await;
}

pub async fn an_older_request_that_comes_late_changes_nothing(two: Two) {
    let (room, owner) = (Room::new(&two.second).await, owner(0));
    let channel = &room.channel;
    enter(&two.first, channel, &owner, entrance("ann", 5)).await;
    assert_eq!(lose(&two.first, channel, &owner, "ann", 4).await, Outcome::NotHeld);
    assert_eq!(remove(&two.first, channel, &owner, "ann", 3).await, Outcome::NotHeld);
    lose(&two.first, channel, &owner, "ann", 10).await;
    // Of an earlier socket, whose client was lost by a later one.
    let late = by_socket(entrance("ann", 9), "old");
    assert_eq!(enter(&two.second, channel, &owner, late).await, Outcome::NotHeld);
    assert_eq!(lose(&two.first, channel, &owner, "ann", 12).await, Outcome::Quiet);
    assert_eq!(enter(&two.first, channel, &owner, entrance("ann", 11)).await, Outcome::NotHeld);
    room.hears_kinds(&[(Kind::Connected, "ann"), (Kind::Disconnected, "ann")]).await;
    let held = two.second.presence.held(channel, &owner, None, 9).await.unwrap();
    assert_eq!((held[0].state, held[0].serial), (State::Disconnected, 12));
}

pub async fn an_entrance_once_more_takes_nobody_from_a_newer_socket_that_is_there(two: Two) {
    let (room, one, other) = (Room::new(&two.second).await, owner(0), owner(1));
    let channel = &room.channel;
    let once_more = |serial| Entrance { again: true, ..entrance("ann", serial) };
    // Nobody is there, and then its own socket is, in whatever hands.
    enter(&two.first, channel, &one, once_more(1)).await;
    let anew = Lease { incarnation: Incarnation(8), ..one.clone() };
    assert_eq!(enter(&two.first, channel, &anew, once_more(2)).await, Outcome::Quiet);
    let newer = by_socket(entrance("ann", 1), "new");
    enter(&two.second, channel, &other, newer.clone()).await;
    assert_eq!(enter(&two.first, channel, &anew, once_more(3)).await, Outcome::NotHeld);
    let member = roster(&two.first, channel).await.remove(0);
    assert_eq!(member.coming.address, newer.coming.address);
    // A socket that is there counts for more than a newer one that is lost.
    lose(&two.second, channel, &other, "ann", 2).await;
    let back = enter(&two.first, channel, &anew, once_more(4)).await;
    assert!(matches!(back, Outcome::Told(Kind::Reconnected, _)), "{back:?}");
    let kinds = [Kind::Connected, Kind::Disconnected, Kind::Reconnected];
    room.hears_kinds(&kinds.map(|kind| (kind, "ann"))).await;
}

pub async fn of_racing_owners_one_has_the_client_and_each_change_is_told_once(two: Two) {
    const ROUNDS: u64 = 60;
    let room = Room::new(&two.second).await;
    let race = |at: u32, backend: Backend, channel: ChannelKey| {
        tokio::spawn(async move {
            let owner = owner(at);
            let mut told = 0;
            for serial in 1..=ROUNDS {
                let outcome = match (serial + u64::from(at)) % 4 {
                    0 | 1 => {
                        let entrance = by_socket(entrance("ann", serial), &format!("s{at}"));
                        enter(&backend, &channel, &owner, entrance).await
                    }
                    2 => lose(&backend, &channel, &owner, "ann", serial).await,
                    _ => remove(&backend, &channel, &owner, "ann", serial).await,
                };
                told += usize::from(matches!(outcome, Outcome::Told(..)));
            }
            told
        })
    };
    let backends = [&two.first, &two.second, &two.first, &two.second];
    let racers = backends.iter().zip(0..).map(|(backend, at)| {
        let backend: &Backend = backend;
        race(at, backend.clone(), room.channel.clone())
    });
    let mut count = 0;
    for racer in racers.collect::<Vec<_>>() {
        count += racer.await.unwrap();
    }
    let (mut version, mut before) = (0, None);
    for told in room.hears(count).await {
        assert!(told.member.version > version, "{told:?}");
        version = told.member.version;
        before = match (before, told.kind) {
            (None, Kind::Connected)
            | (Some(State::Disconnected), Kind::Reconnected)
            | (Some(State::Connected), Kind::Updated) => Some(State::Connected),
            (Some(State::Connected), Kind::Disconnected) => Some(State::Disconnected),
            (Some(_), Kind::Removed) => None,
            (before, kind) => panic!("{kind:?} is told of one who was {before:?}"),
        };
    }
    let roster = roster(&two.first, &room.channel).await;
    assert_eq!(roster.first().map(|member| member.state), before);
    assert_eq!(counts(&two.second, &room.channel).await, counted(&roster));
}

pub async fn a_dead_owners_members_are_adopted_once_however_many_try(two: Two) {
    const MEMBERS: usize = 40;
    let (room, dead, other) = (Room::new(&two.second).await, owner(0), owner(1));
    let channel = &room.channel;
    for at in 0..MEMBERS {
        enter(&two.first, channel, &dead, entrance(&format!("c{at:02}"), 1)).await;
    }
    lose(&two.first, channel, &dead, "c00", 2).await;
    enter(&two.first, channel, &other, entrance("ann", 1)).await;
    let before = room.hears(MEMBERS + 2).await.len();
    let adopt = |at: u32, backend: Backend, dead: Lease, channel: ChannelKey| {
        tokio::spawn(async move {
            let (owner, mut members) = (owner(at), Vec::new());
            loop {
                let adopted = backend.presence.adopt(&channel, &dead, &owner, 1_500, 7).await;
                let adopted = adopted.unwrap();
                assert!(adopted.members.len() <= 7);
                assert!(adopted.members.iter().all(|member| member.owner == owner));
                members.extend(adopted.members);
                if !adopted.more {
                    return members;
                }
            }
        })
    };
    let racers = [&two.first, &two.second, &two.first]
        .map(|backend| adopt(2, backend.clone(), dead.clone(), channel.clone()));
    let mut adopted = Vec::new();
    for racer in racers {
        adopted.extend(racer.await.unwrap());
    }
    adopted.sort_by(|one, next| one.coming.client.cmp(&next.coming.client));
    let mut roster = roster(&two.second, channel).await;
    let stayed = roster.remove(0);
    assert_eq!((stayed.coming.client, stayed.state), (client("ann"), State::Connected));
    assert_eq!(adopted, roster);
    assert_eq!(roster.len(), MEMBERS);
    assert!(roster.iter().all(|member| member.state == State::Disconnected));
    // As last seen as the adopter says, or later; who was lost before was told so before.
    let seen = |at: usize| (roster[at].last_seen, roster[at].serial);
    assert_eq!((seen(0), seen(1)), ((2_000, 0), (1_500, 0)));
    let told = room.hears(before + MEMBERS - 1).await.split_off(before);
    assert!(told.iter().all(|told| told.kind == Kind::Disconnected));
    let expected = Counts { connected: 1, disconnected: MEMBERS as u64, users: 2 };
    assert_eq!(counts(&two.second, channel).await, expected);
    assert_eq!(two.first.presence.held(channel, &dead, None, 99).await.unwrap(), []);
}

pub async fn a_life_that_was_adopted_from_enters_nobody(two: Two) {
    let (room, dead, heir) = (Room::new(&two.second).await, owner(0), owner(1));
    let channel = &room.channel;
    let adopted = two.first.presence.adopt(channel, &dead, &heir, 1, 10).await.unwrap();
    assert_eq!((adopted.members.len(), adopted.more), (0, false));
    let former = Lease { incarnation: Incarnation(6), ..dead.clone() };
    for late in [&dead, &former] {
        let entered = two.second.presence.enter(channel, late, &entrance("ann", 1)).await;
        assert!(matches!(entered, Err(PresenceError::Fenced)), "{entered:?}");
        let adopts = two.second.presence.adopt(channel, &heir, late, 1, 10).await;
        assert!(matches!(adopts, Err(PresenceError::Fenced)), "{adopts:?}");
    }
    // An earlier life that is adopted from later does not lift the fence, and a new one is free.
    two.first.presence.adopt(channel, &former, &heir, 1, 10).await.unwrap();
    let entered = two.second.presence.enter(channel, &dead, &entrance("ann", 1)).await;
    assert!(matches!(entered, Err(PresenceError::Fenced)), "{entered:?}");
    let anew = Lease { incarnation: Incarnation(8), ..dead };
    enter(&two.first, channel, &anew, entrance("ann", 1)).await;
    room.hears_kinds(&[(Kind::Connected, "ann")]).await;
}

pub async fn whom_an_owner_holds_is_listed_in_parts(two: Two) {
    let (room, one, other) = (Room::new(&two.first).await, owner(0), owner(1));
    // An owner whose name begins as another's.
    let longer = Lease { incarnation: Incarnation(77), ..one.clone() };
    let channel = &room.channel;
    for (at, by) in [&one, &other, &longer].iter().cycle().take(30).enumerate() {
        enter(&two.first, channel, by, entrance(&format!("c{at:02}"), at as u64 + 1)).await;
    }
    lose(&two.first, channel, &one, "c03", 50).await;
    for by in [&one, &other, &longer] {
        let (mut held, mut after) = (Vec::new(), None);
        loop {
            let part = two.second.presence.held(channel, by, after.as_ref(), 4).await.unwrap();
            held.extend(part.iter().map(|held| (held.client.clone(), held.state, held.serial)));
            after = part.last().map(|held| held.client.clone());
            if part.len() < 4 {
                break;
            }
        }
        let roster = roster(&two.second, channel).await.into_iter();
        let own = roster.filter(|member| member.owner == *by);
        let expected: Vec<_> =
            own.map(|member| (member.coming.client, member.state, member.serial)).collect();
        assert_eq!((held.len(), held), (10, expected));
    }
}
