//! Asks a server to subscribe and unsubscribe, many commands in one write, and tells its answers apart.
//!
//! Each command names one channel: so the channels' slots need not be the same, and each gets its own
//! answer. 10,000 of them take about 0.1 s.

use std::time::Duration;

use redis::{PushKind, RedisError, Value, aio::MultiplexedConnection};
use tokio::time::{Instant, sleep};

use crate::{conn::Conn, error::Fault, listening::Step, slot::slot_of};

/// How often a connection is given time to come into step.
const STEP_TRIES: u32 = 5;

/// How long that is.
const STEP_WAIT: Duration = Duration::from_millis(10);

/// Asks for `steps`. Gives those that were refused; what became of the others, the pushes tell.
pub(crate) async fn ask<'a>(
    conn: &Conn,
    steps: &'a [Step],
    deadline: Instant,
) -> Result<Vec<(&'a Step, RedisError)>, Fault> {
    let mut pipe = redis::Pipeline::with_capacity(steps.len());
    for step in steps {
        pipe.cmd(command(step)).arg(&step.name);
    }
    let send = async |mut connection: MultiplexedConnection| {
        connection.send_packed_commands(&pipe, 0, steps.len()).await
    };
    let answers = conn.with(deadline, send).await.inspect_err(|fault| {
        if matches!(fault, Fault::Silent) {
            // What is subscribed is unknown: a new connection begins with nothing.
            conn.renew();
        }
    })?;
    let mut refusals = Vec::new();
    for (step, answer) in steps.iter().zip(answers) {
        match read(step, answer) {
            Answer::Done => {}
            Answer::Refused(error) => refusals.push((step, error)),
            Answer::Stray => {
                if !is_in_step(conn, deadline).await {
                    conn.renew();
                }
                break;
            }
        }
    }
    Ok(refusals)
}

/// Whether a connection lives and gives each command its own answer.
///
/// The client library takes the end of a subscription that nobody asked for as the answer to what was
/// asked meanwhile, that one's answer as the next one's, and so on until one comes while nothing is
/// asked. So it is waited a little before the next is asked.
pub(crate) async fn is_in_step(conn: &Conn, deadline: Instant) -> bool {
    for _ in 0..STEP_TRIES {
        let word = getrandom::u64().unwrap_or_default().to_string();
        let mut ping = redis::cmd("PING");
        ping.arg(&word);
        match conn.call(&ping, deadline).await {
            Ok(Value::BulkString(answer)) if answer == word.as_bytes() => return true,
            Ok(_) => sleep(STEP_WAIT).await,
            Err(Fault::Redis(error)) if !error.is_unrecoverable_error() => sleep(STEP_WAIT).await,
            Err(_) => return false,
        }
    }
    false
}

fn command(step: &Step) -> &'static str {
    match (step.subscribe, step.sharded) {
        (true, true) => "SSUBSCRIBE",
        (true, false) => "SUBSCRIBE",
        (false, true) => "SUNSUBSCRIBE",
        (false, false) => "UNSUBSCRIBE",
    }
}

/// What the client library gives as the answer to a step.
#[derive(Debug)]
enum Answer {
    Done,
    Refused(RedisError),
    /// It belongs to something else.
    Stray,
}

fn read(step: &Step, answer: Value) -> Answer {
    match answer {
        Value::Push { kind, data } => {
            let kind = match kind {
                PushKind::Subscribe => (true, false),
                PushKind::SSubscribe => (true, true),
                PushKind::Unsubscribe => (false, false),
                PushKind::SUnsubscribe => (false, true),
                _ => return Answer::Stray,
            };
            let named = match data.first() {
                Some(Value::BulkString(name)) => name == step.name.as_bytes(),
                _ => false,
            };
            if named && kind == (step.subscribe, step.sharded) {
                Answer::Done
            } else {
                Answer::Stray
            }
        }
        Value::ServerError(error) => {
            let error = RedisError::from(error);
            match error.redirect_node() {
                Some((_, slot)) if slot != slot_of(&step.name) => Answer::Stray,
                _ => Answer::Refused(error),
            }
        }
        _ => Answer::Stray,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(kind: PushKind, name: &str) -> Value {
        Value::Push { kind, data: vec![Value::BulkString(name.into()), Value::Int(1)] }
    }

    #[test]
    fn an_answer_that_is_another_commands_is_told_from_ones_own() {
        let step = Step { name: "{c}".into(), subscribe: true, sharded: true };
        assert!(matches!(read(&step, push(PushKind::SSubscribe, "{c}")), Answer::Done));
        for other in [
            push(PushKind::SSubscribe, "{d}"),
            push(PushKind::Subscribe, "{c}"),
            push(PushKind::SUnsubscribe, "{c}"),
            Value::Okay,
        ] {
            assert!(matches!(read(&step, other), Answer::Stray));
        }
        let error = |text: &[u8]| match redis::parse_redis_value(text).unwrap() {
            error @ Value::ServerError(_) => error,
            other => panic!("{other:?}"),
        };
        let own = format!("-MOVED {} 127.0.0.1:1\r\n", slot_of("c"));
        for refusal in [own.as_bytes(), b"-NOPERM no\r\n", b"-CLUSTERDOWN down\r\n"] {
            assert!(matches!(read(&step, error(refusal)), Answer::Refused(_)));
        }
        let moved = format!("-MOVED {} 127.0.0.1:1\r\n", slot_of("d"));
        assert!(matches!(read(&step, error(moved.as_bytes())), Answer::Stray));
    }
}
