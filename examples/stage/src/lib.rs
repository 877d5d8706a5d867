//! What the examples' programs share: a command line, a configuration, a web-service and ws nodes, in
//! one process or in several.
//!
//! An example says in one value what it adds, and the rest is the same for all:
//!
//! ```no_run
//! use std::process::ExitCode;
//!
//! use actix_web::web::{self, ServiceConfig};
//! use router_core::{Payload, Routes};
//! use stage::{Example, Nothing};
//!
//! #[actix_web::main]
//! async fn main() -> ExitCode {
//!     let example = Example {
//!         name: "parrot",
//!         about: "Hear again what you say.",
//!         page_port: 8880,
//!         ws_ports: 8881..=8882,
//!         invitation: |page| format!("Open {page}, and speak."),
//!         pages,
//!         routes: |cfg, _: &Nothing| routes(cfg),
//!         observers: |_| {},
//!     };
//!     example.run().await
//! }
//!
//! fn pages(cfg: &mut ServiceConfig) {
//!     cfg.route("/", web::get().to(async || "a page that connects to one of the nodes"));
//! }
//!
//! fn routes(cfg: &mut Routes) {
//!     cfg.root().on("say", async |Payload(text): Payload<String>| text);
//! }
//! ```
//!
//! The program has three forms. Without a command everything runs in one process on `memory:`; `web`
//! and `ws` are one service each, for processes that meet on the bus.

mod cli;
mod config;
mod page;
mod process;
mod run;

use std::{ops::RangeInclusive, process::ExitCode};

use actix_web::web::ServiceConfig;
use router_core::{Observers, Routes};

pub use config::{Nothing, Settings};
pub use page::{Nodes, Page, script, style};
pub use process::{Stop, listen, outcome, say};

/// An example: what it is called, where it is reached, and what it adds.
///
/// `T` is what it has to be configured of its own, in the section `[example]`. Pages extract it as
/// `web::Data<T>`, handlers as [`Data<T>`](router_core::Data).
#[derive(Debug, Clone)]
pub struct Example<T = Nothing> {
    /// The program's name, which its cookie and the key that its processes share have, too.
    pub name: &'static str,
    /// One sentence on what it is for.
    pub about: &'static str,
    /// The port of its pages, unless another one is configured.
    pub page_port: u16,
    /// The ports of the ws nodes: as many nodes has the form in one process.
    pub ws_ports: RangeInclusive<u16>,
    /// The words of the first run, given where the pages are: `http://127.0.0.1:8888`.
    pub invitation: fn(&str) -> String,
    /// Its pages.
    pub pages: fn(&mut ServiceConfig),
    /// What clients may emit and subscribe to.
    pub routes: fn(&mut Routes, &T),
    /// What nodes tell each other.
    pub observers: fn(&mut Observers),
}

impl<T: Settings> Example<T> {
    /// Runs what the command line asks for, until SIGTERM or Ctrl-C. To be called in an actix system:
    /// see `actix_web::main`.
    pub async fn run(self) -> ExitCode {
        let name = self.name;
        outcome(name, cli::start(self).await)
    }
}
