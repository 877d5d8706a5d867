//! What comes after the confirmation: sockets that join later, and idle talk.

use router_core::backend::{BackendError, BackendErrorKind};

use super::*;

fn ended() -> Input {
    Input::LookedAgain(Err(ConfirmError::Refused))
}

#[test]
fn a_session_that_ended_while_no_socket_had_it_admits_nobody() {
    let mut script = Script::confirmed();
    script.text("40/open,");
    script.text("41");
    assert_eq!(script.text("40/b,"), ["look again 7", "set Confirm 5s"]);
    assert_eq!(
        script.input(ended()),
        [&format!("> 44/b,{REFUSED}"), "not confirmed: session_refused"]
    );
    // A new credential is asked for, as on a new connection.
    let out = script.text("40/b,");
    assert!(out[1].contains("whisk.auth.request"), "{out:?}");
}

#[test]
fn who_has_no_other_socket_is_sent_away_for_good() {
    let mut script = Script::confirmed();
    script.text("41");
    script.text("40/b,");
    assert_eq!(script.input(ended()).last().unwrap(), "close 4101");
}

#[test]
fn a_store_that_cannot_be_asked_costs_one_try() {
    let mut script = Script::confirmed();
    script.text("40/b,");
    let away = BackendError::new(BackendErrorKind::NotApplied);
    let out = script.input(Input::LookedAgain(Err(away.into())));
    assert!(out[0].starts_with("> 44/b,") && out[0].contains("unavailable"), "{out:?}");
    assert_eq!(script.text("40/b,"), ["look again 7"]);
}

#[test]
fn a_roster_has_its_sockets_pinged_sooner_and_never_later() {
    let pace = |seconds| Input::Pace(Some(Duration::from_secs(seconds)));
    let mut script = Script::confirmed();
    assert_eq!(script.input(pace(2)), ["hasten Heartbeat 2s"]);
    assert_eq!(script.input(Input::Timer(Timer::Heartbeat)), ["> 2", "set Heartbeat 20s"]);
    // While an answer is missing, nothing is to be sooner.
    assert!(script.input(pace(1)).is_empty());
    assert!(script.input(Input::Ping).is_empty());
    assert_eq!(script.text("3"), ["set Heartbeat 1s"]);
    assert_eq!(script.input(Input::Ping), ["> 2", "set Heartbeat 20s"]);
    script.text("3");
    assert_eq!(script.input(pace(90)), ["hasten Heartbeat 25s"]);
    assert_eq!(script.input(Input::Pace(None)), ["hasten Heartbeat 25s"]);
    script.input(Input::Timer(Timer::Heartbeat));
    assert_eq!(script.text("3"), ["set Heartbeat 25s"]);
}

#[test]
fn a_clients_secret_that_is_none_is_refused() {
    let mut script = Script::new(&Limits::default());
    let refused = script.text(r#"40/open,{"whisk_client":"short"}"#);
    assert!(refused[0].contains("bad_client"), "{refused:?}");
}

#[test]
fn what_was_shown_since_is_judged_by_itself() {
    let mut script = Script::confirmed();
    script.text("40/open,");
    script.text("40/b,");
    // The word of the end comes before the answer, and the client shows something new.
    script.input(Input::Disconnect { key: 0, reason: DisconnectReason::SessionEnded(None) });
    assert_eq!(script.text(r#"40{"ws_token":"y"}"#), [r#"confirm token "y""#]);
    assert!(script.input(ended()).is_empty());
    assert!(script.input(good()).contains(&"admit 3 / t4 7".to_owned()));
}

#[test]
fn idle_talk_is_bounded() {
    let limits = Limits { frames_per_second: Limit::At(1), ..Limits::default() };
    for talk in ["3", "6", "43/b,1[]", "41/b,"] {
        let mut script = Script::new(&limits);
        script.text("40/open,");
        for _ in 0..4 {
            let out = script.text(talk);
            assert!(!out.iter().any(|effect| effect.starts_with("close")), "{talk}: {out:?}");
        }
        let out = script.text(talk);
        assert!(out.contains(&"limit frames_per_second".to_owned()), "{talk}: {out:?}");
        assert_eq!(out.last().unwrap(), "close 4029", "{talk}");
    }
}

#[test]
fn events_and_answers_to_ours_are_no_idle_talk() {
    let limits = Limits { frames_per_second: Limit::At(1), ..Limits::default() };
    let mut script = Script::new(&limits);
    script.text("40/open,");
    for _ in 0..20 {
        assert_eq!(script.text(r#"42/open,["a"]"#), ["event 0 None a "]);
        assert_eq!(script.text("43/open,7[]"), ["answered 0 7 "]);
    }
    // Whoever knows what was asked says which answers are none.
    for _ in 0..4 {
        assert!(script.input(Input::Unasked).is_empty());
    }
    assert_eq!(script.input(Input::Unasked).last().unwrap(), "close 4029");
}
