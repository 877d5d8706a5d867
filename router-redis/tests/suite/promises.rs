//! The one suite over every backend, on one server and on a cluster of three masters.

use router_core::backend::conformance::Two;

use crate::server::connect;

mod single {
    use super::*;

    async fn two() -> Two {
        let url = crate::server::shared_server().url();
        Two { first: connect(&url), second: connect(&url) }
    }

    router_core::conformance_suite!(two());
}

mod cluster {
    use super::*;

    async fn two() -> Two {
        let url = crate::server::shared_cluster().url();
        Two { first: connect(&url), second: connect(&url) }
    }

    router_core::conformance_suite!(two());
}
