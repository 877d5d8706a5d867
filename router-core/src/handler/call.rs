//! Calling a handler with what its extractors made.

use std::{future::Future, sync::Arc};

use futures_util::future::LocalBoxFuture;

use super::{FromMessage, IntoReply, Message};
use crate::{args::Args, error::RouteError};

/// An async function that can handle a message.
///
/// It is implemented for every function that
/// 1. is `async fn`, or a closure that returns a future, and is `Clone + Send + Sync + 'static`,
/// 2. takes at most eight arguments, each a [`FromMessage`],
/// 3. returns something that is an [`IntoReply`]; the error of a `Result` must not implement
///    `Serialize`, or the compiler cannot tell it from a value.
///
/// Its future runs on one thread and need not be `Send`. `Sources` and `M` are markers that the
/// compiler fills in.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no handler",
    label = "this function cannot handle an event",
    note = "it must be an `async fn`, or a closure that returns a future, of at most eight arguments",
    note = "every argument must be an extractor: wrap a type of your own, which serde can read, as `Payload<T>`",
    note = "it must return something that serde can write, `Args`, or a `Result` of these whose error `RouteError` is made `From`",
    note = "the table of extractors stands in the documentation of `router_core::handler`"
)]
pub trait Handler<Sources, M>: Clone + Send + Sync + 'static {
    /// Runs the extractors in order, then the function.
    fn call(self, message: Message) -> impl Future<Output = Result<Args, RouteError>> + 'static;
}

macro_rules! handler {
    ($($source:ident)*) => {
        impl<F, Fut, M, $($source,)*> Handler<($($source,)*), M> for F
        where
            F: Fn($($source),*) -> Fut + Clone + Send + Sync + 'static,
            Fut: Future + 'static,
            Fut::Output: IntoReply<M>,
            M: 'static,
            $($source: FromMessage + 'static,)*
        {
            #[allow(
                non_snake_case,
                unused_variables,
                reason = "the macro names each argument after its type; the empty list reads none"
            )]
            fn call(
                self,
                message: Message,
            ) -> impl Future<Output = Result<Args, RouteError>> + 'static {
                // A block keeps the message once; an `async fn` would keep it twice.
                async move {
                    $(let $source = $source::from_message(&message).await?;)*
                    self($($source),*).await.into_reply()
                }
            }
        }
    };
}

handler!();
handler!(A);
handler!(A B);
handler!(A B C);
handler!(A B C D);
handler!(A B C D E);
handler!(A B C D E G);
handler!(A B C D E G H);
handler!(A B C D E G H I);

/// A handler whose type is forgotten.
pub(crate) type ErasedHandler =
    Arc<dyn Fn(Message) -> LocalBoxFuture<'static, Result<Args, RouteError>> + Send + Sync>;

/// Forgets a handler's type.
pub(crate) fn erase<H: Handler<S, M>, S: 'static, M: 'static>(handler: H) -> ErasedHandler {
    Arc::new(move |message| Box::pin(handler.clone().call(message)))
}
