//! The sample world of `fanfare demo`: people of very different followings, their last days, and a life that goes on.
//!
//! `words` is what they say and `picture` what they show, `world` makes people and their graph out of a seed, `town`
//! decides who does what next; all of these are pure. `build` acts the past through the services, `life` goes on while
//! the server serves, `chatter` talks meanwhile, `hosts` hold live sessions that come and go, `links` are what the
//! newcomer shortened and others follow, `welcome` tells the page at `/` whom it may log in as and what the fan-out
//! does. The way in is `fanfare demo`, above this crate.

pub mod build;
mod chatter;
pub mod hosts;
pub mod life;
mod links;
mod picture;
pub mod town;
pub mod welcome;
mod words;
pub mod world;

/// Seed of the sample world: every demo is the same.
pub const SEED: u64 = 0xfa4f_a4e0;
/// Handle of the person whom a newcomer plays.
pub const DEMO_HANDLE: &str = "demo";
/// Handle of the other one, whom the page at `/` shows beside the first: what one does, the other hears of.
pub const FRIEND_HANDLE: &str = "friend";
/// Password of both. It is printed and shown: a demo has no secrets.
pub const DEMO_PASSWORD: &str = "fanfare-demo";
/// Milliseconds over which followed posts are gathered, unless the settings say otherwise: one sees them arrive.
pub const BULK_DELAY_MS: u64 = 25;
/// Authors with fewer followers are pushed at once, unless the settings say otherwise: small enough for 300 people.
pub const PUSH_BELOW: u64 = 50;
/// Authors with more followers are pulled, unless the settings say otherwise.
pub const PULL_ABOVE: u64 = 150;
