//! Services on free ports, pages that use what is tested, and a browser by hand.

use std::{net::TcpListener, sync::Arc, time::Duration};

use actix_web::{
    HttpResponse,
    error::ErrorImATeapot,
    rt::task::JoinHandle,
    web::{self, ServiceConfig},
};
use awc::{Client, ClientRequest, http::Method, http::header::HeaderMap};
use router_core::{
    Bus, Observers, Payload,
    backend::memory::MemoryHub,
    handler::{DataMap, Services},
    keys::{Key, KeyRing},
    node::{Node, NodeSpec},
    ns,
    observer::ObserverSet,
    session::{Ended, SessionSettings, Sessions, Site, UserId, inc},
};
use serde_json::{Map, Value, json};
use tokio::sync::{Notify, mpsc, oneshot};
use web_service::{Builder, RunError, SameOrigin, WebError, WebService, WebSession};

/// How long a condition may take to come true.
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);

/// Asks until `condition` is true.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, condition: impl Fn() -> F) {
    let asked = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(tokio::time::timeout(DEADLINE, asked).await.is_ok(), "not within the deadline: {what}");
}

/// A system: one hub, one site, one ring of keys.
pub(crate) struct System {
    pub(crate) hub: MemoryHub,
    pub(crate) keys: Arc<KeyRing>,
}

/// A request to `/slow` reports here and then waits to be let go.
#[derive(Default)]
pub(crate) struct Gate {
    pub(crate) entered: Notify,
    pub(crate) open: Notify,
}

/// A service that runs.
pub(crate) struct Running {
    pub(crate) web: WebService,
    pub(crate) port: u16,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), RunError>>,
}

impl System {
    pub(crate) fn new() -> Self {
        let keys = KeyRing::new(Key::random("now").unwrap(), None).unwrap();
        Self { hub: MemoryHub::new(), keys: Arc::new(keys) }
    }

    /// The same system after its keys were changed.
    pub(crate) fn with_next_key(&self, id: &str) -> Self {
        let previous = Some(self.keys.current().clone());
        let keys = KeyRing::new(Key::random(id).unwrap(), previous).unwrap();
        Self { hub: self.hub.clone(), keys: Arc::new(keys) }
    }

    pub(crate) fn sessions(&self) -> Sessions {
        Sessions::new(self.hub.backend().records, Site::main(), SessionSettings::default())
    }

    pub(crate) async fn builder(&self, nid: u32) -> Builder {
        let spec = NodeSpec {
            probe_interval: Duration::from_millis(20),
            ..NodeSpec::new(ns("web").node(nid))
        };
        let node = Node::start(spec, self.hub.backend()).await.unwrap();
        WebService::builder(node, self.sessions(), Arc::clone(&self.keys)).workers(1)
    }

    /// A service with the pages of these tests.
    pub(crate) async fn start(&self, nid: u32) -> Running {
        self.start_with(nid, |builder| builder).await
    }

    pub(crate) async fn start_with(
        &self,
        nid: u32,
        change: impl FnOnce(Builder) -> Builder,
    ) -> Running {
        let builder = self.builder(nid).await.configure(pages).data(Gate::default());
        let web = change(builder).build().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (stop, stopped) = oneshot::channel();
        let shutdown = async move {
            let _gone = stopped.await;
        };
        let task = actix_web::rt::spawn(web.clone().run(listener, shutdown));
        Running { web, port, stop, task }
    }

    /// A ws node without sockets, and the ends of sessions that it hears of.
    pub(crate) async fn listening_ws_node(&self) -> (Node, mpsc::Receiver<String>) {
        let node = Node::start(NodeSpec::new(ns("ws").node(0)), self.hub.backend()).await.unwrap();
        let (tell, told) = mpsc::channel(16);
        let observers = Observers::build([move |cfg: &mut Observers| {
            // The confirmed way: the broadcast may be lost.
            cfg.observer("whisk").on_transmit(
                "session_ended",
                move |Payload(ended): Payload<Ended>| {
                    let tell = tell.clone();
                    async move {
                        let _full = tell.try_send(ended.sid.as_str().to_owned());
                    }
                },
            );
        }]);
        let services = Services::without_sockets(&node, self.sessions(), DataMap::default());
        let observers = Arc::new(ObserverSet::new(observers.unwrap()).unwrap());
        let inbox = node.take_inbox().unwrap();
        actix_web::rt::spawn(inbox.observe(observers, services));
        (node, told)
    }
}

