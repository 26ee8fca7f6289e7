//! Conversations of a process of connections: who sends what when, and whether what came is whole, once each and in
//! order.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::PathBuf;

use fanfare_engines::random::Random;
use serde::{Deserialize, Serialize};

use super::counts::now_ns;
use super::wire;

/// Part of the messages that go to direct conversations.
const DIRECT_PERCENT: usize = 70;
/// Sends of a connection that may be under way; the server takes 64.
const UNDER_WAY_MAX: u32 = 32;
/// Tries to find somebody who may send.
const TRIES: usize = 8;
/// Sends of one look at the clock: between two, what came is read.
const AT_ONCE: usize = 256;

/// A conversation.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Line {
    /// The conversation.
    pub id: u64,
    /// Numbers of the connections of its members.
    pub members: Vec<usize>,
}

/// Conversations of the connections, as the bench writes them into a file.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Lines {
    /// Conversations of two.
    pub direct: Vec<Line>,
    /// Groups.
    pub groups: Vec<Line>,
}

impl Lines {
    /// Some conversation, one of two in 70 of 100 cases, and who of it speaks.
    pub fn any(&self, random: &mut Random) -> (usize, &Line) {
        let is_direct = self.groups.is_empty() || !self.direct.is_empty() && random.index(100) < DIRECT_PERCENT;
        let lines = if is_direct { &self.direct } else { &self.groups };
        let line = &lines[random.index(lines.len())];
        (line.members[random.index(line.members.len())], line)
    }
}

/// Sends that are to be made.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Talk {
    /// File of [`Lines`].
    pub lines: PathBuf,
    /// Messages a second, however long answers take; 0: as fast as answers come.
    pub rate: f64,
    /// Messages under way, where it is as fast as answers come.
    pub under_way: usize,
    /// Milliseconds of sending.
    pub time_ms: u64,
    /// Characters of a message.
    pub chars: usize,
}

/// Numbers of a conversation that a connection has seen.
#[derive(Debug, Default, Clone, Copy)]
struct Seen {
    count: u64,
    sum: u64,
    first: u64,
    last: u64,
    /// The last that came by a frame: those are in order.
    framed: u64,
}

/// Tally of the sends of a process, and what came of them.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Talked {
    /// Messages sent.
    pub sent: u64,
    /// Sends that were answered with a message.
    pub answered: u64,
    /// Sends that were refused.
    pub refused: u64,
    /// Frames that others must get of the answered ones.
    pub owed: u64,
    /// Frames whose number was not above the one before it, on a connection and of a conversation.
    pub disordered: u64,
    /// Conversations of a connection in which a number is missing or came twice.
    pub broken: u64,
    /// The first refusal.
    pub refusal: Option<String>,
}

/// Talk that goes on.
pub struct Talking {
    lines: Lines,
    talk: Talk,
    /// Members of a conversation, to know what is owed.
    members: HashMap<u64, u64>,
    random: Random,
    filling: String,
    began_ns: u64,
    /// Prefix of clients' ids: another in each run.
    run: u64,
    under_way: Vec<u32>,
    seen: HashMap<(usize, u64), Seen>,
    /// Counts of what came of the talk.
    pub talked: Talked,
}

impl Talking {
    /// Reads the file and begins.
    pub fn begin(talk: Talk, connections: usize) -> io::Result<Self> {
        let lines: Lines = serde_json::from_slice(&fs::read(&talk.lines)?)?;
        let all = lines.direct.iter().chain(&lines.groups);
        let members = all.map(|line| (line.id, line.members.len() as u64)).collect();
        let began_ns = now_ns();
        Ok(Self {
            members,
            random: Random::new(began_ns),
            filling: "words ".chars().cycle().take(talk.chars).collect(),
            began_ns,
            run: began_ns,
            under_way: vec![0; connections],
            seen: HashMap::new(),
            talked: Talked::default(),
            lines,
            talk,
        })
    }

    /// Nanoseconds at which the next message is due, while there is one.
    fn due_ns(&self) -> u64 {
        if self.talk.rate > 0.0 {
            return self.began_ns + (self.talked.sent as f64 / self.talk.rate * 1e9) as u64;
        }
        let open = self.talked.sent - self.talked.answered - self.talked.refused;
        if open < self.talk.under_way as u64 { now_ns() } else { u64::MAX }
    }

    /// Nanoseconds until the next message is due.
    pub fn pause_ns(&self) -> u64 {
        if self.is_over() { u64::MAX } else { self.due_ns().saturating_sub(now_ns()) }
    }

    /// Whether the time of sending is over.
    pub fn is_over(&self) -> bool {
        now_ns() >= self.began_ns + self.talk.time_ms * 1_000_000
    }

