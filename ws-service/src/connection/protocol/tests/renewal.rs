//! Confirmations that run out.

use super::*;

fn confirmed_for(good_for: Option<Duration>, user: &str) -> Input {
    let Input::Confirmed(Ok(confirmed)) = good() else { panic!("good") };
    let user_id = UserId::new(user.to_owned()).unwrap();
    Input::Confirmed(Ok(Box::new(Confirmed { good_for, user_id, ..*confirmed })))
}

fn minute(user: &str) -> Input {
    confirmed_for(Some(Duration::from_secs(60)), user)
}

/// A connection whose sockets in `/` and `/open` are admitted, for a minute.
fn script() -> Script {
    let mut script = Script::new(&Limits::default());
    script.text("40/open,");
    script.text(r#"40{"ws_token":"x"}"#);
    let effects = script.input(minute("7"));
    assert!(effects.contains(&"set Renewal 50s".to_owned()), "{effects:?}");
    script
}

const ASKED: &str = r#"> 420["whisk.auth.request",{}]"#;

#[test]
fn a_confirmation_is_renewed_in_place_before_it_runs_out() {
    let mut script = script();
    script.now = Moment(50_001);
    assert_eq!(script.input(Input::Timer(Timer::Renewal)), ["set Renewal 10s", ASKED]);
    assert_eq!(script.text(r#"430[{"ws_token":"y"}]"#), [r#"confirm token "y""#]);
    let renewed = script.input(minute("7"));
    assert_eq!(renewed, [accept("42", "t2"), "clear Renewal".into(), "set Renewal 50s".into()]);
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
    for result in [minute("8"), Input::Confirmed(Err(ConfirmError::Refused))] {
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
        Input::Confirmed(Err(ConfirmError::Unavailable(error.into())))
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
    let effects = script.input(confirmed_for(None, "7"));
    assert!(!effects.iter().any(|effect| effect.contains("Renewal")), "{effects:?}");
    assert!(script.text(r#"430[{"ws_token":"y"}]"#).is_empty());
}
