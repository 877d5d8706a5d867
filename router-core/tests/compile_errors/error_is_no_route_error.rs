//! An error type that does not become a `RouteError`.

use router_core::Routes;

struct Failed;

async fn say() -> Result<u8, Failed> {
    Err(Failed)
}

fn main() {
    Routes::default().route("world").on("say", say);
}
