//! What nodes tell each other about channels, beside the arguments that travel with it.

use bytestring::ByteString;
use serde::{Deserialize, Serialize};

use super::ChannelName;
use crate::{
    address::{Address, NodeAddress, TenantId},
    id::MessageId,
    presence::ClientId,
    session::{SessionId, Site, UserId},
};

/// One word about channels. The keys are short because every message carries them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Word {
    /// A message for sockets.
    #[serde(rename = "p")]
    Publication(Publication),
    /// Sockets are sent away for good.
    #[serde(rename = "b")]
    Boot(Boot),
    /// A question to sockets, whose answers go to the asking node one by one.
    #[serde(rename = "q")]
    Question(Question),
    /// What a node that heard a question has to say to the asking node.
    #[serde(rename = "a")]
    Answer(Answer),
    /// Somebody wants to know who on a channel is there now.
    #[serde(rename = "k")]
    Knock(Knock),
    /// Some of those whom a node has on a channel answered; the argument is a list of them, each with
    /// the time.
    #[serde(rename = "s")]
    Seen(Seen),
    /// A client's reply to another's request, for the requester's node.
    #[serde(rename = "r")]
    Reply(RequestReply),
}

/// Which sockets are meant.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum Audience {
    /// Those on a channel.
    #[serde(rename = "c")]
    Channel(ChannelName),
    /// One of those on a channel.
    #[serde(rename = "d")]
    Direct(Site, ChannelName, TenantId),
    /// Those of a user.
    #[serde(rename = "u")]
    User(UserId),
    /// Those of a session.
    #[serde(rename = "s")]
    Session(SessionId),
    /// One socket.
    #[serde(rename = "t")]
    Socket(Site, TenantId),
    /// All.
    #[serde(rename = "*")]
    All(Site),
}

impl Audience {
    /// The site, where the subject on which it is heard does not name it.
    pub(super) fn site(&self) -> Option<&Site> {
        match self {
            Self::Direct(site, ..) | Self::Socket(site, _) | Self::All(site) => Some(site),
            Self::Channel(_) | Self::User(_) | Self::Session(_) => None,
        }
    }
}

/// A message for sockets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Publication {
    #[serde(rename = "t")]
    pub(crate) to: Audience,
    #[serde(rename = "e")]
    pub(crate) topic: ByteString,
    #[serde(rename = "i")]
    pub(crate) id: MessageId,
    /// The socket that published it, which does not get it.
    #[serde(rename = "f", default, skip_serializing_if = "Option::is_none")]
    pub(crate) sender: Option<Sender>,
    /// Whether the sender waits for a reply.
    #[serde(rename = "q", default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) asks: bool,
}

/// Who published a message, and when. All of it is the server's word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sender {
    #[serde(rename = "a")]
    pub(crate) address: Address,
    #[serde(rename = "c", default, skip_serializing_if = "Option::is_none")]
    pub(crate) client: Option<ClientId>,
    #[serde(rename = "u", default, skip_serializing_if = "Option::is_none")]
    pub(crate) user: Option<UserId>,
    /// In milliseconds since 1970.
    #[serde(rename = "w")]
    pub(crate) at: u64,
}

/// Sockets are sent away for good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Boot {
    #[serde(rename = "t")]
    pub(crate) to: Audience,
    #[serde(rename = "w")]
    pub(crate) reason: ByteString,
}

/// A question to sockets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Question {
    #[serde(rename = "t")]
    pub(crate) to: Audience,
    /// The event's name.
    #[serde(rename = "e")]
    pub(crate) event: ByteString,
    #[serde(rename = "i")]
    pub(crate) id: MessageId,
    /// The asking node.
    #[serde(rename = "o")]
    pub(crate) origin: NodeAddress,
    /// For how long it waits, in milliseconds.
    #[serde(rename = "d")]
    pub(crate) deadline_ms: u64,
}

/// What comes back to a question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Answer {
    /// The question's id.
    #[serde(rename = "i")]
    pub(crate) id: MessageId,
    #[serde(flatten)]
    pub(crate) said: Said,
}

/// What a node says to a question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Said {
    /// It has asked some of its sockets; the argument is a list of them, each with its user. A node
    /// may say it in several parts; only the last has `more` false.
    #[serde(rename = "m")]
    Members {
        /// Whether another part follows.
        #[serde(rename = "n", default, skip_serializing_if = "std::ops::Not::not")]
        more: bool,
    },
    /// A socket answered; the arguments are its answer.
    #[serde(rename = "v")]
    Value(Address),
    /// A socket will not answer; the argument is why.
    #[serde(rename = "x")]
    Failed(Address),
}

/// Somebody wants to know who on a channel is there now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Knock {
    #[serde(rename = "c")]
    pub(crate) channel: ChannelName,
    /// The socket that wants to know, and its node.
    #[serde(rename = "t")]
    pub(crate) knocker: (NodeAddress, TenantId),
}

/// To whom an answer to a knock goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Seen {
    #[serde(rename = "s")]
    pub(crate) site: Site,
    #[serde(rename = "c")]
    pub(crate) channel: ChannelName,
    #[serde(rename = "t")]
    pub(crate) to: TenantId,
}

/// A client's reply to another's request. The arguments are the reply, or an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RequestReply {
    #[serde(rename = "s")]
    pub(crate) site: Site,
    #[serde(rename = "c")]
    pub(crate) channel: ChannelName,
    /// The request's id, as the replier says.
    #[serde(rename = "i")]
    pub(crate) re: ByteString,
    /// The requester, as the replier says.
    #[serde(rename = "t")]
    pub(crate) to: TenantId,
    #[serde(rename = "f")]
    pub(crate) sender: Sender,
    /// Whether it is an error.
    #[serde(rename = "x", default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) failed: bool,
}
