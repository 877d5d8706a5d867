//! What a keeper asks of the store, input by input.

mod random;

use super::{channel::GRACE, *};
use crate::{
    address::{Incarnation, ns},
    backend::presence::Holding,
    presence::{Kind, State},
    session::Site,
};

/// A keeper, and a clock that a test moves.
struct Rig {
    keeper: Keeper,
    now: Millis,
    told: Vec<(Serial, Result<(), EnterError>)>,
}

fn lease(life: u64) -> Lease {
    Lease { node: ns("ws").node(0), incarnation: Incarnation(life) }
}

fn channel() -> ChannelKey {
    ChannelKey::new(&Site::main(), &"exam".parse().unwrap())
}

fn client() -> ClientId {
    "ann".parse().unwrap()
}

fn socket(name: &str) -> Address {
    format!("ws/0/{name}").parse().unwrap()
}

fn coming(name: &str) -> Coming {
    Coming { client: client(), user: None, address: socket(name), profile: Profile::default() }
}

const UNKNOWN: Answer = Answer::Failed { maybe: true };
const REFUSED: Answer = Answer::Failed { maybe: false };
const QUIET: Answer = Answer::Member(Outcome::Quiet);
const NOT_HELD: Answer = Answer::Member(Outcome::NotHeld);

fn told(kind: Kind) -> Answer {
    Answer::Member(Outcome::Told(kind, 1))
}

impl Rig {
    fn new() -> Self {
        let mut rig = Self { keeper: Keeper::default(), now: 1_000_000, told: Vec::new() };
        rig.keeper.lives(Some(&lease(1)), rig.now);
        rig
    }

    /// With `ann` on the roster by the socket `s1`.
    fn with_ann() -> Self {
        let mut rig = Self::new();
        let serial = rig.comes("s1").unwrap();
        rig.answer("note", Answer::Done);
        rig.answer("enter", told(Kind::Connected));
        assert_eq!(rig.told.pop(), Some((serial, Ok(()))));
        rig
    }

    fn comes(&mut self, name: &str) -> Option<Serial> {
        self.keeper.came(&channel(), &Settings::default(), coming(name), self.now)
    }

    fn lost(&mut self, name: &str, last_seen: Millis) {
        self.keeper.lost(&channel(), &client(), &socket(name), last_seen, self.now);
    }

    fn left(&mut self, name: &str) {
        self.keeper.left(&channel(), &client(), &socket(name), self.now);
    }

    fn silent(&mut self, name: &str) {
        let seen = self.now - 10_000;
        self.keeper.silent(&channel(), &client(), &socket(name), seen, self.now);
    }

    fn heard(&mut self, name: &str) {
        self.keeper.heard(&channel(), &client(), &socket(name), self.now);
    }

    fn passes(&mut self, time: Millis) {
        self.now += time;
        while self.keeper.tick(self.now) {}
    }

    /// The calls that the keeper wants made.
    fn calls(&mut self) -> Vec<Call> {
        let mut calls = Vec::new();
        for effect in self.keeper.take_effects() {
            match effect {
                Effect::Call(call) => calls.push(call),
                Effect::Tell(serial, outcome) => self.told.push((serial, outcome)),
                Effect::Noted(..) => {}
            }
        }
        calls
    }

    /// The one call that it wants made.
    fn call(&mut self) -> Call {
        let mut calls = self.calls();
        assert_eq!(calls.len(), 1, "{calls:?}");
        calls.remove(0)
    }

    fn answer_to(&mut self, call: Call, answer: Answer) {
        self.keeper.answered(call, answer, self.now);
        // Whoever is told is told now.
        let calls = self.calls();
        self.keeper.effects.extend(calls.into_iter().map(Effect::Call));
    }

    /// The one call that it wants made is of this kind, and is answered so.
    fn answer(&mut self, kind: &str, answer: Answer) -> Call {
        let call = self.call();
        assert_eq!(kind_of(&call), kind, "{call:?}");
        self.answer_to(call.clone(), answer);
        call
    }

    fn wants_nothing(&mut self) {
        let calls = self.calls();
        assert!(calls.is_empty(), "{calls:?}");
    }
}

fn kind_of(call: &Call) -> &'static str {
    match &call.ask {
        Ask::Note(_) => "note",
        Ask::Forget(_) => "forget",
        Ask::Enter { .. } => "enter",
        Ask::Lose { .. } => "lose",
        Ask::Remove { .. } => "remove",
        Ask::Audit { .. } => "audit",
        Ask::Look(_) => "look",
    }
}

