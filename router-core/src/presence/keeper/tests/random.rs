//! Inputs and answers in any order: what holds whatever comes.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

/// One input of any kind, or an answer to some call.
#[derive(Debug, Clone)]
enum Step {
    Comes(u8, u8),
    Lost(u8, u8),
    Left(u8, u8),
    Silent(u8, u8),
    Heard(u8, u8),
    Passes(u16),
    Answer(u8, u8),
    Lives(bool),
    Audit,
}

fn step() -> impl Strategy<Value = Step> {
    let who = || (0..3_u8, 0..3_u8);
    prop_oneof![
        4 => who().prop_map(|(client, socket)| Step::Comes(client, socket)),
        2 => who().prop_map(|(client, socket)| Step::Lost(client, socket)),
        2 => who().prop_map(|(client, socket)| Step::Left(client, socket)),
        1 => who().prop_map(|(client, socket)| Step::Silent(client, socket)),
        1 => who().prop_map(|(client, socket)| Step::Heard(client, socket)),
        2 => any::<u16>().prop_map(Step::Passes),
        9 => (any::<u8>(), any::<u8>()).prop_map(|(which, how)| Step::Answer(which, how)),
        1 => any::<bool>().prop_map(Step::Lives),
        1 => Just(Step::Audit),
    ]
}

/// Some answer to a call, good or bad.
fn some_answer(call: &Call, how: u8) -> Answer {
    match (how % 8, &call.ask) {
        (0, _) => UNKNOWN,
        (1, _) => REFUSED,
        (2, Ask::Note(_) | Ask::Enter { .. }) if how > 200 => Answer::Fenced,
        (_, Ask::Note(_) | Ask::Forget(_)) => Answer::Done,
        (2, Ask::Enter { .. } | Ask::Lose { .. } | Ask::Remove { .. }) => NOT_HELD,
        (_, Ask::Enter { .. } | Ask::Lose { .. } | Ask::Remove { .. }) => QUIET,
        (3, Ask::Audit { .. }) => Answer::Held(vec![holding("0", State::Connected, 1)]),
        (_, Ask::Audit { .. }) => Answer::Held(Vec::new()),
        (_, Ask::Look(_)) => Answer::Looked(None),
    }
}

proptest! {
    #[test]
    fn whatever_comes_one_request_of_a_member_is_under_way_and_in_the_end_nothing_is_left(
        steps in proptest::collection::vec(step(), 1..200),
    ) {
        let mut rig = Rig::new();
        let (mut open, mut life, key): (Vec<Call>, u64, _) = (Vec::new(), 1, channel());
        let named = |client: u8, socket_name: u8| Coming {
            client: client.to_string().parse().unwrap(),
            ..coming(&format!("{client}-{socket_name}"))
        };
        let mut asked = BTreeSet::new();
        for step in steps.into_iter().chain((0..3).flat_map(|client| {
            (0..3).map(move |socket| Step::Lost(client, socket))
        })) {
            let now = rig.now;
            match step {
                Step::Comes(client, socket) => {
                    let came = named(client, socket);
                    asked.extend(rig.keeper.came(&key, &Settings::default(), came, now));
                }
                Step::Lost(client, socket) => {
                    let Coming { client, address, .. } = named(client, socket);
                    rig.keeper.lost(&key, &client, &address, now, now);
                }
                Step::Left(client, socket) => {
                    let Coming { client, address, .. } = named(client, socket);
                    rig.keeper.left(&key, &client, &address, now);
                }
                Step::Silent(client, socket) => {
                    let Coming { client, address, .. } = named(client, socket);
                    rig.keeper.silent(&key, &client, &address, now - 10_000, now);
                }
                Step::Heard(client, socket) => {
                    let Coming { client, address, .. } = named(client, socket);
                    rig.keeper.heard(&key, &client, &address, now);
                }
                Step::Passes(time) => rig.passes(time.into()),
                Step::Answer(which, how) if !open.is_empty() => {
                    let call = open.remove(usize::from(which) % open.len());
                    let answer = some_answer(&call, how);
                    rig.answer_to(call, answer);
                }
                Step::Answer(..) => {}
                Step::Lives(true) => {
                    life += 1;
                    rig.keeper.lives(Some(&lease(life)), now);
                }
                Step::Lives(false) => rig.keeper.lives(None, now),
                Step::Audit => rig.keeper.audit(),
            }
            open.extend(rig.calls());
            let of_life = open.iter().filter(|call| call.owner == lease(life));
            let members: Vec<_> = of_life.filter_map(|call| match &call.ask {
                Ask::Enter { entrance, .. } => Some(entrance.coming.client.clone()),
                Ask::Lose { client, .. } | Ask::Remove { client, .. } => Some(client.clone()),
                _ => None,
            }).collect();
            let distinct: BTreeSet<_> = members.iter().collect();
            prop_assert_eq!(distinct.len(), members.len(), "{:?}", open);
        }
        // The node lives, the store answers, and time passes.
        rig.keeper.lives(Some(&lease(life + 1)), rig.now);
        for _ in 0..100 {
            open.extend(rig.calls());
            for call in std::mem::take(&mut open) {
                let answer = some_answer(&call, 4);
                rig.answer_to(call, answer);
            }
            rig.passes(10_000);
        }
        prop_assert!(rig.keeper.is_empty(), "{:?}", rig.keeper);
        let told: BTreeSet<_> = rig.told.iter().map(|(serial, _)| *serial).collect();
        prop_assert!(asked.is_subset(&told), "{:?} of {:?}", told, asked);
    }
}
