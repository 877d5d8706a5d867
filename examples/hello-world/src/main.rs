//! Hello, World!: say something in one browser and read it in another, through a web-service, a
//! confirmed socket, a route, the bus and an observer.

mod page;
mod world;

use std::process::ExitCode;

use stage::{Example, Nothing};

#[actix_web::main]
async fn main() -> ExitCode {
    let hello = Example {
        name: "hello-world",
        about: "Say something in one browser and read it in another.",
        page_port: 8888,
        ws_ports: 8889..=8891,
        invitation: |page| format!("Open {page} in two browsers, and say something in one."),
        pages: page::pages,
        routes: |cfg, _: &Nothing| world::routes(cfg),
        observers: world::observers,
    };
    hello.run().await
}
