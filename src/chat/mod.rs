//! Chat: direct and group conversations, whose messages are numbered without holes and told once.
//!
//! A conversation is what its records make of it (`fold`), in a family of partitions of its own (`family`). `service`
//! hands records in and reads rows; `admission` checks what is asked, `paces`
//! how often; `notices` says who is told of it; `sync` puts a person's list in order; `view`
//! renders rows. Everything but `counts`, `family`, `service`, `view`, `http` and `stream` is pure.

pub mod admission;
pub mod audience;
pub mod counts;
pub mod emoji;
pub mod family;
pub mod fold;
pub mod http;
pub mod notices;
pub mod paces;
pub mod service;
pub mod stream;
pub mod sync;
pub mod view;