fn entrance(call: &Call) -> &Entrance {
    match &call.ask {
        Ask::Enter { entrance, .. } => entrance,
        other => panic!("no entrance: {other:?}"),
    }
}

#[test]
fn a_socket_is_noted_then_entered_and_its_waiter_told() {
    let mut rig = Rig::new();
    let serial = rig.comes("s1").unwrap();
    rig.answer("note", Answer::Done);
    let call = rig.call();
    assert_eq!((entrance(&call).at, entrance(&call).again), (rig.now, false));
    assert_eq!(rig.told, []);
    rig.answer_to(call, told(Kind::Connected));
    assert_eq!(rig.told, [(serial, Ok(()))]);
    // The same socket once more: it is so already.
    let once_more = rig.comes("s1").unwrap();
    rig.wants_nothing();
    assert_eq!(rig.told, [(serial, Ok(())), (once_more, Ok(()))]);
    assert_eq!(rig.keeper.len(), 1);
}

#[test]
fn a_lost_socket_is_disconnected_and_removed_at_its_thresholds_and_not_before() {
    let mut rig = Rig::with_ann();
    let seen = rig.now - 1_000;
    rig.lost("s1", seen);
    rig.passes(8_999);
    rig.wants_nothing();
    rig.passes(1);
    let call = rig.answer("lose", told(Kind::Disconnected));
    assert!(matches!(call.ask, Ask::Lose { last_seen, .. } if last_seen == seen), "{call:?}");
    rig.passes(49_999);
    rig.wants_nothing();
    rig.passes(1);
    rig.answer("remove", told(Kind::Removed));
    assert_eq!(rig.keeper.len(), 0);
}

#[test]
fn who_comes_back_before_the_threshold_is_moved_and_no_loss_is_asked_for() {
    let mut rig = Rig::with_ann();
    rig.lost("s1", rig.now);
    rig.passes(5_000);
    rig.comes("s2");
    let call = rig.answer("enter", QUIET);
    assert_eq!(entrance(&call).coming.address, socket("s2"));
    // The older socket's loss, told late, is nobody's.
    rig.lost("s1", rig.now);
    rig.left("s1");
    rig.silent("s1");
    rig.passes(100_000);
    rig.wants_nothing();
}

#[test]
fn who_comes_back_after_it_is_entered_again() {
    let mut rig = Rig::with_ann();
    rig.lost("s1", rig.now);
    rig.passes(10_000);
    rig.answer("lose", told(Kind::Disconnected));
    rig.passes(20_000);
    rig.comes("s2");
    rig.answer("enter", told(Kind::Reconnected));
    rig.passes(100_000);
    rig.wants_nothing();
}

#[test]
fn who_leaves_is_removed_at_once() {
    let mut rig = Rig::with_ann();
    rig.left("s1");
    rig.answer("remove", told(Kind::Removed));
    assert_eq!(rig.keeper.len(), 0);
}

#[test]
fn requests_of_a_member_go_one_at_a_time_and_what_is_out_of_date_is_never_made() {
    let mut rig = Rig::new();
    rig.comes("s1");
    rig.answer("note", Answer::Done);
    let first = rig.call();
    rig.left("s1");
    rig.comes("s2");
    rig.lost("s2", rig.now);
    rig.comes("s3");
    rig.wants_nothing();
    rig.answer_to(first, told(Kind::Connected));
    let call = rig.answer("enter", QUIET);
    assert_eq!(entrance(&call).coming.address, socket("s3"));
    rig.wants_nothing();
    let told: Vec<_> = rig.told.iter().map(|(_, outcome)| *outcome).collect();
    assert_eq!(told, [Err(EnterError::NotThere), Err(EnterError::NotThere), Ok(())]);
}

#[test]
fn each_who_waits_is_told_of_what_it_waited_for() {
    let mut rig = Rig::new();
    let first = rig.comes("s1").unwrap();
    rig.answer("note", Answer::Done);
    let entering = rig.call();
    let named = |profile: &mut Profile| profile.label = Some("Ann".try_into().unwrap());
    let now = rig.now;
    let second = rig.keeper.updated(&channel(), &client(), &socket("s1"), named, now).unwrap();
    rig.answer_to(entering, told(Kind::Connected));
    assert_eq!(rig.told, [(first, Ok(()))]);
    rig.answer("enter", REFUSED);
    assert_eq!(rig.told.pop(), Some((second, Err(EnterError::Unavailable))));
    // It is there all the same, and is said again.
    rig.passes(5_000);
    rig.answer("enter", told(Kind::Updated));
    assert_eq!((rig.told.len(), rig.keeper.len()), (1, 1));
}

