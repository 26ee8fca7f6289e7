//! The API as its clients meet it: the real server in this process, over the embedded engine in a folder of its own.
//!
//! `world` starts servers and makes people; every other module tells the stories of one part of the contract.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "what cannot be set up is a failed test")]

mod accounts;
mod blocked;
mod bounds;
mod cases;
mod chat;
mod clicks;
mod clocks;
mod closed;
mod cuts;
mod dead;
mod deletion;
mod described;
mod edges;
mod examples;
mod feed;
mod formats;
mod full_disk;
mod graph;
mod handles;
mod hang_ups;
mod imports;
mod jwks;
mod jwt;
mod kills;
mod links;
mod live;
mod model;
mod moderation;
mod names;
mod news;
mod nodes;
mod operators;
mod partitions;
mod posts;
mod power;
mod process;
mod realtime;
mod repairs;
mod reposts;
mod rfc6455;
mod taken_back;
mod threads;
mod uploads;
mod versions;
mod who_sees;
mod world;
