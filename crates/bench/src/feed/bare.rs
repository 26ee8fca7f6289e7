//! The least that a fan-out must do, to compare with: a loop that scatters the same entries over the same lists into
//! plain arrays, with no locks, floors, growth or reads.

use std::time::Duration;

use super::graph::Posts;
use super::machine;

/// Rings in two flat arrays: twelve bytes an entry, four a head.
pub struct BareRings {
    heads: Vec<u32>,
    entries: Vec<[u32; 3]>,
    cap: u32,
}

impl BareRings {
    /// Full rings of `cap` entries, every page of them touched.
    pub fn new(timelines: usize, cap: usize) -> Self {
        Self { heads: vec![1; timelines], entries: vec![[1; 3]; timelines * cap], cap: cap as u32 }
    }

    /// Scatters every post over its list; answers processor time.
    pub fn scatter(&mut self, posts: &Posts) -> Duration {
        let started = machine::on_cpu();
        for (post, targets) in posts.lists().enumerate() {
            let entry = [post as u32, 1 << 8, post as u32];
            for target in targets {
                let head = &mut self.heads[*target as usize];
                self.entries[*target as usize * self.cap as usize + *head as usize] = entry;
                *head = if *head + 1 == self.cap { 0 } else { *head + 1 };
            }
        }
        machine::on_cpu() - started
    }
}