#[test]
fn an_entrance_that_is_refused_is_told_and_leaves_nothing() {
    let mut rig = Rig::new();
    let serial = rig.comes("s1").unwrap();
    rig.answer("note", Answer::Done);
    rig.answer("enter", REFUSED);
    assert_eq!(rig.told, [(serial, Err(EnterError::Unavailable))]);
    assert_eq!(rig.keeper.len(), 0);
    rig.passes(20_000);
    rig.wants_nothing();
}

#[test]
fn an_entrance_without_an_answer_is_as_one_that_was_lost() {
    let mut rig = Rig::new();
    let serial = rig.comes("s1").unwrap();
    rig.answer("note", Answer::Done);
    rig.answer("enter", UNKNOWN);
    assert_eq!(rig.told, [(serial, Err(EnterError::Unavailable))]);
    rig.wants_nothing();
    rig.passes(10_000);
    rig.answer("lose", NOT_HELD);
    assert_eq!(rig.keeper.len(), 0);
}

#[test]
fn a_note_that_fails_refuses_who_waits_and_the_next_tries_at_once() {
    let mut rig = Rig::new();
    rig.comes("s1");
    rig.answer("note", UNKNOWN);
    assert_eq!(rig.told.pop().unwrap().1, Err(EnterError::Unavailable));
    rig.wants_nothing();
    rig.comes("s2");
    rig.answer("note", Answer::Done);
    rig.answer("enter", told(Kind::Connected));
}

#[test]
fn what_fails_is_tried_again_after_the_sync_interval() {
    let mut rig = Rig::with_ann();
    rig.lost("s1", rig.now);
    rig.passes(10_000);
    for answer in [UNKNOWN, REFUSED] {
        rig.answer("lose", answer);
        rig.passes(4_999);
        rig.wants_nothing();
        rig.passes(1);
    }
    rig.answer("lose", QUIET);
    rig.passes(100_000);
    rig.answer("remove", UNKNOWN);
    rig.passes(5_000);
    rig.answer("remove", NOT_HELD);
    assert_eq!(rig.keeper.len(), 0);
    assert_eq!(rig.keeper.take_tally().retries, 3);
}

#[test]
fn an_update_is_entered_and_one_that_fails_is_tried_again() {
    let mut rig = Rig::with_ann();
    let named = |profile: &mut Profile| profile.label = Some("Ann".try_into().unwrap());
    let (key, client) = (channel(), client());
    let now = rig.now;
    let serial = rig.keeper.updated(&key, &client, &socket("s1"), named, now).unwrap();
    let call = rig.answer("enter", UNKNOWN);
    assert!(entrance(&call).again);
    assert_eq!(rig.told.pop(), Some((serial, Err(EnterError::Unavailable))));
    rig.passes(5_000);
    let call = rig.answer("enter", told(Kind::Updated));
    assert_eq!(entrance(&call).coming.profile.label.as_ref().unwrap().as_str(), "Ann");
    // Nothing new.
    let now = rig.now;
    let once_more = rig.keeper.updated(&key, &client, &socket("s1"), named, now).unwrap();
    rig.wants_nothing();
    assert_eq!(rig.told.pop(), Some((once_more, Ok(()))));
    assert_eq!(rig.keeper.updated(&key, &client, &socket("s2"), named, now), None);
}

#[test]
fn a_silent_socket_that_is_heard_comes_back_even_after_its_removal() {
    let mut rig = Rig::with_ann();
    rig.passes(20_000);
    rig.silent("s1");
    rig.answer("lose", told(Kind::Disconnected));
    rig.heard("s1");
    rig.answer("enter", told(Kind::Reconnected));
    rig.passes(20_000);
    rig.silent("s1");
    rig.answer("lose", told(Kind::Disconnected));
    rig.passes(50_000);
    rig.answer("remove", told(Kind::Removed));
    rig.passes(500_000);
    rig.wants_nothing();
    assert_eq!(rig.keeper.len(), 1, "its socket is there");
    rig.heard("s1");
    let call = rig.answer("enter", told(Kind::Connected));
    assert!(entrance(&call).again);
    rig.silent("s1");
    rig.answer("lose", told(Kind::Disconnected));
    rig.lost("s1", rig.now);
    rig.passes(60_000);
    rig.answer("remove", told(Kind::Removed));
    assert_eq!(rig.keeper.len(), 0);
}