    /// Messages that are due: connection and frame.
    pub fn due(&mut self) -> Vec<(usize, Vec<u8>)> {
        let mut frames = Vec::new();
        while frames.len() < AT_ONCE && !self.is_over() {
            let due_ns = self.due_ns();
            if due_ns > now_ns() {
                break;
            }
            let Some((sender, id)) = self.choose() else { break };
            self.under_way[sender] += 1;
            self.talked.sent += 1;
            let (reference, run, sent) = (self.talked.sent, self.run, wire::SENT);
            let text = format!("{sent}{due_ns} {}", self.filling);
            let text = &text[..self.talk.chars.max(sent.len() + 21).min(text.len())];
            let data = format!(
                r#"{{"conversation_id":"{id}","client_id":"{run:x}-{reference}","kind":"text","text":"{text}"}}"#
            );
            frames.push((
                sender,
                wire::masked_text(&format!(r#"{{"ref":{reference},"type":"message.send","data":{data}}}"#)),
            ));
        }
        frames
    }

    /// Somebody who may send, and into which conversation.
    fn choose(&mut self) -> Option<(usize, u64)> {
        for _ in 0..TRIES {
            let (sender, line) = self.lines.any(&mut self.random);
            if self.under_way[sender] < UNDER_WAY_MAX {
                return Some((sender, line.id));
            }
        }
        None
    }

    /// A frame that the connection `number` got.
    pub fn came(&mut self, number: usize, text: &[u8], is_reply: bool) {
        let place = wire::placed(text);
        if is_reply {
            self.under_way[number] = self.under_way[number].saturating_sub(1);
            let Some((id, _)) = place.filter(|_| wire::is_ok(text)) else {
                self.talked.refused += 1;
                self.talked.refusal.get_or_insert_with(|| String::from_utf8_lossy(text).into_owned());
                return;
            };
            self.talked.answered += 1;
            self.talked.owed += self.members.get(&id).map_or(0, |members| members - 1);
        }
        let Some((id, seq)) = place else { return };
        let seen = self.seen.entry((number, id)).or_insert(Seen { first: seq, ..Seen::default() });
        if !is_reply {
            self.talked.disordered += u64::from(seq <= seen.framed);
            seen.framed = seq;
        }
        (seen.count, seen.sum) = (seen.count + 1, seen.sum + seq);
        (seen.first, seen.last) = (seen.first.min(seq), seen.last.max(seq));
    }

    /// Whether every answer has come, and what it owes to others.
    pub fn is_whole(&self, events: u64) -> bool {
        let Talked { sent, answered, refused, owed, .. } = self.talked;
        self.is_over() && sent == answered + refused && events >= owed
    }

    /// The figures.
    pub fn figures(&self) -> Talked {
        let is_broken = |seen: &&Seen| {
            let count = seen.last - seen.first + 1;
            seen.count != count || seen.sum * 2 != (seen.first + seen.last) * count
        };
        Talked { broken: self.seen.values().filter(is_broken).count() as u64, ..self.talked.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn talking(lines: &Lines) -> (tempfile::TempDir, Talking) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("lines.json");
        fs::write(&file, serde_json::to_vec(lines).unwrap()).unwrap();
        let talk = Talk { lines: file, rate: 0.0, under_way: 3, time_ms: 3_600_000, chars: 100 };
        let talking = Talking::begin(talk, 2).unwrap();
        (folder, talking)
    }

    fn frame(id: u64, seq: u64) -> Vec<u8> {
        format!(r#"{{"type":"message","data":{{"key":"9","id":"9","conversation_id":"{id}","seq":{seq}}}}}"#)
            .into_bytes()
    }

    #[test]
    fn what_is_under_way_is_bounded_and_answers_make_room() {
        let lines = Lines { direct: vec![Line { id: 7, members: vec![0, 1] }], groups: Vec::new() };
        let (_folder, mut talking) = talking(&lines);
        let sent = talking.due();
        assert_eq!(sent.len(), 3);
        assert!(talking.due().is_empty() && talking.pause_ns() > 0);
        let reply = br#"{"type":"reply","ref":1,"ok":true,"data":{"id":"9","conversation_id":"7","seq":1}}"#;
        talking.came(sent[0].0, reply, true);
        assert_eq!(talking.due().len(), 1);
        talking.came(sent[0].0, br#"{"type":"reply","ref":2,"ok":false,"error":{}}"#, true);
        let figures = talking.figures();
        assert_eq!((figures.sent, figures.answered, figures.refused, figures.owed), (4, 1, 1, 1));
    }

    #[test]
    fn what_is_missing_doubled_or_out_of_order_is_found() {
        let lines = Lines { direct: vec![Line { id: 7, members: vec![0, 1] }], groups: Vec::new() };
        for (numbers, broken, disordered) in
            [(&[4, 5, 6][..], 0, 0), (&[4, 6], 1, 0), (&[4, 5, 5, 7], 1, 1), (&[5, 4, 6], 0, 1), (&[4, 4], 1, 1)]
        {
            let (_folder, mut talking) = talking(&lines);
            for number in numbers {
                talking.came(1, &frame(7, *number), false);
            }
            let figures = talking.figures();
            assert_eq!((figures.broken, figures.disordered), (broken, disordered), "{numbers:?}");
        }
    }
}
