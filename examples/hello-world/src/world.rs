//! The whole of this example's real-time code: one route and one observer.

use router_core::{
    Bus, Observers, Payload, RouteError, Routes, Session, code, ns,
    session::set,
    socket::{EmitError, LocalSockets},
};
use serde::{Deserialize, Serialize};

/// The longest message, in characters. The page's input has the same bound.
const MESSAGE_MAX: usize = 500;

/// What a page says.
#[derive(Debug, Deserialize)]
struct Say {
    message: String,
}

/// What everybody hears.
#[derive(Debug, Serialize, Deserialize)]
struct Reply {
    message: String,
    originating_message: String,
    originating_user_id: String,
}

/// What the session remembers of its user.
#[derive(Debug, Deserialize)]
struct Profile {}

/// What clients may emit.
pub(crate) fn routes(cfg: &mut Routes) {
    cfg.route("world").on("say", say);
}

/// `world.say`: tells it to every node.
async fn say(
    session: Session<Profile>,
    bus: Bus,
    Payload(say): Payload<Say>,
) -> Result<(), RouteError> {
    if say.message.chars().count() > MESSAGE_MAX {
        let text = format!("A message has at most {MESSAGE_MAX} characters.");
        return Err(RouteError::new("too_long", text).with("limit", MESSAGE_MAX));
    }
    let user_id = session
        .user_id()
        .ok_or_else(|| RouteError::new(code::NO_SESSION, "Nobody is logged in."))?
        .to_string();
    session.update(set("last_said", &say.message)).await?;
    let reply = Reply {
        message: format!("User ID={user_id} said \"{}\" to the world!", say.message),
        originating_message: say.message,
        originating_user_id: user_id,
    };
    bus.broadcast(ns("ws"), "world.reply", &reply).await?;
    Ok(())
}

/// What nodes tell each other.
pub(crate) fn observers(cfg: &mut Observers) {
    cfg.observer("world").on_broadcast("reply", reply);
}

/// `world.reply`: passes it on to every socket of this node.
async fn reply(sockets: LocalSockets, Payload(reply): Payload<Reply>) -> Result<(), EmitError> {
    sockets.emit("world.reply", &reply).await
}

#[cfg(test)]
mod tests {
    use router_core::{backend::memory::MemoryHub, testing::TestSystem};
    use serde_json::{Value, json};

    use super::*;

    #[tokio::test]
    async fn what_one_says_everybody_hears_on_every_node() {
        let hub = MemoryHub::new();
        let node = |nid| {
            let system = TestSystem::builder().routes(routes).observers(observers);
            system.hub(&hub).node(ns("ws").node(nid)).start()
        };
        let (zero, one) = (node(0).await, node(1).await);
        let (ann, bob) = (zero.connect_as("7").await, one.connect_as("8").await);
        ann.push("world.say", &json!({"message": "Hello"})).await.ok::<Value>();
        for socket in [&ann, &bob] {
            let heard: Reply = socket.assert_received("world.reply").await;
            assert_eq!(heard.message, "User ID=7 said \"Hello\" to the world!");
            assert_eq!((&*heard.originating_message, &*heard.originating_user_id), ("Hello", "7"));
        }
        let session = zero.sessions().load(ann.session_id().unwrap()).await.unwrap().unwrap();
        assert_eq!(session.store["last_said"], "Hello");
    }

    #[tokio::test]
    async fn a_message_that_is_too_long_is_refused() {
        let system = TestSystem::builder().routes(routes).observers(observers).start().await;
        let ann = system.connect_as("7").await;
        let long = "é".repeat(MESSAGE_MAX + 1);
        ann.push("world.say", &json!({ "message": long })).await.assert_error("too_long");
        ann.push("world.say", &json!({"message": 5})).await.assert_error("bad_payload");
    }
}
