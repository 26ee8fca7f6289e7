//! Progress of long work: a bar on a terminal, a plain line every few seconds elsewhere. On standard error.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use fanfare::base::output;
use indicatif::{ProgressBar, ProgressStyle};

/// Seconds between two plain lines.
const LINE_EVERY_S: u64 = 5;

/// Progress of one piece of work, told by whoever does it.
#[derive(Debug)]
pub struct Progress {
    what: &'static str,
    total: u64,
    started: Instant,
    last_line: Option<Instant>,
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Begins `what` ("follows", "activity"), which is done at `total` steps; 0 when that is not known.
    #[must_use]
    pub fn start(what: &'static str, total: u64) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| bar(what, total));
        Self { what, total, started: Instant::now(), last_line: None, bar }
    }

    /// `done` steps are behind us; `note` says more, such as a rate. Cheap enough for every batch of work.
    pub fn at(&mut self, done: u64, note: impl FnOnce() -> String) {
        let due = self.last_line.is_none_or(|last| last.elapsed() >= Duration::from_secs(LINE_EVERY_S));
        match &self.bar {
            Some(bar) => {
                bar.set_position(done);
                bar.set_message(note());
            }
            None if due => {
                self.last_line = Some(Instant::now());
                output::note(self.line(done, &note()));
            }
            None => {}
        }
    }

    /// A line that stays, such as a warning about the input.
    pub fn say(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.println(line),
            None => output::note(line),
        }
    }

    /// The work is done after `done` steps.
    pub fn finish(self, done: u64, note: &str) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        let (line, took_s) = (self.line(done, note), self.started.elapsed().as_secs_f64());
        output::note(format_args!("{line}, {took_s:.1} s"));
    }

    fn line(&self, done: u64, note: &str) -> String {
        let share = match self.total {
            0 => done.to_string(),
            total => format!("{done} of {total} ({} %)", u128::from(done) * 100 / u128::from(total)),
        };
        let separator = if note.is_empty() { "" } else { ", " };
        format!("{}: {share}{separator}{note}", self.what)
    }
}

fn bar(what: &'static str, total: u64) -> ProgressBar {
    let template = match total {
        0 => "{prefix} {spinner} {human_pos} {msg}",
        _ => "{prefix} {wide_bar} {human_pos}/{human_len} {eta} {msg}",
    };
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(total).with_style(style).with_prefix(what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_line_says_how_far_the_work_has_come() {
        let progress = Progress::start("follows", 200);
        assert_eq!(progress.line(50, "9 a second"), "follows: 50 of 200 (25 %), 9 a second");
        assert_eq!(Progress::start("activity", 0).line(7, ""), "activity: 7");
    }
}
