//! Record of the log: many clicks of one source, in one of two forms. Pure.
//!
//! Packed, which is an eighth of the bytes and read in a tenth of the time: what clicks share is written once and told
//! by its number, moments and places as steps. Or a line of JSON a click, for tools of others that read the log. Both
//! are read, whatever is written: a line begins with `{`, and a packed record with its format.
//!
//! ```text
//! format u8 = 1 | source u64
//! names    count | text …                  countries, hosts, browsers and the like, in the order of first use
//! links    count | (link u64 | code: text) …
//! clicks   count | (flags u8: 1 bot, 2 visitor | place and moment: steps from those of the click before
//!                   | link: number
//!                   | 7 names: country, city, referrer, device, browser, system, language: number + 1, or 0
//!                   | visitor u64, if it is known) …
//! ```
//! A `u64` is little endian; counts, numbers, steps and lengths of texts are as in `number.rs`. A later format is a
//! later first byte; what is here never changes meaning.

use std::borrow::Cow;
use std::collections::HashMap;

use fanfare_protocol::Id;

use super::click::{Click, ClickOrigin, NAMES, Visitor, read_line, write_line};
use super::number::{read_number, read_step, read_text, read_u64, write_number, write_step, write_text};
use crate::base::id_map::IdMap;
use crate::config::ClickForm;

/// First byte of a packed record.
const FORMAT: u8 = 1;
const IS_BOT: u8 = 1;
const HAS_VISITOR: u8 = 2;
/// Least bytes of a packed click: what bounds the room that is made for a count that is none.
const CLICK_BYTES_MIN: usize = 4 + NAMES;

/// Click of a record, whose words are told by their numbers.
#[derive(Debug, Clone, Copy)]
pub struct RecordClick {
    /// Origin of the click.
    pub origin: ClickOrigin,
    /// Moment of the answer, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    link: u32,
    /// Number of each name and one more; 0 is not known.
    names: [u32; NAMES],
    is_bot: bool,
    visitor: Option<Visitor>,
}

/// Record, read.
#[derive(Debug, Default)]
pub struct ClickRecord<'a> {
    /// Clicks in their order.
    pub clicks: Vec<RecordClick>,
    names: Vec<Cow<'a, str>>,
    links: Vec<(Id, Cow<'a, str>)>,
}

impl<'a> ClickRecord<'a> {
    /// Reads a record of either form.
    ///
    /// # Errors
    /// When it is none, in words.
    pub fn read(payload: &'a [u8]) -> Result<Self, String> {
        match payload.first() {
            Some(&FORMAT) => Self::unpack(&payload[1..]).ok_or_else(|| "it is cut off, or was not packed".to_owned()),
            _ => Self::read_lines(payload),
        }
    }

    fn unpack(mut from: &'a [u8]) -> Option<Self> {
        let from = &mut from;
        let source = read_u64(from)?;
        let mut record = Self::default();
        for _ in 0..read_number(from)? {
            record.names.push(Cow::Borrowed(read_text(from)?));
        }
        for _ in 0..read_number(from)? {
            record.links.push((Id(read_u64(from)?), Cow::Borrowed(read_text(from)?)));
        }
        let count = read_number(from)?;
        record.clicks.reserve(usize::try_from(count).ok()?.min(from.len() / CLICK_BYTES_MIN));
        let (mut place, mut at_ms) = (0_u64, 0);
        for _ in 0..count {
            let (&flags, rest) = from.split_first()?;
            *from = rest;
            place = read_step(place, from)?;
            at_ms = read_step(at_ms, from)?;
            let link = index(read_number(from)?, record.links.len())?;
            let mut names = [0; NAMES];
            for name in &mut names {
                *name = index(read_number(from)?, record.names.len() + 1)?;
            }
            let visitor = if flags & HAS_VISITOR == 0 { None } else { Some(Visitor(read_u64(from)?)) };
            let (origin, is_bot) = (ClickOrigin { source, place }, flags & IS_BOT != 0);
            record.clicks.push(RecordClick { origin, at_ms, link, names, is_bot, visitor });
        }
        from.is_empty().then_some(record)
    }

