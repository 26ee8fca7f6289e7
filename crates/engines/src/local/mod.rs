//! Bus and ephemeral store inside one process: all that one machine needs.

mod bus;
mod ephemeral;

pub use bus::LocalBus;
pub use ephemeral::{EPHEMERAL_BYTES_DEFAULT, LocalEphemeral};
