//! Bounds of short links, and of what anybody may be sent to.

/// Bytes of an address that somebody may be sent to, as given and as the parser writes it; a longer one is refused.
pub const TARGET_BYTES_MAX: usize = 2_048;
