//! Lines of an activity, read ahead in blocks, so that the people in a block are made together.
//!
//! A block begins and ends where the time moves on: whoever is made comes before all of its lines and behind all lines
//! before it, and takes no moment away from any, wherever an import was cut off.

use std::collections::VecDeque;
use std::io;

use fanfare::import::lines::{self, Activity, Lines};

use super::import::latest_ms;

/// Lines of a block: as many at least, and with those of the same moment at most twice as many.
const BLOCK_LINES: usize = 512;

/// Line with its number, as it was read.
type Line = (u64, Result<Activity, String>);

/// Lines in their order.
pub(super) struct Ahead {
    lines: Lines,
    /// Up to here lines were replayed before.
    done: u64,
    /// Each line waits for its time, so none is read before.
    pub(super) is_paced: bool,
    read: VecDeque<Line>,
    /// Number of these that are of the block that was begun.
    left: usize,
    last_ms: u64,
    /// Acts of a block, with the first of its lines.
    pub(super) begun: Option<Vec<Activity>>,
}

impl Ahead {
    /// Of `lines`, those up to `done` in no block.
    pub(super) fn of(lines: Lines, done: u64) -> Self {
        Self { lines, done, is_paced: false, read: VecDeque::new(), left: 0, last_ms: 0, begun: None }
    }

    /// The next line; nothing at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<Line>> {
        if self.left == 0 {
            self.begin()?;
        }
        let next = self.read.pop_front();
        self.left = self.left.saturating_sub(1);
        if let Some((_, Ok(act))) = &next {
            self.last_ms = act.at_ms;
        }
        Ok(next)
    }

    /// Begins a block, where one can begin.
    fn begin(&mut self) -> io::Result<()> {
        if self.read.is_empty() {
            self.read_one()?;
        }
        let Some((at, Ok(act))) = self.read.front() else { return Ok(()) };
        if self.is_paced || *at <= self.done || act.at_ms == self.last_ms {
            return Ok(());
        }
        let mut ends_ms = act.at_ms;
        loop {
            self.left = self.read.len();
            if self.left >= 2 * BLOCK_LINES || !self.read_one()? {
                break;
            }
            if let Some((_, Ok(act))) = self.read.back() {
                if self.left >= BLOCK_LINES && act.at_ms != ends_ms {
                    break;
                }
                ends_ms = act.at_ms;
            }
        }
        let block = self.read.iter().take(self.left);
        self.begun = Some(block.filter_map(|(_, act)| act.as_ref().ok().copied()).collect());
        Ok(())
    }

    /// Reads one more, if there is one.
    fn read_one(&mut self) -> io::Result<bool> {
        let line = self.lines.next_line()?;
        let is_there = line.is_some();
        self.read.extend(line.map(|(at, text)| (at, text.and_then(|text| lines::act(&text, latest_ms())))));
        Ok(is_there)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers of the lines of a file with acts at `times`, those after `done`, in their blocks.
    fn blocks(times: &[u64], done: u64) -> Vec<Vec<u64>> {
        let file = tempfile::NamedTempFile::new().unwrap();
        let act = |time: &u64| if *time == 0 { "none\n".to_owned() } else { format!("1\t2\t{time}\tMT\n") };
        let text: String = times.iter().map(act).collect();
        std::fs::write(file.path(), format!("actor\ttarget\tunixtime\tkind\n{text}")).unwrap();
        let lines = Lines::open(file.path(), "actor\ttarget\tunixtime\tkind").unwrap();
        let (mut ahead, mut blocks) = (Ahead::of(lines, done), vec![Vec::new()]);
        while let Some((at, _)) = ahead.next().unwrap() {
            if let Some(begun) = ahead.begun.take() {
                blocks.push(Vec::new());
                assert!(begun.len() <= 2 * BLOCK_LINES);
            }
            blocks.last_mut().unwrap().push(at);
        }
        blocks
    }

    #[test]
    fn blocks_end_where_the_time_moves_on() {
        let length = BLOCK_LINES as u64;
        let at = |from: u64, to: u64| (from..to).collect::<Vec<_>>();
        // A moment that reaches over the usual end, with a line in it that cannot be read.
        let mut times: Vec<u64> = (0..1_500).map(|number| 1_341_100_972 + number / 100).collect();
        assert_eq!(blocks(&times, 0), [vec![], at(2, 602), at(602, 1_202), at(1_202, 1_502)]);
        times[550] = 0;
        assert_eq!(blocks(&times, 0), [vec![], at(2, 602), at(602, 1_202), at(1_202, 1_502)]);
        // After a cut in the middle of a moment the next one begins a block.
        assert_eq!(blocks(&times, 150), [at(2, 202), at(202, 802), at(802, 1_402), at(1_402, 1_502)]);
        assert_eq!(blocks(&times, 1_501), [at(2, 1_502)]);
        // One moment that does not end.
        let same = vec![1_341_100_972; 3 * BLOCK_LINES];
        assert_eq!(blocks(&same, 0), [vec![], at(2, 2 + 3 * length)]);
    }

    #[test]
    fn lines_that_wait_for_their_time_are_in_no_block() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "actor\ttarget\tunixtime\tkind\n1\t2\t1341100972\tMT\n").unwrap();
        let mut ahead = Ahead::of(Lines::open(file.path(), "actor\ttarget\tunixtime\tkind").unwrap(), 0);
        ahead.is_paced = true;
        assert!(ahead.next().unwrap().is_some() && ahead.begun.is_none() && ahead.next().unwrap().is_none());
    }
}
