//! The whole of the exam's real-time code: two channels for each room.
//!
//! | channel | who is on it | what is said on it |
//! |---|---|---|
//! | `exam:ROOM` | everybody in the room, on its roster | proctors' notices and questions; students answer |
//! | `staff:ROOM` | its proctors | who was sent away |

use router_core::{
    Payload, RouteError, Routes,
    channel::{Channel, Channels},
    code,
    presence::ClientId,
    session::UserId,
};
use serde::{Deserialize, Serialize};

use crate::{
    person::{Person, Proctor},
    settings::Exam,
};

/// What clients may be on, and say there.
pub(crate) fn routes(cfg: &mut Routes, exam: &Exam) {
    cfg.channel("exam:*").gate(own_room).presence(exam.presence).publish_gate(only_proctors);
    cfg.channel("staff:*").gate(own_room).gate(only_proctors).on("send_away", send_away);
}

/// Nobody is in another room than the one that he entered.
async fn own_room(person: Person, channel: Channel) -> Result<(), RouteError> {
    if person.room.has(&channel) {
        return Ok(());
    }
    Err(RouteError::new("another_room", "You entered another room."))
}

/// The argument is all that is asked for. To answer a request, as students do, needs no permission.
async fn only_proctors(_: Proctor) {}

/// Whom a proctor wants to have gone: a client of the room's roster.
#[derive(Debug, Deserialize)]
struct SendAway {
    client: ClientId,
    reason: String,
}

/// What the proctors hear of it.
#[derive(Debug, Serialize)]
struct SentAway<'a> {
    /// The proctor who did it.
    by: &'a str,
    user: &'a UserId,
    reason: &'a str,
}

/// The longest reason, in characters. The page's input has the same bound.
const REASON_MAX: usize = 200;

/// `send_away` on the staff's channel: every socket of the client's user, on whatever node, is closed
/// and does not come back by itself. The session goes on; to end that, too, there is
/// [`Authority`](router_core::session::Authority).
async fn send_away(
    Proctor(person): Proctor,
    channels: Channels,
    staff: Channel,
    Payload(SendAway { client, reason }): Payload<SendAway>,
) -> Result<(), RouteError> {
    if reason.chars().count() > REASON_MAX {
        let text = format!("A reason has at most {REASON_MAX} characters.");
        return Err(RouteError::new("too_long", text).with("limit", REASON_MAX));
    }
    // Only who is on this room's roster: a proctor has nothing to say in another one.
    let room = format!("exam:{}", person.room.as_str());
    let member = channels.at(room.as_str())?.member(&client).await?;
    let user = member.and_then(|member| member.coming.user);
    let user = user.ok_or_else(|| RouteError::new(code::NOT_HERE, "Nobody here is that."))?;
    channels.user(&user).boot(&reason).await?;
    let told = SentAway { by: person.name.as_str(), user: &user, reason: &reason };
    staff.publish("sent_away", &told).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use router_core::{
        session::set,
        socket::DisconnectReason,
        testing::{Ack, TestSocket, TestSystem},
    };
    use serde_json::{Value, json};

    use super::*;

    async fn start() -> TestSystem {
        TestSystem::builder().routes(|cfg| routes(cfg, &Exam::default())).start().await
    }

    /// Somebody who answered the landing page.
    async fn enter(system: &TestSystem, role: &str, room: &str) -> TestSocket {
        let socket = system.connect_as(&format!("{role}-{room}")).await;
        let person = json!({"name": "Ann", "role": role, "room": room});
        let sid = socket.session_id().unwrap().clone();
        system.sessions().update(&sid, &set("person", person)).await.unwrap();
        socket
    }

    async fn subscribe(socket: &TestSocket, channel: &str) -> Ack {
        socket.push("whisk.subscribe", &json!({ "channel": channel })).await
    }

    /// Somebody in the room, and the client that the others see.
    async fn inside(system: &TestSystem, role: &str, room: &str) -> (TestSocket, Value) {
        let socket = enter(system, role, room).await;
        let entry: Value = subscribe(&socket, &format!("exam:{room}")).await.ok();
        (socket, entry["client"].clone())
    }

    /// A proctor's order to send a client away.
    async fn order(proctor: &TestSocket, client: &Value, reason: &str) -> Ack {
        let head = json!({"channel": "staff:algebra", "topic": "send_away"});
        let order = json!({"client": client, "reason": reason});
        proctor.push_many("whisk.request", &[head, order]).await
    }

    #[tokio::test]
    async fn nobody_is_in_a_room_that_he_did_not_enter() {
        let system = start().await;
        let nobody = system.connect_as("8").await;
        subscribe(&nobody, "exam:algebra").await.assert_error("nobody");
        let student = enter(&system, "student", "algebra").await;
        subscribe(&student, "exam:geometry").await.assert_error("another_room");
        let entry: Value = subscribe(&student, "exam:algebra").await.ok();
        assert_eq!(entry["presence"]["members"][0]["user"], "student-algebra");
        let proctor = enter(&system, "proctor", "algebra").await;
        subscribe(&proctor, "staff:geometry").await.assert_error("another_room");
        subscribe(&proctor, "staff:algebra").await.ok::<Value>();
    }

    #[tokio::test]
    async fn students_answer_and_do_nothing_that_proctors_do() {
        let system = start().await;
        let (student, client) = inside(&system, "student", "algebra").await;
        subscribe(&student, "staff:algebra").await.assert_error("not_a_proctor");
        for event in ["whisk.publish", "whisk.request"] {
            let head = json!({"channel": "exam:algebra", "topic": "notice"});
            student.push(event, &head).await.assert_error("not_a_proctor");
        }
        order(&student, &client, "because").await.assert_error("not_subscribed");
        let (proctor, _) = inside(&system, "proctor", "algebra").await;
        let head = json!({"channel": "exam:algebra", "topic": "question", "to": client});
        let question = [head, json!({"text": "Why?"})];
        let asking = proctor.push_many("whisk.request", &question);
        let answering = async {
            let (asked, _): (Value, Value) = student.assert_received_all("whisk.message").await;
            let (to, re) = (&asked["from"], &asked["id"]);
            let reply = json!({"channel": "exam:algebra", "to": to, "re": re});
            student.push_many("whisk.reply", &[reply, json!("Because")]).await.ok::<Value>();
        };
        let (answer, ()) = tokio::join!(asking, answering);
        assert_eq!(answer.ok::<Value>()["data"], "Because");
    }

    #[tokio::test]
    async fn a_proctor_sends_away_who_is_in_his_room_and_nobody_else() {
        let system = start().await;
        let (proctor, own) = inside(&system, "proctor", "algebra").await;
        subscribe(&proctor, "staff:algebra").await.ok::<Value>();
        let (elsewhere, stranger) = inside(&system, "student", "geometry").await;
        order(&proctor, &stranger, "because").await.assert_error("not_here");
        let long = "é".repeat(REASON_MAX + 1);
        order(&proctor, &own, &long).await.assert_error("too_long");
        let (student, client) = inside(&system, "student", "algebra").await;
        order(&proctor, &client, "Talking").await.ok::<Value>();
        let reason = student.assert_disconnected().await;
        assert!(matches!(reason, DisconnectReason::Booted(text) if text == "Talking"));
        let (_, told): (Value, Value) = proctor.assert_received_all("whisk.message").await;
        assert_eq!((&told["by"], &told["reason"]), (&json!("Ann"), &json!("Talking")));
        subscribe(&elsewhere, "exam:geometry").await.ok::<Value>();
    }
}
