//! Short links: codes that lead somewhere else, for as long and as often as their owners say.

pub mod alias;
pub mod blocklist;
pub mod clicks;
pub mod code;
pub mod counting;
pub mod csv;
pub mod door;
pub mod fold;
pub mod gates;
pub mod hot;
pub mod http;
pub mod keeper;
pub mod lease;
pub mod misses;
pub mod page;
pub mod qr;
pub mod redirect;
pub mod service;
pub mod slots;
pub mod stretch;
pub mod unclaimed;

pub use self::counting::{ClickFate, ClickSink, RawClick, Totals};
pub use self::service::Links;
