//! What events meet besides their handlers: middleware, observers of all events, the fallback.

use std::sync::{Arc, Mutex, PoisonError};

use router_core::{
    Data, EventName, Payload, RouteError, Routes,
    socket::{Handshake, Socket},
    testing::TestSystem,
};

#[derive(Default)]
struct Notes(Mutex<Vec<String>>);

type Shared = Data<Arc<Notes>>;

impl Notes {
    fn add(&self, note: String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(note);
    }
}

fn routes(cfg: &mut Routes) {
    cfg.root().on("known", async |notes: Shared| notes.add("handler".to_owned()));
    cfg.on_any(async |notes: Shared, EventName(name): EventName| notes.add(format!("any {name}")))
        .on_any(async || Err::<(), _>(RouteError::internal()));
    cfg.fallback(async |EventName(name): EventName| format!("{name} is not known"));
    cfg.nsp("/")
        .prepend(async |socket: Socket| {
            let events = socket.data().remove::<u32>().unwrap_or_default() + 1;
            socket.data().insert(events);
        })
        .prepend(
            async |notes: Shared, EventName(name): EventName, text: Option<Payload<String>>| {
                notes.add(format!("before {name}"));
                match text {
                    Some(Payload(text)) if text == "bad" => Err(RouteError::new("bad_word", "No.")),
                    _ => Ok(()),
                }
            },
        );
    cfg.nsp("/other").prepend(async || Err::<(), _>(RouteError::internal()));
}

#[tokio::test]
async fn an_event_meets_observers_and_middleware_before_its_handler() {
    let notes = Arc::<Notes>::default();
    let system = TestSystem::builder().routes(routes).data(Arc::clone(&notes)).start().await;
    let ann = system.connect_as("ann").await;
    ann.push("known", "good").await.ok::<()>();
    assert_eq!(*notes.0.lock().unwrap(), ["any known", "before known", "handler"]);
    notes.0.lock().unwrap().clear();
    ann.push("known", "bad").await.assert_error("bad_word");
    assert_eq!(*notes.0.lock().unwrap(), ["any known", "before known"]);
    let told: String = ann.push("unknown.event", &()).await.ok();
    assert_eq!(told, "unknown.event is not known");
    ann.push("unknown.event", "bad").await.assert_error("bad_word");
    assert_eq!(ann.handle().data().get::<u32>(), Some(4));
}

#[tokio::test]
async fn a_second_fallback_is_refused_with_both_places() {
    let twice = |cfg: &mut Routes| {
        cfg.fallback(async || 1).fallback(async || 2);
    };
    let error = Routes::build([twice]).unwrap_err();
    assert_eq!(error.duplicates[0].name, "the fallback");
}

#[tokio::test]
async fn a_test_socket_showed_nothing() {
    let routes = |cfg: &mut Routes| {
        cfg.root().on("auth", async |handshake: Handshake| handshake.auth_json().to_owned());
    };
    let system = TestSystem::builder().routes(routes).start().await;
    let auth: String = system.connect_anonymous().await.push("auth", &()).await.ok();
    assert_eq!(auth, "{}");
}
