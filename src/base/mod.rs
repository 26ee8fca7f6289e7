//! Base of everything: time, ids, errors, bounds, fair shares; it knows nothing of the rest.

pub mod clock;
pub mod cursor;
pub mod data_dir;
pub mod error;
pub mod fair;
pub mod gate;
pub mod handle;
pub mod id;
pub mod id_map;
pub mod limits;
pub mod logging;
pub mod mint_id;
pub mod network;
pub mod output;
pub mod slot_list;
pub mod target;
pub mod text;
pub mod threads;
pub mod token;
pub mod written;