    fn read_lines(payload: &'a [u8]) -> Result<Self, String> {
        let mut record = Self::default();
        for (at, line) in payload.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).enumerate() {
            let (origin, click) = read_line(line).map_err(|why| format!("line {}: {why}", at + 1))?;
            let (link, at_ms, is_bot, visitor) = (click.link, click.at_ms, click.is_bot, click.visitor);
            let (code, words) = click.into_words();
            let mut names = [0; NAMES];
            for (number, name) in names.iter_mut().zip(words) {
                if let Some(name) = name {
                    record.names.push(name);
                    *number = record.names.len() as u32;
                }
            }
            let number = record.links.len() as u32;
            record.links.push((link, code));
            record.clicks.push(RecordClick { origin, at_ms, link: number, names, is_bot, visitor });
        }
        Ok(record)
    }

    /// Id of the link of a click of this record.
    #[must_use]
    pub fn link(&self, click: &RecordClick) -> Id {
        self.links[click.link as usize].0
    }

    /// The click with its words.
    #[must_use]
    pub fn click(&self, click: &RecordClick) -> Click<'_> {
        let (link, code) = &self.links[click.link as usize];
        let name = |number: u32| Some(Cow::Borrowed(&**self.names.get((number as usize).checked_sub(1)?)?));
        let bare = Click { is_bot: click.is_bot, visitor: click.visitor, ..Click::bare(code, *link, click.at_ms) };
        bare.with_names(click.names.map(name))
    }
}

/// The number, if it is one of so many.
fn index(number: u64, count: usize) -> Option<u32> {
    u32::try_from(number).ok().filter(|index| (*index as usize) < count)
}

/// Record that is being filled with clicks of one source, in the order of their places.
pub struct RecordWriter {
    form: ClickForm,
    source: u64,
    count: usize,
    /// Lines, or packed clicks.
    clicks: Vec<u8>,
    place: u64,
    at_ms: u64,
    names: HashMap<Box<str>, u32>,
    name_bytes: Vec<u8>,
    /// Number of each link, and its code.
    links: IdMap<Id, (u32, Box<str>)>,
    link_count: u32,
    link_bytes: Vec<u8>,
}

impl RecordWriter {
    /// An empty record of a source's clicks.
    #[must_use]
    pub fn new(form: ClickForm, source: u64) -> Self {
        Self {
            form,
            source,
            count: 0,
            clicks: Vec::new(),
            place: 0,
            at_ms: 0,
            names: HashMap::new(),
            name_bytes: Vec::new(),
            links: IdMap::default(),
            link_count: 0,
            link_bytes: Vec::new(),
        }
    }

    /// Number of clicks so far.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.count
    }

    /// Bytes so far, about.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.clicks.len() + self.name_bytes.len() + self.link_bytes.len()
    }

    /// Adds a click; its place is beyond that of the one before.
    ///
    /// # Errors
    /// Never, for text and numbers; the writer of lines has a type for them.
    pub fn add(&mut self, place: u64, click: &Click<'_>) -> serde_json::Result<()> {
        self.count += 1;
        if self.form == ClickForm::Lines {
            return write_line(ClickOrigin { source: self.source, place }, click, &mut self.clicks);
        }
        let link = self.link(click);
        let names = click.names().map(|name| name.map_or(0, |name| self.name(name)));
        let bytes = &mut self.clicks;
        bytes.push(u8::from(click.is_bot) * IS_BOT + u8::from(click.visitor.is_some()) * HAS_VISITOR);
        write_step(self.place, place, bytes);
        write_step(self.at_ms, click.at_ms, bytes);
        write_number(link.into(), bytes);
        names.into_iter().for_each(|name| write_number(name.into(), bytes));
        if let Some(Visitor(visitor)) = click.visitor {
            bytes.extend_from_slice(&visitor.to_le_bytes());
        }
        (self.place, self.at_ms) = (place, click.at_ms);
        Ok(())
    }

    /// Number of a name, and one more.
    fn name(&mut self, name: &str) -> u32 {
        if let Some(number) = self.names.get(name) {
            return *number;
        }
        let number = self.names.len() as u32 + 1;
        self.names.insert(name.into(), number);
        write_text(name, &mut self.name_bytes);
        number
    }

    fn link(&mut self, click: &Click<'_>) -> u32 {
        if let Some((number, code)) = self.links.get(&click.link)
            && **code == *click.code
        {
            return *number;
        }
        let number = self.link_count;
        self.link_count += 1;
        self.links.insert(click.link, (number, (&*click.code).into()));
        self.link_bytes.extend_from_slice(&click.link.0.to_le_bytes());
        write_text(&click.code, &mut self.link_bytes);
        number
    }

    /// The record.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        if self.form == ClickForm::Lines {
            return self.clicks;
        }
        let mut bytes = Vec::with_capacity(self.bytes() + 32);
        bytes.push(FORMAT);
        bytes.extend_from_slice(&self.source.to_le_bytes());
        write_number(self.names.len() as u64, &mut bytes);
        bytes.extend_from_slice(&self.name_bytes);
        write_number(self.link_count.into(), &mut bytes);
        bytes.extend_from_slice(&self.link_bytes);
        write_number(self.count as u64, &mut bytes);
        bytes.extend_from_slice(&self.clicks);
        bytes
    }
}

#[cfg(test)]
#[path = "record_tests.rs"]
mod tests;
