//! A returned value that serde cannot write.

use router_core::Routes;

struct Said;

async fn say() -> Said {
    Said
}

fn main() {
    Routes::default().route("world").on("say", say);
}
