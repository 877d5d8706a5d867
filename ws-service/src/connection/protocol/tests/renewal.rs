//! Confirmations that run out.

use super::*;
use crate::gate::Renewed;

fn confirmed_for(good_for: Option<Duration>, user: &str) -> Result<Box<Confirmed>, ConfirmError> {
    let Input::Confirmed(Ok(confirmed)) = good() else { panic!("good") };
    let user_id = UserId::new(user.to_owned()).unwrap();
    Ok(Box::new(Confirmed { good_for, user_id, ..*confirmed }))
}

fn minute(user: &str) -> Input {
    Input::Renewed(confirmed_for(Some(Duration::from_secs(60)), user))
}

fn first_minute() -> Input {
    Input::Confirmed(confirmed_for(Some(Duration::from_secs(60)), "7"))
}

/// A connection whose sockets in `/` and `/open` are admitted, for a minute.
fn script() -> Script {
    let mut script = Script::new(&Limits::default());
    script.text("40/open,");
    script.text(r#"40{"ws_token":"x"}"#);
    let effects = script.input(first_minute());
    assert!(effects.contains(&"set Renewal 50s".to_owned()), "{effects:?}");
    script
}

const ASKED: &str = r#"> 420["whisk.auth.request",{}]"#;

#[test]
fn a_confirmation_is_renewed_in_place_before_it_runs_out() {
    let mut script = script();
    script.now = Moment(50_001);
    assert_eq!(script.input(Input::Timer(Timer::Renewal)), ["set Renewal 10s", ASKED]);
    assert_eq!(script.text(r#"430[{"ws_token":"y"}]"#), [r#"renew token "y""#]);
    let renewed = script.input(minute("7"));
    assert_eq!(renewed, [accept("42", "t2"), "set Renewal 50s".into()]);
    // The socket went on all the while.
    assert_eq!(script.text(r#"42["a.b"]"#), ["event 1 None a.b "]);
    // The next time, and an answer that nobody waits for any more.
    script.now = Moment(100_001);
    assert_eq!(script.input(Input::Timer(Timer::Renewal)), ["set Renewal 10s", ASKED]);
    script.text(r#"430[{"resume":"r"}]"#);
    script.input(minute("7"));
    assert!(script.text(r#"430[{"ws_token":"z"}]"#).is_empty());
}

const EXPIRED: &str = concat!(
    r#"> 42["whisk.auth.error",{"error":{"code":"auth_expired","#,
    r#""message":"The confirmation ran out and was not renewed in time."}}]"#
);

fn over() -> [String; 5] {
    let texts = [
        EXPIRED,
        "not confirmed: auth_expired",
        "leave 0 auth_expired",
        "leave 1 auth_expired",
        "close 4005",
    ];
    texts.map(str::to_owned)
}

#[test]
fn a_confirmation_that_is_not_renewed_ends_the_connection() {
    let mut script = script();
    script.now = Moment(50_001);
    script.input(Input::Timer(Timer::Renewal));
    script.now = Moment(60_001);
    let effects = script.input(Input::Timer(Timer::Renewal));
    assert_eq!(effects[0], "limit renewal_timeout");
    assert_eq!(effects[1..], over());
}

#[test]
fn a_refused_credential_and_somebody_elses_end_it_at_once() {
    for result in [minute("8"), Input::Renewed(Err(ConfirmError::Refused))] {
        let mut script = script();
        script.now = Moment(50_001);
        script.input(Input::Timer(Timer::Renewal));
        script.text(r#"430[{"ws_token":"y"}]"#);
        assert_eq!(script.input(result), over());
    }
}

#[test]
fn a_store_that_is_away_leaves_the_client_its_time() {
    let away = || {
        let error = router_core::backend::BackendErrorKind::NotApplied;
        let error = router_core::backend::BackendError::new(error);
        Input::Renewed(Err(ConfirmError::Unavailable(error.into())))
    };
    let mut script = script();
    script.now = Moment(50_001);
    script.input(Input::Timer(Timer::Renewal));
    script.text(r#"430[{"resume":"r"}]"#);
    assert_eq!(script.input(away()), ["set Renewal 2s"]);
    script.now = Moment(52_001);
    assert_eq!(script.input(Input::Timer(Timer::Renewal)), ["set Renewal 8s", ASKED]);
    script.text(r#"430[{"resume":"r"}]"#);
    script.now = Moment(60_001);
    // Also what is still being judged then came too late.
    let effects = script.input(Input::Timer(Timer::Renewal));
    assert_eq!(effects[1..], over());
}

#[test]
fn without_a_bound_nobody_is_asked() {
    let mut script = Script::new(&Limits::default());
    script.text(r#"40{"ws_token":"x"}"#);
    let effects = script.input(Input::Confirmed(confirmed_for(None, "7")));
    assert!(!effects.iter().any(|effect| effect.contains("Renewal")), "{effects:?}");
    assert!(script.text(r#"430[{"ws_token":"y"}]"#).is_empty());
}

#[test]
fn leaving_and_joining_does_not_put_the_end_of_a_confirmation_off() {
    let mut script = script();
    // Nobody whom it serves is there when it is time to ask.
    script.text("41");
    script.now = Moment(50_001);
    assert_eq!(script.input(Input::Timer(Timer::Renewal)), ["set Renewal 10s"]);
    // Who comes then is asked, and has no more time than there was.
    assert_eq!(script.text("40/b,")[0], "look again 7");
    let joined = script.input(Input::LookedAgain(Ok(())));
    assert_eq!(joined.last().unwrap(), r#"> 42/b,0["whisk.auth.request",{}]"#);
    script.now = Moment(60_001);
    let effects = script.input(Input::Timer(Timer::Renewal));
    assert_eq!(effects.last().unwrap(), "close 4005");
}

#[test]
fn a_confirmation_that_runs_out_with_nobody_there_serves_nobody_later() {
    let mut script = script();
    script.text("41");
    script.now = Moment(50_001);
    script.input(Input::Timer(Timer::Renewal));
    script.now = Moment(60_001);
    assert!(script.input(Input::Timer(Timer::Renewal)).is_empty());
    // The socket in the open nsp stays; the next one shows a credential as the first did.
    assert_eq!(script.text(r#"40/b,{"ws_token":"y"}"#)[0], r#"confirm token "y""#);
}

#[test]
fn when_the_socket_that_was_asked_leaves_another_is_asked() {
    let mut script = script();
    script.text("40/b,");
    script.input(Input::LookedAgain(Ok(())));
    script.now = Moment(50_001);
    assert_eq!(script.input(Input::Timer(Timer::Renewal)), ["set Renewal 10s", ASKED]);
    // Nobody else can answer for it.
    assert!(script.text(r#"43/b,0[{"ws_token":"y"}]"#).is_empty());
    let left = script.text("41");
    assert_eq!(left.last().unwrap(), r#"> 42/b,0["whisk.auth.request",{}]"#);
    assert_eq!(script.text(r#"43/b,0[{"ws_token":"y"}]"#), [r#"renew token "y""#]);
}

/// A connection that the session gate let in for a while, with a socket in `/` that is asked for its
/// credential.
fn admitted_for(seconds: u64) -> Script {
    let mut script = Script::new(&Limits::default());
    let good_for = Some(Duration::from_secs(seconds));
    script.protocol = Protocol::new(&script.rules);
    script.input(Input::Opened { good_for });
    script.text("40");
    script
}

#[test]
fn each_answer_is_for_the_judge_who_asked() {
    let mut script = admitted_for(30);
    script.text("40/open,");
    script.now = Moment(20_001);
    let asked = script.input(Input::Timer(Timer::Admission));
    let question = r#"> 42/open,1["whisk.auth.request",{"for":"admission"}]"#;
    assert_eq!(asked, ["set Admission 10s", question]);
    // The other question is open, too.
    assert_eq!(script.text(r#"430[{"ws_token":"x"}]"#), [r#"confirm token "x""#]);
    assert_eq!(script.text(r#"43/open,1[{"pass":1}]"#), [r#"readmit {"pass":1}"#]);
    let renewed = Renewed::For(Duration::from_secs(60));
    assert_eq!(script.input(Input::Readmitted(renewed)), ["set Admission 50s"]);
}

#[test]
fn an_admission_and_a_confirmation_each_hold_for_their_own_time() {
    let mut script = admitted_for(30);
    script.text(r#"430[{"ws_token":"x"}]"#);
    assert!(script.input(first_minute()).contains(&"set Renewal 50s".to_owned()));
    script.now = Moment(20_001);
    script.input(Input::Timer(Timer::Admission));
    script.text(r#"431[{"pass":1}]"#);
    script.input(Input::Readmitted(Renewed::For(Duration::from_secs(600))));
    // The longer admission makes the confirmation no longer.
    script.now = Moment(50_001);
    assert_eq!(script.input(Input::Timer(Timer::Renewal)), ["set Renewal 10s", ASKED]);
    script.now = Moment(60_001);
    assert_eq!(script.input(Input::Timer(Timer::Renewal)).last().unwrap(), "close 4005");

    // Nor does a longer confirmation make the admission longer, whoever is there.
    let mut script = admitted_for(30);
    script.text("41");
    script.now = Moment(30_001);
    assert_eq!(script.input(Input::Timer(Timer::Admission)).last().unwrap(), "close 4005");
}
