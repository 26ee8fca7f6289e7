//! The one error type of services, and how it looks from outside.
//!
//! Layers: engines answer `EngineError`; services answer [`Error`]; handlers turn it into a `Problem` (in
//! `http/answer.rs`), where causes are logged and never sent.

use fanfare_engines::EngineError;
use fanfare_protocol::{Code, FieldError, Problem};

/// Detail of the answer to what stands on damaged rows or records.
pub const DAMAGED: &str = "what is stored of this cannot be read, so nothing was done; the operator must look at it";

/// Why a service did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The caller can do something about it: answered as it stands.
    #[error("{0}")]
    Refused(Box<Problem>),
    /// A bound was reached; come back after that many seconds.
    #[error("overloaded: {reason}")]
    Overloaded {
        /// Name of the bound, for people.
        reason: &'static str,
        /// Seconds until another try.
        retry_after_s: u32,
    },
    /// Too many requests of this caller; come back after that many seconds.
    #[error("rate limited: {reason}")]
    RateLimited {
        /// Too many of what, for people.
        reason: &'static str,
        /// Seconds until another try.
        retry_after_s: u32,
    },
    /// Decision that another node makes, by its name; come back.
    #[error("node {0} decides about it")]
    Elsewhere(std::sync::Arc<str>),
    /// Something stored that it stands on is not what was written, so nothing was done: said in the log when it was
    /// found.
    #[error("damaged: {0}")]
    Damaged(std::sync::Arc<str>),
    /// An engine failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A setting names what cannot be used; found at the start, and by `fanfare config --check`.
    #[error("{0}")]
    Setting(String),
    /// Stored data or the program is not as it should be.
    #[error("internal: {0}")]
    Internal(String),
}

/// Answer of a service.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A refusal with a code and a sentence.
    pub fn refused(code: Code, detail: impl Into<String>) -> Self {
        Self::Refused(Box::new(Problem::new(code, detail)))
    }

    /// 404: there is no such `what`, or not for the caller.
    #[must_use]
    pub fn not_found(what: &str) -> Self {
        Self::refused(Code::NotFound, format!("there is no such {what}"))
    }

    /// 410: the `what` was there and is gone.
    #[must_use]
    pub fn gone(what: &str) -> Self {
        Self::refused(Code::Gone, format!("the {what} was deleted"))
    }

    /// `other` in place of a refusal, which is not for whoever asks to hear; what failed stays a failure, so that they
    /// try again.
    #[must_use]
    pub fn refused_as(self, other: Self) -> Self {
        if matches!(self, Self::Refused(_)) { other } else { self }
    }

    /// Whether this is the 410 of something that was deleted.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        matches!(self, Self::Refused(problem) if problem.code == Code::Gone)
    }

    /// Whether storage does not serve at all, so that the next thing would fare no better; otherwise it is this one
    /// thing that cannot be done.
    #[must_use]
    pub fn is_of_storage(&self) -> bool {
        use EngineError::{Closed, Unavailable, Unknown};
        matches!(self, Self::Engine(Unavailable(_) | Unknown(_) | Closed(_)))
    }

    /// Whether nobody knows if it was done, or will be.
    #[must_use]
    pub fn is_of_unknown_outcome(&self) -> bool {
        matches!(self, Self::Engine(EngineError::Unknown(_)))
    }

    /// Whether there is no room for it now.
    #[must_use]
    pub fn is_of_room(&self) -> bool {
        matches!(self, Self::Engine(EngineError::Full(_)))
    }

    /// 422 that names one field.
    pub fn field(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Refused(Box::new(Problem::field(field, message)))
    }

    /// 422 that names several fields.
    #[must_use]
    pub fn fields(errors: Vec<FieldError>) -> Self {
        Self::Refused(Box::new(Problem::fields(errors)))
    }

    /// 400: a cursor that does not parse, or is not the caller's.
    #[must_use]
    pub fn bad_cursor() -> Self {
        Self::refused(Code::BadRequest, "cursor: not a cursor of this list and caller; start again without one")
    }
}

impl From<Problem> for Error {
    fn from(problem: Problem) -> Self {
        Self::Refused(Box::new(problem))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_stays_a_failure_in_whatever_words_a_refusal_is_told() {
        let other = || Error::not_found("thing");
        let refused = Error::refused(Code::Forbidden, "no").refused_as(other());
        assert!(matches!(refused, Error::Refused(problem) if problem.code == Code::NotFound));
        let failed = Error::Engine(EngineError::Unavailable("away".into())).refused_as(other());
        assert!(failed.is_of_storage());
    }
}
