//! Who somebody is: chosen on the landing page, kept in the session's store, read by every gate.

use router_core::{FromMessage, Message, RouteError, channel::Channel, session::Session};
use serde::{Deserialize, Serialize};

/// Somebody who entered.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Person {
    pub(crate) name: Name,
    pub(crate) role: Role,
    pub(crate) room: Room,
}

/// What somebody may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    Proctor,
    Student,
}

impl Role {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Proctor => "proctor",
            Self::Student => "student",
        }
    }
}

/// What somebody is called: 1 to 40 characters. Two may be called the same; their user ids differ.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Name(String);

impl Name {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Name {
    type Error = &'static str;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        let name = name.trim();
        match name.chars().count() {
            1..=40 if !name.chars().any(char::is_control) => Ok(Self(name.to_owned())),
            _ => Err("a name has 1 to 40 characters"),
        }
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

/// A room's name, which is a part of its channels' names: 1 to 40 of `a-z 0-9 -`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Room(String);

impl Room {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a channel is one of this room's: `exam:ROOM`, `staff:ROOM`.
    pub(crate) fn has(&self, channel: &Channel) -> bool {
        channel.name().as_str().split_once(':').is_some_and(|(_, room)| room == self.0)
    }
}

impl TryFrom<String> for Room {
    type Error = &'static str;

    fn try_from(room: String) -> Result<Self, Self::Error> {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let fits = (1..=40).contains(&room.len()) && room.bytes().all(allowed);
        if fits { Ok(Self(room)) } else { Err("a room has 1 to 40 characters of a-z, 0-9 and -") }
    }
}

impl From<Room> for String {
    fn from(room: Room) -> Self {
        room.0
    }
}

/// What the session's store holds.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Visit {
    /// Nobody, before the landing page was answered.
    #[serde(default)]
    pub(crate) person: Option<Person>,
}

/// As an argument of a gate or handler: whoever asks, as the session says, not as the client does.
impl FromMessage for Person {
    async fn from_message(message: &Message) -> Result<Self, RouteError> {
        let session = Session::<Visit>::from_message(message).await?;
        let nobody = || RouteError::new("nobody", "Choose a name and a role first.");
        session.store().person.clone().ok_or_else(nobody)
    }
}

/// A person who is a proctor. What takes it as an argument, nobody else can do.
#[derive(Debug)]
pub(crate) struct Proctor(pub(crate) Person);

impl FromMessage for Proctor {
    async fn from_message(message: &Message) -> Result<Self, RouteError> {
        let person = Person::from_message(message).await?;
        match person.role {
            Role::Proctor => Ok(Self(person)),
            Role::Student => Err(RouteError::new("not_a_proctor", "Only proctors may do this.")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_rooms_are_checked_where_they_come_in() {
        let name = |text: &str| Name::try_from(text.to_owned()).map(String::from);
        assert_eq!(name("  Ann  "), Ok("Ann".to_owned()));
        assert_eq!(name(&"é".repeat(40)), Ok("é".repeat(40)));
        assert!(name("   ").is_err() && name(&"é".repeat(41)).is_err() && name("a\nb").is_err());
        let room = |text: &str| Room::try_from(text.to_owned()).is_ok();
        assert!(room("algebra-1"));
        assert!(!room("") && !room("Algebra") && !room("a:b") && !room(&"a".repeat(41)));
    }
}
