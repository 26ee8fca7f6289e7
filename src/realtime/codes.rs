//! Close codes of the application (`api.md`); those of RFC 6455 are the codec's.

/// Violation of the protocol by the client.
pub const PROTOCOL: u16 = 4400;
/// No token, or it has ended.
pub const UNAUTHENTICATED: u16 = 4401;
/// The origin may not open sessions, or the account is suspended.
pub const FORBIDDEN: u16 = 4403;
/// The reason beside it, of the latter.
pub const SUSPENDED: &str = "the account is suspended";
/// The client takes nothing of what waits for it.
pub const TOO_SLOW: u16 = 4408;
/// The person has too many sessions.
pub const TOO_MANY: u16 = 4429;
