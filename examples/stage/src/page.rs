//! Pages that connect to the ws nodes: where those are, and what such a page may load.

use std::collections::HashMap;

use actix_web::{
    HttpResponse,
    http::header::{self, ContentType},
};
use router_core::id::random_u64;
use serde::Serialize;

/// Where the ws nodes are, as browsers reach them: `ws://host:port`. Pages extract it as
/// `web::Data<Nodes>`.
#[derive(Debug, Clone)]
pub struct Nodes(pub(crate) Vec<String>);

impl Nodes {
    /// The nodes from a random one on, so that pages spread over them. The others are there for when
    /// it is gone.
    pub fn shuffled(&self) -> Vec<&str> {
        let mut nodes: Vec<&str> = self.0.iter().map(String::as_str).collect();
        if !nodes.is_empty() {
            let first = random_u64() % nodes.len() as u64;
            nodes.rotate_left(usize::try_from(first).unwrap_or(0));
        }
        nodes
    }
}

/// A page made from a template with marks: `{{NAME}}`.
///
/// It may load what is its own, and nothing else; it is never cached.
#[derive(Debug)]
pub struct Page {
    template: &'static str,
    marks: HashMap<&'static str, String>,
    connects_to: String,
    forms: &'static str,
}

impl Page {
    /// A page from its template. A mark without a value stays empty.
    pub fn new(template: &'static str) -> Self {
        let (marks, connects_to) = (HashMap::new(), String::new());
        Self { template, marks, connects_to, forms: "'none'" }
    }

    /// Text at a mark, between tags or in a quoted attribute.
    #[must_use]
    pub fn text(mut self, mark: &'static str, text: &str) -> Self {
        self.marks.insert(mark, escape(text));
        self
    }

    /// What the page's script needs, at the mark `SETTINGS` in a script element of the type
    /// `application/json`.
    #[must_use]
    pub fn settings(mut self, settings: &impl Serialize) -> Self {
        let json = serde_json::to_string(settings).unwrap_or_else(|error| {
            tracing::error!(%error, "a page's settings cannot be written as JSON");
            "null".to_owned()
        });
        // Inside a script element, only `<` could end it.
        self.marks.insert("SETTINGS", json.replace('<', "\\u003c"));
        self
    }

    /// The page may open sockets to the nodes.
    #[must_use]
    pub fn connects_to(mut self, nodes: &Nodes) -> Self {
        self.connects_to = nodes.0.join(" ");
        self
    }

    /// The page may send forms to its own service.
    #[must_use]
    pub fn sends_forms(mut self) -> Self {
        self.forms = "'self'";
        self
    }

    /// The page as an answer.
    pub fn answer(self) -> HttpResponse {
        let policy = format!(
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; \
             connect-src 'self' {}; base-uri 'none'; form-action {}; frame-ancestors 'none'",
            self.connects_to, self.forms
        );
        HttpResponse::Ok()
            .content_type(ContentType::html())
            .insert_header((header::CACHE_CONTROL, "no-store"))
            .insert_header((header::CONTENT_SECURITY_POLICY, policy))
            .body(filled(self.template, &self.marks))
    }
}

/// A page's script.
pub async fn script(text: &'static str) -> HttpResponse {
    asset("text/javascript; charset=utf-8", text)
}

/// A page's style sheet.
pub async fn style(text: &'static str) -> HttpResponse {
    asset("text/css; charset=utf-8", text)
}

fn asset(content_type: &'static str, body: &'static str) -> HttpResponse {
    HttpResponse::Ok()
        .content_type(content_type)
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .body(body)
}

/// The template with its marks replaced, in one walk: what is put in is not looked at again.
fn filled(template: &str, marks: &HashMap<&'static str, String>) -> String {
    let mut pieces = template.split("{{");
    let mut page = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (mark, rest) = piece.split_once("}}").unwrap_or(("", piece));
        page.push_str(marks.get(mark).map_or("", String::as_str));
        page.push_str(rest);
    }
    page
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use actix_web::body::MessageBody as _;

    use super::*;

    #[test]
    fn every_node_comes_first_at_times_and_none_is_lost() {
        let nodes = Nodes((0..3).map(|n| format!("ws://n{n}")).collect());
        let mut first = std::collections::HashSet::new();
        for _ in 0..200 {
            let mut order = nodes.shuffled();
            first.insert(order[0].to_owned());
            order.sort_unstable();
            assert_eq!(order, ["ws://n0", "ws://n1", "ws://n2"]);
        }
        assert_eq!(first.len(), 3);
        assert!(Nodes(Vec::new()).shuffled().is_empty());
    }

    #[test]
    fn what_somebody_calls_himself_is_never_a_part_of_the_page() {
        let page = Page::new("<p title=\"{{NAME}}\">{{OTHER}}</p><script>{{SETTINGS}}</script>")
            .text("NAME", "{{SETTINGS}}\"><b>")
            .settings(&"</script><b>")
            .answer();
        let body = page.into_body().try_into_bytes().unwrap();
        assert_eq!(
            body,
            "<p title=\"{{SETTINGS}}&quot;&gt;&lt;b&gt;\"></p>\
             <script>\"\\u003c/script>\\u003cb>\"</script>"
        );
    }
}
