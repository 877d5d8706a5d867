//! The state machine by scripts: what goes in on the left, what comes out on the right. No socket,
//! no clock, no store.

use std::{cell::Cell, sync::Arc, time::Duration};

use bytes::BytesMut;
use router_core::{
    Args, RouteError,
    limits::{Limit, Limits},
    ns,
    pattern::Pattern,
    session::{ConfirmError, Confirmed, Credential, SessionDocument, SessionId, UserId},
    socket::{Handshake, SocketData, SocketInfo},
};
use wire::ws::{DecodeLimits, Message, client};

use super::*;
use crate::connection::effect::Applicant;
use crate::{bounds::Bounds, nsps::Auth};

mod later;
mod renewal;

thread_local! {
    static TIDS: Cell<u32> = const { Cell::new(0) };
}

fn new_tid() -> Option<TenantId> {
    let count = TIDS.get() + 1;
    TIDS.set(count);
    format!("t{count}").parse().ok()
}

/// A connection to a service with `/` and `/b` under session-sync, and `/open`.
struct Script {
    rules: Rules,
    protocol: Protocol,
    now: Moment,
}

impl Script {
    fn new(limits: &Limits) -> Self {
        TIDS.set(0);
        let mut nsps = Nsps::default();
        for (name, auth) in
            [("/", Auth::SessionSync), ("/b", Auth::SessionSync), ("/open", Auth::Open)]
        {
            nsps.insert(Nsp::new(name).unwrap(), auth);
        }
        let rules = Rules {
            bounds: Bounds::new(limits, Duration::from_secs(25), Duration::from_secs(20)),
            nsps,
            node: ns("ws").node(1),
            parser: Parser::default(),
            new_tid,
            raw: None,
        };
        let protocol = Protocol::new(&rules);
        let mut script = Self { rules, protocol, now: Moment(1) };
        assert_eq!(
            script.input(Input::Opened { good_for: None }),
            ["set Heartbeat 25s", "set Confirm 5s"]
        );
        script
    }

