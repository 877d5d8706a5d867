//! Reading rosters in parts, while they change and when they are long.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use futures_util::future::join_all;

use super::*;
use crate::presence::PAGE_MAX;

pub async fn a_page_is_in_the_order_of_ids_and_leads_to_the_next(two: Two) {
    let (room, owner) = (Room::new(&two.first).await, owner(0));
    let names = ["b", "a", "C", "a.b", "a-b", "aa", "_", "9", ":", "Z"];
    for (serial, name) in (1..).zip(names) {
        enter(&two.first, &room.channel, &owner, entrance(name, serial)).await;
    }
    let mut sorted: Vec<_> = names.map(client).to_vec();
    sorted.sort();
    let (mut read, mut after) = (Vec::new(), None);
    for expected in [3, 3, 3, 1] {
        let page = page(&two.second, &room.channel, after.as_ref(), 3).await;
        assert_eq!(page.members.len(), expected);
        assert_eq!(page.version, names.len() as u64);
        read.extend(page.members.into_iter().map(|member| member.coming.client));
        after = page.next;
        assert_eq!(after.as_ref(), read.last().filter(|_| expected == 3));
    }
    assert_eq!(read, sorted);
    let whole = page(&two.second, &room.channel, None, names.len()).await;
    assert_eq!((whole.members.len(), whole.next), (names.len(), None));
    // A client need not be there to be read on after.
    let rest = page(&two.second, &room.channel, Some(&client("a_")), 99).await;
    assert_eq!(rest.members[0].coming.client, client("aa"));
}

pub async fn pages_and_the_changes_meanwhile_make_the_whole_roster(two: Two) {
    const CLIENTS: u64 = 60;
    let (room, owner) = (Room::new(&two.first).await, owner(0));
    for at in 0..CLIENTS {
        enter(&two.first, &room.channel, &owner, entrance(&format!("c{at:02}"), at + 1)).await;
    }
    let changes = {
        let (backend, channel, owner) = (two.second.clone(), room.channel.clone(), owner.clone());
        tokio::spawn(async move {
            for at in 0..300_u64 {
                let (name, serial) = (format!("c{:02}", at * 37 % CLIENTS), 1_000 + at);
                match at % 3 {
                    0 => remove(&backend, &channel, &owner, &name, serial).await,
                    1 => lose(&backend, &channel, &owner, &name, serial).await,
                    _ => enter(&backend, &channel, &owner, entrance(&name, serial)).await,
                };
            }
        })
    };
    let (mut pages, mut after) = (Vec::new(), None);
    loop {
        let page = page(&two.first, &room.channel, after.as_ref(), 5).await;
        after = page.next;
        pages.extend(page.members);
        if after.is_none() {
            break;
        }
    }
    changes.await.unwrap();
    let last = page(&two.first, &room.channel, None, 1).await.version;
    let is_last =
        |told: &Vec<PresenceEvent>| told.last().is_some_and(|told| told.member.version == last);
    let told = room.heard.until("the last change", |_| Some(room.told()).filter(is_last)).await;
    // The greatest version of each client counts; `None` where that is its removal.
    let mut merged: BTreeMap<ClientId, (u64, Option<Member>)> = BTreeMap::new();
    let changes = told.into_iter().map(|told| {
        let is_there = told.kind != Kind::Removed;
        (told.member.coming.client.clone(), told.member.version, is_there.then_some(told.member))
    });
    let read = pages
        .into_iter()
        .map(|member| (member.coming.client.clone(), member.version, Some(member)));
    for (client, version, member) in changes.chain(read) {
        let known = merged.entry(client).or_default();
        if version > known.0 {
            *known = (version, member);
        }
    }
    let merged: Vec<_> = merged.into_values().filter_map(|(_, member)| member).collect();
    let seen = |mut members: Vec<Member>| {
        members.iter_mut().for_each(|member| (member.serial, member.last_seen) = (0, 0));
        members
    };
    assert_eq!(seen(merged), seen(roster(&two.second, &room.channel).await));
}

pub async fn counts_are_what_the_roster_holds(two: Two) {
    let (room, mut owners) = (Room::new(&two.first).await, [owner(0), owner(1)]);
    let names = ["aa", "ab", "b", "c", "ca", "d"];
    for at in 0..200_u64 {
        // Some order of the requests that repeats late.
        let pick =
            |many: usize, by: u64| usize::try_from((at * by + at * at / 7) % many as u64).unwrap();
        let (name, which) = (names[pick(names.len(), 5)], pick(2, 3));
        let (owner, other) = (owners[which].clone(), owners[1 - which].clone());
        let backend = if at % 2 == 0 { &two.first } else { &two.second };
        match pick(8, 11) {
            0 => drop(remove(backend, &room.channel, &owner, name, at + 1).await),
            1 | 2 => drop(lose(backend, &room.channel, &owner, name, at + 1).await),
            3 => {
                backend.presence.adopt(&room.channel, &other, &owner, 1, 2).await.unwrap();
                owners[1 - which].incarnation.0 += 1;
            }
            _ => {
                let mut entrance = entrance(name, at + 1);
                if pick(3, 2) == 0 {
                    entrance.coming.user = None;
                }
                enter(backend, &room.channel, &owner, entrance).await;
            }
        }
        let roster = roster(&two.second, &room.channel).await;
        assert_eq!(counts(&two.first, &room.channel).await, counted(&roster), "after {at}");
    }
}

pub async fn a_member_of_a_roster_of_ten_thousand_costs_what_one_of_ten_does(two: Two) {
    const MANY: usize = 10_000;
    let (room, owner) = (Room::new(&two.first).await, owner(0));
    // The middle of the times that a client takes to come, be counted and leave.
    let cost = async |begin: u64| {
        let mut times = Vec::new();
        for serial in (begin..begin + 120).step_by(2) {
            let started = Instant::now();
            enter(&two.second, &room.channel, &owner, entrance("m-once", serial)).await;
            counts(&two.second, &room.channel).await;
            remove(&two.second, &room.channel, &owner, "m-once", serial + 1).await;
            times.push(started.elapsed());
        }
        times.sort();
        times[times.len() / 2]
    };
    let fill = async |from: usize, to: usize| {
        for begin in (from..to).step_by(500) {
            let some = (begin..to.min(begin + 500)).map(|at| {
                enter(&two.first, &room.channel, &owner, entrance(&format!("m{at:05}"), 1))
            });
            join_all(some).await;
        }
    };
    fill(0, 10).await;
    let of_ten = cost(100).await;
    fill(10, MANY).await;
    let of_many = cost(1_000).await;
    assert_eq!(counts(&two.first, &room.channel).await.connected, MANY as u64);
    let whole = page(&two.first, &room.channel, None, usize::MAX).await;
    assert_eq!(whole.members.len(), PAGE_MAX, "no page is longer");
    // Whoever looks at all of them takes a thousand times as long.
    let bound = of_ten * 8 + Duration::from_millis(2);
    assert!(of_many < bound, "{of_ten:?} with ten, {of_many:?} with {MANY}");
}
