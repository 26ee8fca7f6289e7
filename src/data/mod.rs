//! Rows: the catalogue of tables, what their values look like, reads through caches that writers keep true.

pub mod absent;
pub mod audit;
pub mod coherent;
pub mod deletions;
pub mod families;
pub mod forgotten;
pub mod layout;
pub mod locks;
pub mod public;
pub mod rows;
pub mod storage;
pub mod store;
pub mod swept;
pub mod tables;
pub mod uncounted;
pub mod watched;
pub mod whole;
