//! A payload that serde cannot read.

use router_core::{Payload, Routes};

struct Say;

async fn say(_: Payload<Say>) {}

fn main() {
    Routes::default().route("world").on("say", say);
}
