//! The pages: one to enter by, and one for each role.

use actix_web::{
    HttpResponse,
    http::header,
    web::{self, Data, Form, Query, ServiceConfig},
};
use router_core::{
    id::random_u64,
    session::{UserId, set},
};
use serde::{Deserialize, Serialize};
use stage::{Nodes, Page, script, style};
use web_service::{SameOrigin, WebError, WebSession};

use crate::{
    person::{Person, Role, Visit},
    settings::Exam,
};

/// The pages of the example.
pub(crate) fn pages(cfg: &mut ServiceConfig) {
    cfg.route("/", web::get().to(landing))
        .route("/enter", web::post().to(enter))
        .route("/exam", web::get().to(exam))
        .route("/exam.css", web::get().to(|| style(include_str!("../assets/exam.css"))));
    for (path, text) in SCRIPTS {
        cfg.route(path, web::get().to(move || script(text)));
    }
}

const SCRIPTS: [(&str, &str); 5] = [
    ("/proctor.js", include_str!("../assets/proctor.js")),
    ("/student.js", include_str!("../assets/student.js")),
    ("/room.js", include_str!("../assets/room.js")),
    ("/roster.js", include_str!("../assets/roster.js")),
    ("/dom.js", include_str!("../assets/dom.js")),
];

#[derive(Debug, Deserialize)]
struct Wanted {
    role: Option<Role>,
}

async fn landing(wanted: Option<Query<Wanted>>) -> HttpResponse {
    let role = wanted.and_then(|wanted| wanted.role).unwrap_or(Role::Student);
    let checked = |own| if role == own { "checked" } else { "" };
    Page::new(include_str!("../assets/landing.html"))
        .text("STUDENT", checked(Role::Student))
        .text("PROCTOR", checked(Role::Proctor))
        .sends_forms()
        .answer()
}

/// Makes whoever comes a new user of the chosen name and role. An application has users of its own, and
/// knows who is a proctor; here, whoever says so is one.
async fn enter(
    _: SameOrigin,
    session: WebSession,
    Form(person): Form<Person>,
) -> Result<HttpResponse, WebError> {
    // Others see a user's id on the roster, as the server's word: so the role is a part of it.
    let number = 100_000 + random_u64() % 900_000;
    let user = UserId::new(format!("{}-{number}", person.role.as_str()));
    session.login(user.ok_or(WebError::NoSession)?).await?;
    session.update(set("person", &person)).await?;
    Ok(to("/exam"))
}

/// What the room's script needs.
#[derive(Debug, Serialize)]
struct Settings<'a> {
    user_id: &'a str,
    ws_token: &'a str,
    nodes: Vec<&'a str>,
    person: &'a Person,
    /// Milliseconds after which a page that is heard no more counts as dropped.
    dropped_after_ms: u64,
}

async fn exam(
    session: WebSession,
    nodes: Data<Nodes>,
    exam: Data<Exam>,
) -> Result<HttpResponse, WebError> {
    let (Some(_), Some(person)) =
        (session.user_id().await?, session.store::<Visit>().await?.person)
    else {
        return Ok(to("/"));
    };
    let sync = session.start_session_sync().await?;
    let settings = Settings {
        user_id: sync.user_id.as_str(),
        ws_token: &sync.ws_token,
        nodes: nodes.shuffled(),
        person: &person,
        dropped_after_ms: exam.dropped_after_ms(),
    };
    let template = match person.role {
        Role::Proctor => include_str!("../assets/proctor.html"),
        Role::Student => include_str!("../assets/student.html"),
    };
    let page = Page::new(template).text("ROOM", person.room.as_str());
    let page = page.text("NAME", person.name.as_str()).text("USER_ID", settings.user_id);
    Ok(page.settings(&settings).connects_to(&nodes).answer())
}

fn to(path: &'static str) -> HttpResponse {
    HttpResponse::SeeOther()
        .insert_header((header::LOCATION, path))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .finish()
}
