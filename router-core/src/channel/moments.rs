//! The hooks of channels: each channel's follow each other, in the order of what happened.

use std::{fmt, sync::Arc};

use super::{
    ChannelHook, ChannelName, local::Here, node::ChannelNode, rules::Rules, turns::Ticket,
};
use crate::{
    args::Args,
    handler::{Message, Occasion, Services},
    route::dispatch::guarded,
    socket::{Socket, SocketData},
};

/// What is done with the hooks of what happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hooks {
    /// They are waited for.
    Await,
    /// They run as a task of this thread: who asks may be a hook, which none can come before.
    Spawn,
}

/// Something that happened to a channel, of which hooks are to hear in its turn.
pub(super) struct Moment {
    ticket: Ticket<ChannelName>,
    socket: Socket,
    name: ChannelName,
    rules: Arc<Rules>,
    /// What the program keeps with the channel, also where this was its end.
    locals: Arc<SocketData>,
    hooks: &'static [ChannelHook],
}

impl fmt::Debug for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Moment").field(&self.name).field(&self.hooks).finish()
    }
}

impl ChannelNode {
    /// Takes the channel's next place for hooks; `None` where nothing is to be run.
    pub(super) fn moment(
        &self,
        socket: &Socket,
        name: &ChannelName,
        here: &Here,
        hooks: &'static [ChannelHook],
    ) -> Option<Moment> {
        let is_heard = hooks.iter().any(|hook| !here.rules.hooks(*hook).is_empty());
        is_heard.then(|| Moment {
            ticket: self.moments.ticket(name.clone()),
            socket: socket.clone(),
            name: name.clone(),
            rules: Arc::clone(&here.rules),
            locals: Arc::clone(&here.locals),
            hooks,
        })
    }

    /// Runs the hooks of what happened.
    pub(super) async fn run_moments(
        self: &Arc<Self>,
        services: &Arc<Services>,
        moments: Vec<Moment>,
        hooks: Hooks,
    ) {
        if moments.is_empty() {
            return;
        }
        let (node, services) = (Arc::clone(self), Arc::clone(services));
        let run = async move {
            for moment in moments {
                node.run_moment(&services, moment).await;
            }
        };
        match hooks {
            Hooks::Await => run.await,
            Hooks::Spawn => drop(tokio::task::spawn_local(run)),
        }
    }

    async fn run_moment(&self, services: &Arc<Services>, moment: Moment) {
        let Moment { ticket, socket, name, rules, locals, hooks } = moment;
        let _turn = ticket.begin().await;
        for hook in hooks {
            for handler in rules.hooks(*hook) {
                let occasion = Occasion::ChannelHook(*hook, name.clone(), Arc::clone(&locals));
                let (socket, name) = (socket.clone(), name.text());
                let message = Message::of(services, socket, occasion, name, Args::EMPTY);
                match self.in_time(guarded(handler, message)).await {
                    Some(Ok(_)) => {}
                    Some(Err(error)) => {
                        // Its text may quote what a client sent, which stays out of logs.
                        tracing::warn!(?hook, code = error.code(), "a hook of a channel failed");
                    }
                    None => tracing::warn!(?hook, "a hook of a channel did not end in time"),
                }
            }
        }
    }
}
