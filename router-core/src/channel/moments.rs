//! The hooks of channels: each channel's follow each other, in the order of what happened.

use std::{fmt, sync::Arc};

use super::{
    ChannelHook, ChannelName, judge::message_for, local::Here, node::ChannelNode, rules::Rules,
    subscribe::Hooks, turns::Ticket,
};
use crate::{
    args::Args,
    handler::{Occasion, Services},
    route::dispatch::guarded,
    socket::{Socket, SocketData},
};

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
                let message = message_for(services, &socket, occasion, name.text(), Args::EMPTY);
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
