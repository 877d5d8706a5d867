//! What a handler can return.
//!
//! The marker types keep the implementations apart: `()`, [`Args`], a value and a `Result` of them
//! are all fine, and the compiler finds the one that fits.

use std::marker::PhantomData;

use serde::Serialize;

use crate::{args::Args, error::RouteError};

/// Marks a value that is written as one JSON argument.
#[derive(Debug)]
pub struct ViaValue(());

/// Marks arguments that are passed on as they are.
#[derive(Debug)]
pub struct ViaArgs(());

/// Marks a `Result` of something marked `M`.
#[derive(Debug)]
pub struct ViaResult<M>(PhantomData<M>);

/// Marks something marked `M` that cannot fail.
#[derive(Debug)]
pub struct ViaPlain<M>(PhantomData<M>);

/// What can be an acknowledgement's arguments: one value that serde can write, or [`Args`].
pub trait IntoArgs<M> {
    /// The arguments.
    ///
    /// # Errors
    /// `internal` when the value cannot be written as JSON.
    fn into_args(self) -> Result<Args, RouteError>;
}

impl<T: Serialize> IntoArgs<ViaValue> for T {
    fn into_args(self) -> Result<Args, RouteError> {
        Args::one(&self).map_err(|error| {
            tracing::error!(%error, "a handler's value cannot be written as JSON");
            RouteError::internal()
        })
    }
}

impl IntoArgs<ViaArgs> for Args {
    fn into_args(self) -> Result<Args, RouteError> {
        Ok(self)
    }
}

/// What a handler can return: something that serde can write, `()`, [`Args`], or a `Result` of
/// these with an error that becomes a [`RouteError`].
#[diagnostic::on_unimplemented(
    message = "a handler cannot return `{Self}`",
    label = "this cannot be an event's acknowledgement",
    note = "return a value that implements `serde::Serialize`, `Args`, or `Result<_, RouteError>`",
    note = "an error type of your own needs `impl From<YourError> for RouteError`"
)]
pub trait IntoReply<M> {
    /// The acknowledgement.
    ///
    /// # Errors
    /// The handler's own error.
    fn into_reply(self) -> Result<Args, RouteError>;
}

impl<T: IntoArgs<M>, M> IntoReply<ViaPlain<M>> for T {
    fn into_reply(self) -> Result<Args, RouteError> {
        self.into_args()
    }
}

impl<T: IntoArgs<M>, E: Into<RouteError>, M> IntoReply<ViaResult<M>> for Result<T, E> {
    fn into_reply(self) -> Result<Args, RouteError> {
        self.map_err(Into::into)?.into_args()
    }
}