    /// A connection whose socket `t1` in `/` is admitted.
    fn confirmed() -> Self {
        let mut script = Self::new(&Limits::default());
        script.text(r#"40{"ws_token":"x"}"#);
        script.input(good());
        script
    }

    fn input(&mut self, input: Input) -> Vec<String> {
        let mut out = Vec::new();
        self.protocol.step(&self.rules, self.now, input, &mut out);
        out.iter().map(say).collect()
    }

    fn text(&mut self, text: &str) -> Vec<String> {
        self.input(Input::Message(Message::Text(text.into())))
    }
}

/// An effect in a few words.
fn say(effect: &Effect) -> String {
    match effect {
        Effect::Send(frame) => {
            let mut decoder = client::decoder(DecodeLimits::OFF);
            let mut buffer = BytesMut::from(&frame[..]);
            match decoder.decode(&mut buffer).unwrap().unwrap() {
                Message::Text(text) => format!("> {text}"),
                other => format!("> {other:?}"),
            }
        }
        Effect::Set(timer, time) => format!("set {timer:?} {time:?}"),
        Effect::Hasten(timer, time) => format!("hasten {timer:?} {time:?}"),
        Effect::Clear(timer) => format!("clear {timer:?}"),
        Effect::Confirm(Credential::Token(token)) => format!("confirm token {token:?}"),
        Effect::Confirm(Credential::Resume(resume)) => format!("confirm resume {resume:?}"),
        Effect::Renew(Credential::Token(token)) => format!("renew token {token:?}"),
        Effect::Renew(Credential::Resume(resume)) => format!("renew resume {resume:?}"),
        Effect::Readmit(args) => format!("readmit {}", args.json()),
        Effect::NotConfirmed(code) => format!("not confirmed: {code}"),
        Effect::LookAgain(identity) => format!("look again {}", identity.user_id.as_str()),
        Effect::Admit { key, applicant } | Effect::Guard { key, applicant } => {
            let Applicant { nsp, tid, identity, .. } = applicant;
            let what = if matches!(effect, Effect::Guard { .. }) { "guard" } else { "admit" };
            let user = identity.as_ref().map_or("nobody", |known| known.user_id.as_str());
            format!("{what} {key} {nsp} {tid} {user}")
        }
        Effect::Enter { key, info } => format!("enter {key} {}", info.address),
        Effect::Event { key, id, name, args } => {
            format!("event {key} {id:?} {name} {}", args.json())
        }
        Effect::Leave { key, reason } => format!("leave {key} {}", reason.name()),
        Effect::Limit(limit) => format!("limit {limit}"),
        Effect::Close { code, answer, .. } => {
            format!("close {}{}", code.get(), if *answer { " in answer" } else { "" })
        }
        Effect::Answered { key, id, args } => format!("answered {key} {id} {}", args.json()),
        Effect::Abort(code) => format!("abort {}", code.get()),
    }
}

fn good() -> Input {
    Input::Confirmed(Ok(Box::new(Confirmed {
        sid: SessionId::from_signed("s"),
        user_id: UserId::new("7").unwrap(),
        document: SessionDocument::new(UserId::new("7")),
        resume: "r".to_owned(),
        good_for: None,
    })))
}

const ACCEPT: &str = r#"["whisk.auth.accept",{"success":true,"user_id":"7","address":"ws/1/"#;

fn accept(prefix: &str, tid: &str) -> String {
    format!(r#"> {prefix}{ACCEPT}{tid}","resume":"r"}}]"#)
}

const REFUSED: &str =
    r#"{"message":"Session confirmation failed.","data":{"code":"session_refused"}}"#;

#[test]
fn what_the_codecs_refuse_for_its_size_counts_as_its_limit() {
    let deep = format!("42[\"a\",{}1{}]", "[".repeat(40), "]".repeat(40));
    let bombs = [(deep.as_str(), "limit json_depth"), ("4511-[\"a\"]", "limit max_attachments")];
    for (text, limit) in bombs {
        assert_eq!(
            Script::confirmed().text(text).first().map(String::as_str),
            Some(limit),
            "{text}"
        );
    }
    let violations = [
        (ws::Violation::TooLarge, "limit max_payload"),
        (ws::Violation::TooManyFragments, "limit max_fragments"),
    ];
    for (violation, limit) in violations {
        assert_eq!(Script::confirmed().input(Input::Violation(violation))[0], limit);
    }
}

#[test]
fn a_shown_token_is_confirmed_before_the_connect_is_answered() {
    let mut script = Script::new(&Limits::default());
    assert_eq!(script.text(r#"40{"ws_token":"x"}"#), [r#"confirm token "x""#]);
    let expected = [
        r#"> 40{"sid":"t1"}"#.to_owned(),
        accept("42", "t1"),
        "admit 0 / t1 7".to_owned(),
        "clear Confirm".to_owned(),
    ];
    assert_eq!(script.input(good()), expected);
}

#[test]
fn guards_are_asked_after_the_confirmation_and_before_the_connect_is_answered() {
    let mut script = Script::new(&Limits::default());
    script.rules.nsps.set_guarded(vec![Pattern::new("/b"), Pattern::new("/open")]);
    assert_eq!(script.text(r#"40/open,{"a":1}"#), ["guard 0 /open t1 nobody"]);
    assert_eq!(script.text(r#"40/b,{"ws_token":"x"}"#), [r#"confirm token "x""#]);
    assert_eq!(script.input(good()), ["guard 1 /b t2 7"]);
    let early = script.text(r#"42/b,1["say"]"#);
    assert!(early[0].contains("not_confirmed"), "{early:?}");
    let refused = Err(RouteError::new("full", "No place."));
    assert_eq!(
        script.input(Input::Guarded { key: 0, outcome: refused.clone() }),
        [r#"> 44/open,{"data":{"code":"full"},"message":"No place."}"#]
    );
    let info = |tid: &str| {
        Ok(Arc::new(SocketInfo {
            address: format!("ws/1/{tid}").parse().unwrap(),
            nsp: "/b".into(),
            sid: None,
            user_id: None,
            handshake: Handshake::default(),
            data: SocketData::default(),
            client: None,
            locals: None,
        }))
    };
    let expected = [
        r#"> 40/b,{"sid":"t2"}"#.to_owned(),
        accept("42/b,", "t2"),
        "enter 1 ws/1/t2".to_owned(),
        "clear Confirm".to_owned(),
    ];
    assert_eq!(script.input(Input::Guarded { key: 1, outcome: info("t2") }), expected);
    // What was decided already, and who is gone.
    for key in [0, 1, 9] {
        assert!(script.input(Input::Guarded { key, outcome: info("t2") }).is_empty());
        assert!(script.input(Input::Guarded { key, outcome: refused.clone() }).is_empty());
    }
}

#[test]
fn who_shows_nothing_is_asked() {
    let mut script = Script::new(&Limits::default());
    assert_eq!(script.text("40"), [r#"> 40{"sid":"t1"}"#, r#"> 420["whisk.auth.request",{}]"#]);
    // Of another id, and of an id that nobody asked for: not heard.
    assert!(script.text(r#"431[{"ws_token":"y"}]"#).is_empty());
    assert_eq!(script.text(r#"430[{"resume":"y"}]"#), [r#"confirm resume "y""#]);
    assert!(script.text(r#"430[{"resume":"again"}]"#).is_empty());
    let expected = [accept("42", "t1"), "admit 0 / t1 7".to_owned(), "clear Confirm".to_owned()];
    assert_eq!(script.input(good()), expected);
}

#[test]
fn a_refusal_is_told_in_the_handshakes_own_way_and_closes() {
    let mut shown = Script::new(&Limits::default());
    shown.text(r#"40{"ws_token":"x"}"#);
    assert_eq!(
        shown.input(Input::Confirmed(Err(ConfirmError::Refused))),
        [&format!("> 44{REFUSED}"), "not confirmed: session_refused", "close 4101"]
    );
    let mut asked = Script::new(&Limits::default());
    asked.text("40");
    asked.text("430[]");
    assert_eq!(
        asked.input(Input::Confirmed(Err(ConfirmError::Refused))),
        [
            r#"> 42["whisk.auth.error",{"error":{"code":"session_refused","message":"Session confirmation failed."}}]"#,
            "not confirmed: session_refused",
            "> 41",
            "close 4101",
        ]
    );
    assert!(asked.text("40").is_empty(), "nothing is heard after the close");
}

#[test]
fn a_refusal_beside_an_admitted_socket_costs_only_its_own() {
    let mut script = Script::new(&Limits::default());
    script.text("40/open,");
    script.text("40");
    script.text(r#"430[{"ws_token":"x"}]"#);
    let out = script.input(Input::Confirmed(Err(ConfirmError::Refused)));
    assert!(out[0].contains("whisk.auth.error"), "{out:?}");
    assert_eq!(out[1..], ["> 41", "not confirmed: session_refused"]);
    assert_eq!(script.text(r#"42/open,1["a"]"#), ["event 0 Some(1) a "]);
    // It may try again.
    assert_eq!(script.text(r#"40{"ws_token":"y"}"#).last().unwrap(), r#"confirm token "y""#);
}

#[test]
fn one_confirmation_serves_all_sockets_of_a_connection() {
    let mut script = Script::new(&Limits::default());
    assert_eq!(script.text(r#"40{"ws_token":"x"}"#).len(), 1);
    // The same single-use token in the next CONNECT is not judged again.
    assert!(script.text(r#"40/b,{"ws_token":"x"}"#).is_empty());
    let expected = [
        r#"> 40{"sid":"t1"}"#.to_owned(),
        accept("42", "t1"),
        "admit 0 / t1 7".to_owned(),
        r#"> 40/b,{"sid":"t2"}"#.to_owned(),
        accept("42/b,", "t2"),
        "admit 1 /b t2 7".to_owned(),
        "clear Confirm".to_owned(),
    ];
    assert_eq!(script.input(good()), expected);
    script.text("41/b");
    // Of one that comes later it is asked whether the session still lives.
    assert_eq!(script.text("40/b,"), ["look again 7", "set Confirm 5s"]);
    assert_eq!(
        script.input(Input::LookedAgain(Ok(()))),
        [
            r#"> 40/b,{"sid":"t3"}"#,
            &format!(r#"> 42/b,{ACCEPT}t3"}}]"#),
            "admit 2 /b t3 7",
            "clear Confirm"
        ]
    );
}

#[test]
fn events_before_the_confirmation_are_answered_and_counted() {
    let limits = Limits { unconfirmed_events: Limit::At(2), ..Limits::default() };
    let mut script = Script::new(&limits);
    script.text(r#"40{"ws_token":"x"}"#);
    let answer = r#"> 431[{"error":{"code":"not_confirmed","message":"Not confirmed yet."}}]"#;
    assert_eq!(script.text(r#"421["a"]"#), [answer]);
    assert!(script.text(r#"42["a"]"#).is_empty());
    // Its CONNECT was never answered, so there is nothing to disconnect it from.
    assert_eq!(script.text(r#"42["a"]"#), ["limit unconfirmed_events", "close 4103"]);
}

#[test]
fn the_time_to_be_confirmed_ends_once_and_is_not_wound_up_again() {
    let mut script = Script::new(&Limits::default());
    assert!(!script.text("40").iter().any(|effect| effect.starts_with("set")));
    assert!(script.text("41").is_empty());
    assert!(!script.text("40").iter().any(|effect| effect.starts_with("set")));
    let out = script.input(Input::Timer(Timer::Confirm));
    assert_eq!(out[0], "limit confirm_timeout");
    assert!(out[1].contains("auth_timeout"), "{out:?}");
    assert_eq!(out[2..], ["not confirmed: auth_timeout", "close 4003"]);
}

#[test]
fn a_connection_without_sockets_has_only_so_much_time() {
    let mut script = Script::confirmed();
    assert_eq!(script.text("41"), ["leave 0 client", "set Confirm 5s"]);
    let out = script.input(Input::Timer(Timer::Confirm));
    assert_eq!(out.last().unwrap(), "close 4003");
}

#[test]
fn a_late_confirmation_of_a_socket_that_left_admits_nobody() {
    let mut script = Script::new(&Limits::default());
    script.text(r#"40{"ws_token":"x"}"#);
    script.text("41");
    assert!(script.input(good()).is_empty());
    // The connection itself is confirmed, so its next socket is let in.
    script.text("40");
    let out = script.input(Input::LookedAgain(Ok(())));
    assert!(out.contains(&"admit 1 / t2 7".to_owned()), "{out:?}");
}

#[test]
fn the_server_pings_and_waits_for_the_answer() {
    let mut script = Script::confirmed();
    assert_eq!(script.input(Input::Timer(Timer::Heartbeat)), ["> 2", "set Heartbeat 20s"]);
    assert_eq!(script.text("3"), ["set Heartbeat 25s"]);
    script.input(Input::Timer(Timer::Heartbeat));
    assert_eq!(
        script.input(Input::Timer(Timer::Heartbeat)),
        ["leave 0 ping_timeout", "close 4002"]
    );
}

#[test]
fn events_and_acknowledgements_carry_their_arguments_as_they_are() {
    let mut script = Script::confirmed();
    assert_eq!(
        script.text(r#"4212["world.say",{"a": 1},"b"]"#),
        [r#"event 0 Some(12) world.say {"a": 1},"b""#]
    );
    let args = Args::from_checked_json("1,[2]".into(), Vec::new());
    let done = Input::Finished { key: 0, id: Some(12), result: Ok(args) };
    assert_eq!(script.input(done), ["> 4312[1,[2]]"]);
    let failed = RouteError::new("no", "No.");
    let done = Input::Finished { key: 0, id: Some(3), result: Err(failed) };
    assert_eq!(script.input(done), [r#"> 433[{"error":{"code":"no","message":"No."}}]"#]);
    let unasked = Input::Finished { key: 0, id: None, result: Ok(Args::EMPTY) };
    assert!(script.input(unasked).is_empty());
    script.text("41");
    let late = Input::Finished { key: 0, id: Some(1), result: Ok(Args::EMPTY) };
    assert!(script.input(late).is_empty());
}

#[test]
fn stay_away_closes_put_the_client_out_first_and_the_others_do_not() {
    assert_eq!(Script::confirmed().text("9"), ["> 41", "leave 0 protocol_error", "close 1002"]);
    let mut two = Script::confirmed();
    two.text("40/open,");
    assert_eq!(
        two.text("42{}"),
        ["> 41", "> 41/open,", "leave 0 invalid_payload", "leave 1 invalid_payload", "close 1007",]
    );
    let out = Script::confirmed().input(Input::Timer(Timer::Fragment));
    assert_eq!(out, ["limit fragment_timeout", "leave 0 fragment_timeout", "close 4004"]);
    assert_eq!(Script::confirmed().input(Input::Slow), ["leave 0 slow", "abort 4001"]);
    assert_eq!(Script::confirmed().input(Input::Lost), ["leave 0 transport_closed", "abort 1006"]);
}

#[test]
fn the_end_of_a_session_takes_what_it_proved() {
    let mut script = Script::confirmed();
    script.text("40/open,");
    let reason = DisconnectReason::SessionEnded(None);
    assert_eq!(
        script.input(Input::Disconnect { key: 0, reason: reason.clone() }),
        ["> 41", "leave 0 session_ended"]
    );
    assert_eq!(script.text("40")[1], r#"> 420["whisk.auth.request",{}]"#);
    let mut alone = Script::confirmed();
    assert_eq!(
        alone.input(Input::Disconnect { key: 0, reason }),
        ["> 41", "leave 0 session_ended", "close 4102"]
    );
    let mut kicked = Script::confirmed();
    let reason = DisconnectReason::Server;
    assert_eq!(
        kicked.input(Input::Disconnect { key: 0, reason: reason.clone() }),
        ["> 41", "leave 0 server", "close 4100"]
    );
    assert!(kicked.input(Input::Disconnect { key: 0, reason }).is_empty());
}

#[test]
fn the_drain_tells_and_waits_for_handlers() {
    let within = Duration::from_secs(9);
    let mut idle = Script::confirmed();
    assert_eq!(
        idle.input(Input::Drain { after_ms: 7, busy: false, within }),
        [r#"> 42["whisk.reconnect",{"after_ms":7}]"#, "leave 0 drain", "close 1012"]
    );
    let mut busy = Script::confirmed();
    assert_eq!(
        busy.input(Input::Drain { after_ms: 7, busy: true, within }),
        [r#"> 42["whisk.reconnect",{"after_ms":7}]"#, "set Drain 9s"]
    );
    assert!(busy.text(r#"421["a"]"#)[0].contains("unavailable"));
    let done = Input::Finished { key: 0, id: Some(1), result: Ok(Args::EMPTY) };
    assert_eq!(busy.input(done), ["> 431[]"]);
    assert_eq!(busy.input(Input::Idle), ["leave 0 drain", "close 1012"]);
    assert!(Script::confirmed().input(Input::Idle).is_empty());
}

#[test]
fn a_client_that_says_goodbye_is_answered() {
    let close = Message::Close(Some((CloseCode::GOING_AWAY, "".into())));
    assert_eq!(
        Script::confirmed().input(Input::Message(close)),
        ["leave 0 transport_closed", "close 1001 in answer"]
    );
    assert_eq!(Script::confirmed().text("1"), ["leave 0 transport_closed", "close 1000"]);
    let ping = Message::Ping("p".into());
    assert_eq!(Script::confirmed().input(Input::Message(ping)), [r#"> Pong(b"p")"#]);
}

#[test]
fn nsps_are_bounded_and_must_be_known() {
    let limits = Limits { nsps_per_connection: Limit::At(1), ..Limits::default() };
    let mut script = Script::new(&limits);
    assert_eq!(script.text("40/x,"), [r#"> 44/x,{"message":"Invalid namespace"}"#]);
    script.text("40/open,");
    let out = script.text("40");
    assert_eq!(out[0], "limit nsps_per_connection");
    assert!(out[1].starts_with("> 44{"), "{out:?}");
}

#[test]
fn any_order_of_inputs_ends_every_admitted_socket_exactly_once() {
    // A small generator (xorshift) makes sequences; whatever comes, what was admitted leaves once,
    // and nothing is said after the end.
    for seed in 1..=2_000_u64 {
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        let mut script = Script::new(&Limits::default());
        let (mut admitted, mut left) = (Vec::new(), Vec::new());
        let mut run = |script: &mut Script, input| {
            let over = script.protocol.is_over();
            let out = script.input(input);
            assert!(!over || out.is_empty(), "seed {seed}: {out:?} after the end");
            for effect in out {
                let mut words = effect.split(' ');
                match words.next() {
                    Some("admit") => admitted.push(words.next().unwrap().to_owned()),
                    Some("leave") => left.push(words.next().unwrap().to_owned()),
                    _ => {}
                }
            }
        };
        let texts = [
            r#"40{"ws_token":"x"}"#,
            "40",
            "40/b,",
            "40/open,",
            r#"421["a"]"#,
            "41",
            "41/b,",
            r#"430[{"ws_token":"x"}]"#,
            "3",
        ];
        for _ in 0..12 {
            let text = texts[usize::try_from(next() % texts.len() as u64).unwrap()];
            run(&mut script, Input::Message(Message::Text(text.into())));
            match next() % 8 {
                0 => run(&mut script, good()),
                1 => run(&mut script, Input::Confirmed(Err(ConfirmError::Refused))),
                2 => run(
                    &mut script,
                    Input::Disconnect { key: 0, reason: DisconnectReason::SessionEnded(None) },
                ),
                3 => run(&mut script, Input::LookedAgain(Ok(()))),
                4 => run(&mut script, Input::LookedAgain(Err(ConfirmError::Refused))),
                _ => {}
            }
        }
        run(&mut script, Input::Lost);
        admitted.sort_unstable();
        left.sort_unstable();
        assert_eq!(admitted, left, "seed {seed}");
        left.dedup();
        assert_eq!(admitted, left, "seed {seed}: somebody left twice");
    }
}
