//! What the exam is configured with: the section `[example]`.

use std::time::Duration;

use router_core::presence::{self, SettingsError};
use serde::{Deserialize, Serialize};

/// How soon the roster notices what happens to a page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Times", into = "Times")]
pub(crate) struct Exam {
    pub(crate) presence: presence::Settings,
}

/// The times as they are written. Shorter than those of [`presence::Times`], so that whoever tries it
/// out need not wait.
#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Times {
    /// How often each page is pinged. 1 s.
    #[serde(with = "humantime_serde")]
    ping_interval: Duration,
    /// How long after it was last heard a page is disconnected. 5 s.
    #[serde(with = "humantime_serde")]
    disconnect_threshold: Duration,
    /// How long after it was last heard a page is removed. 60 s.
    #[serde(with = "humantime_serde")]
    removal_threshold: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            ping_interval: Duration::from_secs(1),
            disconnect_threshold: Duration::from_secs(5),
            removal_threshold: Duration::from_secs(60),
        }
    }
}

impl TryFrom<Times> for Exam {
    type Error = SettingsError;

    fn try_from(times: Times) -> Result<Self, SettingsError> {
        let Times { ping_interval, disconnect_threshold, removal_threshold } = times;
        let times = presence::Times {
            ping_interval,
            disconnect_threshold,
            removal_threshold,
            ..presence::Times::default()
        };
        Ok(Self { presence: times.try_into()? })
    }
}

impl From<Exam> for Times {
    fn from(exam: Exam) -> Self {
        Self {
            ping_interval: exam.presence.ping_interval(),
            disconnect_threshold: exam.presence.disconnect_threshold(),
            removal_threshold: exam.presence.removal_threshold(),
        }
    }
}

impl Default for Exam {
    fn default() -> Self {
        // The times above fit each other, as a test says, too.
        let library = Self { presence: presence::Settings::default() };
        Self::try_from(Times::default()).unwrap_or(library)
    }
}

impl Exam {
    /// The disconnect threshold, for pages.
    pub(crate) fn dropped_after_ms(&self) -> u64 {
        u64::try_from(self.presence.disconnect_threshold().as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_short_and_each_can_be_set_alone() {
        let read = |json: &str| serde_json::from_str::<Exam>(json);
        assert_eq!(Exam::default().dropped_after_ms(), 5_000);
        assert_eq!(read("{}").unwrap(), Exam::default());
        let longer = read(r#"{"removal_threshold": "2m"}"#).unwrap();
        assert_eq!(longer.presence.removal_threshold(), Duration::from_secs(120));
        assert_eq!(longer.presence.ping_interval(), Duration::from_secs(1));
        assert!(read(r#"{"disconnect_threshold": "1s"}"#).is_err());
    }
}
