//! What events meet besides their handlers: middleware, observers of all events, the fallback.

use std::sync::{Arc, Mutex, PoisonError};

use router_core::{
    Data, EventName, Payload, RouteError, Routes,
    route::Hook,
    socket::{Handshake, Io, Socket, Tap},
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

/// Gates of one socket, as a hook adds them to every socket of a user.
fn per_socket(cfg: &mut Routes) {
    let root = cfg.root();
    root.on("known", async |notes: Shared| notes.add("handler".to_owned()));
    root.on("tell", async |socket: Socket, io: Io, Payload(text): Payload<String>| {
        socket.emit("told", &text).await?;
        io.emit("all", &text).await?;
        Ok::<_, RouteError>(())
    });
    root.on("off", async |socket: Socket| {
        socket.off_any();
        socket.off_any_outgoing();
        let stop = socket.data().remove::<Tap>().ok_or_else(RouteError::internal)?;
        Ok::<_, RouteError>((socket.off(stop), socket.off(stop)))
    });
    cfg.hook(Hook::Connect, async |socket: Socket, notes: Shared| {
        // Anonymous ones have none.
        if socket.user_id().is_none() {
            return;
        }
        socket.on_any(async |notes: Shared, EventName(name): EventName| {
            notes.add(format!("second {name}"));
            Err::<(), _>(RouteError::internal())
        });
        socket.on_any_first(async |notes: Shared, name: EventName| {
            notes.add(format!("first {}", name.0));
        });
        let stop = socket.prepend(async |text: Option<Payload<String>>| match text {
            Some(Payload(text)) if text == "bad" => Err(RouteError::new("bad_word", "No.")),
            _ => Ok(()),
        });
        socket.data().insert(stop);
        socket.on_any_outgoing(|_, _| panic!("on purpose"));
        let out = notes.clone();
        socket.on_any_outgoing_first(move |event, args| {
            out.add(format!("out {event} {}", args.json()))
        });
    });
}

#[tokio::test]
async fn one_socket_has_gates_of_its_own_and_others_meet_none_of_them() {
    let notes = Arc::<Notes>::default();
    let system = TestSystem::builder().routes(per_socket).data(Arc::clone(&notes)).start().await;
    let taken = || std::mem::take(&mut *notes.0.lock().unwrap());
    let ann = system.connect_as("ann").await;
    let ben = system.connect_anonymous().await;
    ann.push("known", "good").await.ok::<()>();
    assert_eq!(taken(), ["first known", "second known", "handler"]);
    ann.push("known", "bad").await.assert_error("bad_word");
    ann.push("unknown", "good").await.assert_error("unknown_event");
    assert_eq!(taken(), ["first known", "second known", "first unknown", "second unknown"]);
    ben.push("known", "bad").await.ok::<()>();
    ben.push("unknown", "bad").await.assert_error("unknown_event");
    assert_eq!(taken(), ["handler"]);
    ben.push("tell", "ben").await.ok::<()>();
    ann.push("tell", "ann").await.ok::<()>();
    let seen =
        ["out all \"ben\"", "first tell", "second tell", "out told \"ann\"", "out all \"ann\""];
    assert_eq!(taken(), seen);
    // Those that look do not keep anybody from anything.
    assert_eq!(ann.assert_received::<String>("all").await, "ben");
    assert_eq!(ann.push("off", &()).await.ok::<(bool, bool)>(), (true, false));
    taken();
    ann.push("known", "bad").await.ok::<()>();
    ann.push("tell", "ann").await.ok::<()>();
    assert_eq!(taken(), ["handler"]);
}
