//! Loads a real follow graph and replays its activity through the real pipeline, then checks the feeds by brute force.
//!
//! `lines` reads the files, `graph` loads people and follows, `replay` acts the days again, `verify` compares feeds
//! with a query of its own, `report` says what was seen; `urls` makes a short link of each line of a file;
//! `access_log` reads one, `visits` makes clicks of it, and `recount` compares those with the file; `talk` reads lines
//! of talk, and `channels` makes groups of it. The way in is `fanfare import`, above this crate.

pub mod access_log;
pub mod channels;
pub mod graph;
pub mod lines;
pub mod recount;
pub mod replay;
pub mod report;
pub mod talk;
pub mod urls;
pub mod verify;
pub mod visits;