impl Running {
    /// Tells the service to stop, and returns its end.
    pub(crate) fn stop(self) -> JoinHandle<Result<(), RunError>> {
        self.stop.send(()).unwrap();
        self.task
    }

    pub(crate) fn browser(&self) -> Browser {
        Browser::new(self.port)
    }
}

/// The pages of these tests.
pub(crate) fn pages(cfg: &mut ServiceConfig) {
    cfg.route("/plain", web::get().to(async || "hello"))
        .route("/who", web::get().to(who))
        .route("/count", web::post().to(count))
        .route("/login/{user}", web::post().to(login))
        .route("/login-and-fail", web::post().to(login_and_fail))
        .route("/logout", web::post().to(logout))
        .route("/guarded", web::post().to(async |_: SameOrigin| "done"))
        .route("/bus", web::get().to(async |bus: web::Data<Bus>| bus.node().to_string()))
        .route("/slow", web::get().to(slow));
}

async fn who(session: WebSession) -> Result<HttpResponse, WebError> {
    let store: Map<String, Value> = session.store().await?;
    Ok(HttpResponse::Ok().json(json!({"user": session.user_id().await?, "store": store})))
}

async fn count(session: WebSession) -> Result<HttpResponse, WebError> {
    Ok(HttpResponse::Ok().json(session.update(inc("count", 1)).await?))
}

async fn login(session: WebSession, user: web::Path<String>) -> Result<HttpResponse, WebError> {
    session.login(UserId::new(user.into_inner()).unwrap()).await?;
    Ok(HttpResponse::Ok().json(session.start_session_sync().await?))
}

async fn login_and_fail(session: WebSession) -> Result<HttpResponse, actix_web::Error> {
    session.login(UserId::new("7").unwrap()).await?;
    Err(ErrorImATeapot("short and stout"))
}

async fn logout(session: WebSession) -> Result<HttpResponse, WebError> {
    session.logout().await?;
    Ok(HttpResponse::NoContent().finish())
}

async fn slow(gate: web::Data<Gate>) -> &'static str {
    gate.entered.notify_one();
    gate.open.notified().await;
    "at last"
}

/// A browser by hand: it sends the cookie that it holds, and no header by itself.
pub(crate) struct Browser {
    client: Client,
    port: u16,
    /// `name=value`.
    pub(crate) cookie: Option<String>,
}

/// What a request was answered with.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Browser {
    pub(crate) fn new(port: u16) -> Self {
        let client = Client::builder().timeout(DEADLINE).finish();
        Self { client, port, cookie: None }
    }

    pub(crate) fn origin(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        self.send(Method::GET, path, &[]).await
    }

    pub(crate) async fn post(&mut self, path: &str) -> Answer {
        self.send(Method::POST, path, &[]).await
    }

    /// Sends a request, and takes over the cookie of the answer.
    pub(crate) async fn send(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Answer {
        let answer = self.request(method, path, headers).await;
        if let Some(set) = answer.header("set-cookie") {
            let cookie = set.split(';').next().unwrap().to_owned();
            let cleared = set.contains("Max-Age=0");
            self.cookie = (!cleared).then_some(cookie);
        }
        answer
    }

    async fn request(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request: ClientRequest =
            self.client.request(method, format!("{}{path}", self.origin()));
        for header in headers {
            request = request.append_header(*header);
        }
        if let Some(cookie) = &self.cookie {
            request = request.insert_header(("cookie", cookie.as_str()));
        }
        let mut response = request.send().await.unwrap();
        let body = response.body().limit(1 << 20).await.unwrap();
        Answer {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body: String::from_utf8(body.to_vec()).unwrap(),
        }
    }
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// The code of an error's body.
    pub(crate) fn error_code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap().to_owned()
    }
}
