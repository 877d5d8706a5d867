//! A type of the user's own as an argument, without `Payload`.

use router_core::Routes;

#[derive(serde::Deserialize)]
struct Say;

async fn say(_: Say) {}

fn main() {
    Routes::default().route("world").on("say", say);
}
