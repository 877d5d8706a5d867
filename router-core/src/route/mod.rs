//! Routes: the events that clients emit, and the handlers that answer them.

mod configure;
pub(crate) mod dispatch;
mod gate;
pub mod lanes;
mod nsp;

pub use configure::{ConfigureError, Hook, Route, Routes};
pub(crate) use configure::{Duplicate, Registered};
pub use dispatch::{Begun, Found, RouteId, Router};
pub(crate) use gate::Gate;
pub use nsp::NspRoutes;
