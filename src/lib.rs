//! Fanfare: a self-hosted social backend in one binary. This page is the map; `ARCHITECTURE.md` tells the reasons, and
//! walks through the life of a post, of a read and of a session.
//!
//! # The rooms
//!
//! A capability is a folder: `service` says what it does, `http` holds its routes, `fold` its part in the write path,
//! `stream` its frames. Decisions are in files of their own, which say that they are pure.
//!
//! | room | what is in it |
//! |---|---|
//! | [`users`] | accounts, passwords, tokens, JWTs of the operator's own backend, profiles, people search |
//! | [`follows`] | follow, block, mute, and the lists of them |
//! | [`posts`] | posts, replies, reposts, likes, threads, the public timeline; what mentions and links a text holds |
//! | [`feed`] | home feeds: who gets a post at once, late, or when they read; rings, merges, ranking |
//! | [`notifications`] | what others did that concerns a person |
//! | [`chat`] | direct and group conversations: messages numbered without holes, members, receipts, requests |
//! | [`live`] | live sessions: announced, live, over; pages that agree with each other; reminders |
//! | [`reports`] | what people tell operators of others, with a copy of what it is about |
//! | [`realtime`] | sessions: sockets, lanes, cursors, presence; what products say reaches who is connected |
//! | [`markers`] | how far a person has read of a list: written, and told to their devices |
//! | [`links`] | short links: codes, targets, redirects, and the door in front of the router |
//! | [`media`] | uploads: checked, cleaned, made small, served safely |
//! | [`admin`] | what operators ask for and change while the server runs |
//! | [`http`] | what every route stands on: connections, bounds, callers, bodies, problems, metrics, docs, the page at `/` |
//! | [`nodes`] | several servers over the same engines: who owns what, requests that find their owner, what ends everywhere |
//! | [`import`] | a real graph and its days, replayed and verified |
//! | [`demo`] | the sample world |
//!
//! Below the rooms is the write path, which all of them share, and what it writes:
//!
//! | part | what it is |
//! |---|---|
//! | [`events`](log::events) | the facts that the journal holds |
//! | [`owner`](log::owner) | the one place where facts get ids, in the order of commit |
//! | [`family`](log::family), [`owners`](log::owners), `social` | what an owner is told of its records; the owners of a family's partitions; the products as a family |
//! | [`handle`](log::handle), [`roster`](log::roster) | the log as services hold it, and the guard of a decision; who should own what |
//! | `takeover`, `regain` | how a node comes to own the log: at a start, and after another owner wrote to it |
//! | [`hearing`](log::hearing), `standby` | how far other nodes have settled their partitions; what a node does with them meanwhile |
//! | `folder`, `folding` | the next group of records, numbered and folded while one is on its way to the log |
//! | `patience`, `pace` | what an owner waits for: storage that is away, and the time of a log that stamps what it takes |
//! | `several` | many records of one decision, handed in one after the other and all waited for |
//! | [`onward`](log::onward) | what follows for people from records of another family: told once, whatever comes between |
//! | [`lease`](log::lease), [`consumers`](log::consumers) | the sign of life that keeps an import out; who reads the journal, and what is kept for them |
//! | [`follower`](log::follower), [`horizon`](log::horizon) | views hear of what is settled; the id at or below which nothing can settle any more |
//! | [`line`](log::line), [`outcome`](log::outcome), [`head`](log::head) | a record as the journal holds it, with what it gave; up to where rows are written |
//! | [`legacy`](log::legacy) | folders whose records hold no outcomes, brought up once |
//! | [`mint`](log::mint), [`moments`](log::moments), [`reservation`](log::reservation) | ids, which only rise; what a folder remembers of the time; nodes that reserve it side by side |
//! | [`product`](log::product), [`fold`](log::fold) | what each product has in the write path: a step before, its rows of a fact, a listener |
//! | [`living`](log::living), [`writers`](log::writers) | what comes behind the deletion of an account does not happen: records, and rows without records |
//! | [`families`](data::families) | which tables are kept together with which partitions |
//! | [`tables`](data::tables), [`rows`](data::rows) | the catalogue of tables and their keys; what values look like |
//! | [`layout`](data::layout), [`public`](data::public) | keys of what is everybody's, for wide stores, and of folders from before; the newest public posts in memory |
//! | [`storage`](data::storage), [`watched`](data::watched) | whether engines keep what they are given: one state that everything reports to, and the engines that do |
//! | [`store`](data::store), [`coherent`](data::coherent) | rows, read and written; a cache a product, which its listener keeps true |
//! | [`absent`](data::absent), [`uncounted`](data::uncounted) | people whom nobody sees (suspended, or deleted and not yet cleared away); what they add to counts |
//! | [`swept`](data::swept) | up to where expired rows were removed: what a takeover brings back expires again |
//! | [`deletions`](data::deletions) | who deleted posts lately, and which: what sessions that come back must hear of |
//! | [`idempotency`](log::idempotency) | requests that may come twice |
//! | [`janitor`] | what has expired, what deleted accounts left, how much journal is kept |
//!
//! And what everything uses: [`app`] puts the server together, [`serve`] runs it on a data folder and sockets,
//! [`routes`] lists its calls and [`frames`] its types of frames; [`core`](log::core) is what services share;
//! [`config`] and [`limits`](base::limits) hold every setting and every bound; [`fair`](base::fair) and
//! [`network`](base::network) share out what is bounded; [`data_dir`](base::data_dir), [`clock`](base::clock),
//! [`id`](base::id), [`cursor`](base::cursor), [`locks`](data::locks), [`gate`](base::gate), [`error`](base::error),
//! [`logging`](base::logging), [`output`](base::output) are what they are called; [`target`](base::target) says where
//! people may be sent. The ports that rows, records and media go through, and the engines behind them, are the crate
//! `fanfare_engines`; the types of the API are `fanfare_protocol`, the codec of WebSockets is `fanfare_websocket`.
//! Above the server stand the crates `fanfare_bench` and `fanfare_commands`, the command line.

#![cfg_attr(not(test), warn(unused_crate_dependencies))]

pub mod admin;
pub mod app;
pub mod base;
pub mod chat;
pub mod config;
pub mod data;
pub mod demo;
pub mod feed;
pub mod follows;
pub mod frames;
pub mod http;
pub mod import;
pub mod janitor;
pub mod links;
pub mod live;
pub mod log;
pub mod markers;
pub mod media;
pub mod nodes;
pub mod notifications;
pub mod posts;
pub mod realtime;
pub mod reports;
pub mod routes;
pub mod serve;
pub mod users;
