//! What a route or observer module needs, and the pure parts that every Whisk service shares.

pub mod address;
pub mod args;
pub mod backend;
pub mod envelope;
pub mod error;
pub mod id;

pub use address::{
    Address, AddressError, Incarnation, Namespace, NodeAddress, NodeId, TenantId,
};
pub use args::{Args, PayloadError};
pub use envelope::{Envelope, Kind};
pub use error::{RouteError, code};