#[test]
fn a_socket_that_another_replaced_elsewhere_is_tried_again_some_time() {
    let mut rig = Rig::with_ann();
    rig.keeper.lives(Some(&lease(2)), rig.now);
    rig.answer("note", Answer::Done);
    let call = rig.answer("enter", NOT_HELD);
    assert!(entrance(&call).again);
    rig.passes(REPLACED - 1);
    rig.wants_nothing();
    rig.passes(1);
    rig.answer("enter", NOT_HELD);
    rig.lost("s1", rig.now);
    assert_eq!(rig.keeper.len(), 0);
    rig.passes(GRACE - 1);
    rig.wants_nothing();
}

#[test]
fn a_new_life_enters_whoever_is_there_and_leaves_the_others_to_who_adopts_them() {
    let mut rig = Rig::with_ann();
    let mut bob = coming("s9");
    bob.client = "bob".parse().unwrap();
    rig.keeper.came(&channel(), &Settings::default(), bob.clone(), rig.now);
    rig.answer("enter", told(Kind::Connected));
    rig.keeper.lost(&channel(), &bob.client, &bob.address, rig.now, rig.now);
    rig.keeper.lives(None, rig.now);
    assert_eq!(rig.comes("s2"), None, "nobody comes without a lease");
    rig.passes(10_000);
    rig.wants_nothing();
    rig.keeper.lives(Some(&lease(2)), rig.now);
    let call = rig.answer("note", Answer::Done);
    assert_eq!(call.owner, lease(2));
    let call = rig.answer("enter", QUIET);
    assert_eq!((call.owner.clone(), entrance(&call).again), (lease(2), true));
    assert_eq!(rig.keeper.len(), 1);
}

#[test]
fn an_answer_to_a_former_life_says_nothing() {
    let mut rig = Rig::with_ann();
    rig.left("s1");
    let late = rig.call();
    rig.keeper.lives(Some(&lease(2)), rig.now);
    rig.comes("s2");
    let note = rig.call();
    rig.answer_to(late, told(Kind::Removed));
    rig.answer_to(note, Answer::Done);
    rig.answer("enter", told(Kind::Connected));
    assert_eq!(rig.keeper.len(), 1);
}

#[test]
fn a_life_that_the_store_says_is_over_asks_nothing_more() {
    let mut rig = Rig::with_ann();
    rig.comes("s2");
    rig.answer("enter", Answer::Fenced);
    assert_eq!(rig.told.pop().unwrap().1, Err(EnterError::Unavailable));
    // Its node does not know yet.
    rig.keeper.lives(Some(&lease(1)), rig.now);
    assert_eq!(rig.comes("s3"), None);
    rig.passes(100_000);
    rig.wants_nothing();
    rig.keeper.lives(Some(&lease(2)), rig.now);
    assert!(rig.comes("s3").is_some());
}

#[test]
fn a_channel_is_forgotten_a_while_after_its_last_member() {
    let mut rig = Rig::with_ann();
    rig.left("s1");
    rig.answer("remove", told(Kind::Removed));
    rig.passes(GRACE - 1);
    rig.wants_nothing();
    rig.comes("s2");
    rig.answer("enter", told(Kind::Connected));
    rig.left("s2");
    rig.answer("remove", told(Kind::Removed));
    rig.passes(GRACE);
    rig.answer("audit", Answer::Held(Vec::new()));
    let forget = rig.call();
    // Somebody comes before it is done: it is noted anew then.
    rig.comes("s3");
    rig.wants_nothing();
    rig.answer_to(forget, Answer::Done);
    rig.answer("note", Answer::Done);
    rig.answer("enter", told(Kind::Connected));
    rig.left("s3");
    rig.answer("remove", told(Kind::Removed));
    rig.passes(GRACE);
    rig.answer("audit", UNKNOWN);
    rig.passes(GRACE);
    rig.answer("audit", Answer::Held(Vec::new()));
    rig.answer("forget", UNKNOWN);
    // Forgotten or not: noted anew, so that what comes late is told from what is so.
    rig.passes(GRACE);
    rig.answer("note", Answer::Done);
    rig.passes(GRACE);
    rig.answer("audit", Answer::Held(Vec::new()));
    rig.answer("forget", Answer::Done);
    assert!(rig.keeper.is_empty());
}

fn holding(name: &str, state: State, serial: Serial) -> Holding {
    Holding { client: name.parse().unwrap(), state, serial }
}

