//! More arguments than a handler may have.

use router_core::{Args, Routes};

#[rustfmt::skip]
async fn say(_: Args, _: Args, _: Args, _: Args, _: Args, _: Args, _: Args, _: Args, _: Args) {}

fn main() {
    Routes::default().route("world").on("say", say);
}
