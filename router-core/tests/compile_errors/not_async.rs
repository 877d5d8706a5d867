//! A handler that is not async.

use router_core::{Payload, Routes};

fn say(_: Payload<String>) -> String {
    String::new()
}

fn main() {
    Routes::default().route("world").on("say", say);
}
