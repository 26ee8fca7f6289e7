//! `fanfare bench chat`: messages until they are with everybody, what disturbs them, lists of conversations, pages and
//! disk of very many messages, receipts, and the same talk through peers.
//!
//! `scene` makes people and their conversations; each other file measures one topic.

mod beside;
mod lists;
mod peers;
mod receipts;
mod scene;
mod sends;
mod socket;
mod stored;

use super::{
    Bench, BenchError, Part, Result, child, load, machine, median, percentile, realtime, report, serve, world,
};

/// Characters of a message.
const CHARS: usize = 300;

/// Measures `parts`.
pub(super) fn run(bench: &mut Bench, parts: impl Iterator<Item = Part>) -> Result<()> {
    machine::open_many_files();
    let mut scene = None;
    for part in parts {
        match part {
            Part::ChatStored => stored::run(bench)?,
            Part::ChatMany => stored::run_many(bench)?,
            Part::ChatLists => lists::run(bench)?,
            Part::ChatReceipts => receipts::run(bench)?,
            Part::ChatSends | Part::ChatBeside | Part::ChatPeers => {
                let scene = match &scene {
                    Some(scene) => scene,
                    None => scene.insert(scene::Talkers::build(bench)?),
                };
                match part {
                    Part::ChatSends => sends::run(bench, scene)?,
                    Part::ChatPeers => peers::run(bench, scene)?,
                    _ => beside::run(bench, scene)?,
                }
            }
            _ => {}
        }
    }
    Ok(())
}
