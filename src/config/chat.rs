//! Values of the section of chat that are words of its own.

use std::str::FromStr;

/// Fate of the messages of a deleted account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChatDeletion {
    /// Recall of each, in small steps.
    Erase,
    /// Messages stay, without the name of who wrote them.
    Anonymise,
}

impl ChatDeletion {
    /// Name in the configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Erase => "erase",
            Self::Anonymise => "anonymise",
        }
    }
}

impl FromStr for ChatDeletion {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        [Self::Erase, Self::Anonymise].into_iter().find(|one| one.as_str() == text).ok_or(())
    }
}