#[test]
fn an_audit_finds_who_is_missing_changed_or_strange() {
    let mut rig = Rig::with_ann();
    let serial = rig.keeper.last;
    rig.keeper.audit();
    rig.answer("audit", Answer::Held(vec![holding("ann", State::Connected, serial)]));
    rig.wants_nothing();
    for wrong in [
        Vec::new(),
        vec![holding("ann", State::Disconnected, serial)],
        vec![holding("ann", State::Connected, serial - 1)],
    ] {
        // Once for what was wrong, and then it is well.
        rig.keeper.audit();
        rig.keeper.audit();
        rig.answer("audit", Answer::Held(wrong));
        rig.answer("enter", QUIET);
        rig.keeper.audit();
        rig.wants_nothing();
    }
    rig.keeper.audit();
    let known = holding("ann", State::Connected, rig.keeper.last);
    rig.answer("audit", Answer::Held(vec![known, holding("bob", State::Connected, 3)]));
    let mut member = Entrance {
        coming: Coming { client: "bob".parse().unwrap(), ..coming("s7") },
        at: rig.now,
        kept: 60_000,
        serial: 3,
        again: false,
    }
    .member(&lease(1));
    let look = rig.call();
    rig.answer_to(look.clone(), Answer::Looked(Some(Box::new(member.clone()))));
    rig.answer("remove", told(Kind::Removed));
    // One that an adoption brought whose answer was lost goes its way.
    member.state = State::Disconnected;
    rig.answer_to(look, Answer::Looked(Some(Box::new(member))));
    rig.passes(59_999);
    rig.wants_nothing();
    rig.passes(1);
    rig.answer("remove", told(Kind::Removed));
    assert_eq!(rig.keeper.take_tally().repairs, 4);
}

#[test]
fn adopted_members_go_on_with_their_times_and_give_way_to_who_is_there() {
    let mut rig = Rig::with_ann();
    let lost = |name: &str, last_seen| {
        let coming = Coming { client: name.parse().unwrap(), ..coming("elsewhere") };
        let kept = 60_000;
        let entrance = Entrance { coming, at: last_seen, kept, serial: 0, again: false };
        Member { state: State::Disconnected, ..entrance.member(&lease(1)) }
    };
    // Of another clock that is ahead, too.
    let members = vec![lost("ann", rig.now), lost("bob", rig.now - 1_000), lost("cy", u64::MAX)];
    rig.keeper.adopted(&lease(1), &channel(), members.clone(), rig.now);
    rig.keeper.adopted(&lease(7), &channel(), members, rig.now);
    assert_eq!((rig.keeper.len(), rig.keeper.take_tally().adopted), (3, 3));
    let call = rig.answer("enter", told(Kind::Reconnected));
    assert_eq!(entrance(&call).coming.address, socket("s1"));
    rig.passes(59_000);
    let call = rig.answer("remove", told(Kind::Removed));
    assert!(matches!(call.ask, Ask::Remove { client, .. } if client.as_str() == "bob"));
    rig.passes(1_000);
    rig.answer("remove", told(Kind::Removed));
}

#[test]
fn a_pinned_channel_is_noted_and_stays_until_all_are_in() {
    let mut rig = Rig::new();
    rig.keeper.pin(&channel());
    rig.answer("note", Answer::Done);
    rig.keeper.pin(&channel());
    rig.keeper.unpin(&channel(), rig.now);
    rig.passes(2 * GRACE);
    rig.wants_nothing();
    rig.keeper.unpin(&channel(), rig.now);
    rig.passes(GRACE);
    rig.answer("audit", Answer::Held(Vec::new()));
    rig.answer("forget", Answer::Done);
    assert!(rig.keeper.is_empty());
}

#[test]
fn ten_thousand_members_at_rest_want_nothing() {
    let mut rig = Rig::with_ann();
    for at in 0..10_000 {
        let coming = Coming { client: format!("c{at}").parse().unwrap(), ..coming("s1") };
        rig.keeper.came(&channel(), &Settings::default(), coming, rig.now);
        rig.answer("enter", told(Kind::Connected));
    }
    for _ in 0..240 {
        rig.passes(250);
    }
    rig.wants_nothing();
    assert_eq!(rig.keeper.timers.len(), 0, "nothing is due");
    // All lost at once: a look does a part of them.
    for at in 0..10_000 {
        let client = format!("c{at}").parse().unwrap();
        rig.keeper.lost(&channel(), &client, &socket("s1"), rig.now, rig.now);
    }
    rig.wants_nothing();
    rig.now += 10_000;
    let mut looks = Vec::new();
    while rig.keeper.tick(rig.now) {
        looks.push(rig.calls().len());
    }
    assert_eq!(looks, [LOOKS; 10]);
}
