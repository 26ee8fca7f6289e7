//! Reports of people to operators.

/// Characters of why something is reported; a longer text is refused with 422.
pub const REASON_CHARS_MAX: usize = 1_000;
/// Reports of one person that no operator has seen to; a further one is answered 429.
pub const OPEN_OF_ONE_MAX: usize = 100;
/// Seconds after which whoever has so many may ask again.
pub const RETRY_AFTER_S: u32 = 3_600;
/// Conversations in which a message is looked for that is reported by its id alone, those active last.
pub const SEARCHED_MAX: usize = 500;
/// Days for which a report is kept; the janitor removes older ones.
pub const REPORT_DAYS: u32 = 400;
