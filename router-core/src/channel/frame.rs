//! What nodes tell each other about channels, beside the arguments that travel with it.

use bytestring::ByteString;
use serde::{Deserialize, Serialize};

use super::ChannelName;
use crate::{
    address::{Address, NodeAddress, TenantId},
    error::ErrorBody,
    id::MessageId,
    presence::{ClientId, Millis},
    session::{SessionId, UserId},
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
    Knock(ChannelName),
    /// When a node's sockets on a channel were heard last.
    #[serde(rename = "s")]
    Seen(ChannelName, Vec<(ClientId, Millis)>),
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
    Direct(ChannelName, TenantId),
    /// Those of a user.
    #[serde(rename = "u")]
    User(UserId),
    /// Those of a session.
    #[serde(rename = "s")]
    Session(SessionId),
    /// One socket.
    #[serde(rename = "t")]
    Socket(TenantId),
    /// All.
    #[serde(rename = "*")]
    All,
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
    /// It has asked these of its sockets. A node may say it in several parts; only the last has
    /// `more` false.
    #[serde(rename = "m")]
    Members {
        /// The sockets, with their users.
        #[serde(rename = "m")]
        members: Vec<(Address, Option<UserId>)>,
        /// Whether another part follows.
        #[serde(rename = "n", default, skip_serializing_if = "std::ops::Not::not")]
        more: bool,
    },
    /// A socket answered; the arguments are its answer.
    #[serde(rename = "v")]
    Value(Address),
    /// A socket will not answer.
    #[serde(rename = "x")]
    Failed(Address, ErrorBody),
}

/// A client's reply to another's request. The arguments are the reply's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RequestReply {
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
    /// The replier's error, instead of arguments.
    #[serde(rename = "x", default, skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<ErrorBody>,
}
