//! Errors that an engine can answer instead of a result.

/// Why an engine did not do what was asked.
///
/// The unhappy outcomes of a write differ: after [`Unavailable`](Self::Unavailable) nothing happened, after
/// [`Unknown`](Self::Unknown) any part that the port's atomicity allows may have happened, now or later. Writes are
/// idempotent, so the answer to both is to repeat the same write.
#[derive(Debug, Clone, thiserror::Error)]
pub enum EngineError {
    /// Nothing was done; the same call may succeed later.
    #[error("the engine is unavailable: {0}")]
    Unavailable(String),
    /// The outcome is not known; repeat the same call.
    #[error("the outcome of a write is unknown: {0}")]
    Unknown(String),
    /// Nothing was done, for the disk is as good as full; the same call may succeed once somebody made room.
    #[error("there is no room: {0}")]
    Full(String),
    /// The caller does not own the partition, or not any more in this term: nothing was done, and no reader ever sees
    /// any of it. Whoever repeats it claims first, and reads what happened meanwhile.
    #[error("the partition is not the caller's in this term")]
    Fenced,
    /// The call breaks a limit of the port; repeating it cannot help.
    #[error("the call breaks a limit of the port: {0}")]
    Limit(String),
    /// Stored bytes are not what was written.
    #[error("stored data is corrupt: {0}")]
    Corrupt(String),
    /// The engine was closed, or has failed for good; it must be opened again.
    #[error("the engine is closed: {0}")]
    Closed(String),
}
