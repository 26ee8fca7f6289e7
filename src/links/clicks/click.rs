//! Clicks: what is left of a request once its address and its user agent are gone, as the spool has it and as a line
//! of JSON. Pure.

use std::borrow::Cow;

use fanfare_protocol::{Id, Timestamp};
use serde::{Deserialize, Serialize};

use crate::base::limits::clicks::NAME_BYTES_MAX;

/// Number of a click's names.
pub const NAMES: usize = 7;

/// First byte of a click in the spool.
const FORMAT: u8 = 1;
const IS_BOT: u8 = 1;
const HAS_VISITOR: u8 = 2;

/// Number that stands for a visitor on one day: nobody can tell from it who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Visitor(pub u64);

/// A redirect that was answered. What is not known is `None`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Click<'a> {
    /// Code that was asked for.
    pub code: Cow<'a, str>,
    /// Id of the link.
    pub link: Id,
    /// Moment of the answer, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// Country, in two letters.
    pub country: Option<Cow<'a, str>>,
    /// City, in English.
    pub city: Option<Cow<'a, str>>,
    /// Host of the page that the link stood on.
    pub referrer: Option<Cow<'a, str>>,
    /// Kind of device.
    pub device: Option<Cow<'a, str>>,
    /// Browser, without its version.
    pub browser: Option<Cow<'a, str>>,
    /// Operating system, without its version.
    pub os: Option<Cow<'a, str>>,
    /// Language that the visitor likes best.
    pub language: Option<Cow<'a, str>>,
    /// Whether a program asked, rather than a person.
    pub is_bot: bool,
    /// Visitor, for this day.
    pub visitor: Option<Visitor>,
}

/// The name, cut to what is counted.
#[must_use]
pub fn cut(name: &str) -> &str {
    let mut end = name.len().min(NAME_BYTES_MAX);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    &name[..end]
}

impl<'a> Click<'a> {
    /// A click of which nothing else is known.
    #[must_use]
    pub fn bare(code: &'a str, link: Id, at_ms: u64) -> Self {
        Self {
            code: Cow::Borrowed(code),
            link,
            at_ms,
            country: None,
            city: None,
            referrer: None,
            device: None,
            browser: None,
            os: None,
            language: None,
            is_bot: false,
            visitor: None,
        }
    }

    /// Names in the order of their fields.
    pub(super) fn names(&self) -> [Option<&str>; NAMES] {
        [&self.country, &self.city, &self.referrer, &self.device, &self.browser, &self.os, &self.language]
            .map(Option::as_deref)
    }

    /// The click with these names.
    pub(super) fn with_names(self, names: [Option<Cow<'a, str>>; NAMES]) -> Self {
        let [country, city, referrer, device, browser, os, language] = names;
        Self { country, city, referrer, device, browser, os, language, ..self }
    }

    /// Code and names, in the order of their fields.
    pub(super) fn into_words(self) -> (Cow<'a, str>, [Option<Cow<'a, str>>; NAMES]) {
        let Self { code, country, city, referrer, device, browser, os, language, .. } = self;
        (code, [country, city, referrer, device, browser, os, language])
    }

    /// Writes the click as the spool has it.
    pub fn encode(&self, to: &mut Vec<u8>) {
        let flags = u8::from(self.is_bot) * IS_BOT + u8::from(self.visitor.is_some()) * HAS_VISITOR;
        to.extend_from_slice(&[FORMAT, flags]);
        to.extend_from_slice(&self.at_ms.to_le_bytes());
        to.extend_from_slice(&self.link.0.to_le_bytes());
        if let Some(Visitor(visitor)) = self.visitor {
            to.extend_from_slice(&visitor.to_le_bytes());
        }
        text(to, &self.code);
        for name in self.names() {
            text(to, name.unwrap_or_default());
        }
    }

    /// Reads what [`encode`](Self::encode) wrote; `None` for anything else.
    #[must_use]
    pub fn decode(bytes: &'a [u8]) -> Option<Self> {
        let (&[format, flags], mut rest) = bytes.split_first_chunk::<2>()?;
        if format != FORMAT || flags & !(IS_BOT | HAS_VISITOR) != 0 {
            return None;
        }
        let at_ms = number(&mut rest)?;
        let link = Id(number(&mut rest)?);
        let visitor = if flags & HAS_VISITOR == 0 { None } else { Some(Visitor(number(&mut rest)?)) };
        let code = Cow::Borrowed(word(&mut rest)?);
        let mut name = || Some(Some(word(&mut rest)?).filter(|name| !name.is_empty()).map(Cow::Borrowed));
        let click = Self {
            code,
            link,
            at_ms,
            country: name()?,
            city: name()?,
            referrer: name()?,
            device: name()?,
            browser: name()?,
            os: name()?,
            language: name()?,
            is_bot: flags & IS_BOT != 0,
            visitor,
        };
        rest.is_empty().then_some(click)
    }
}

fn number(from: &mut &[u8]) -> Option<u64> {
    let (number, rest) = from.split_first_chunk::<8>()?;
    *from = rest;
    Some(u64::from_le_bytes(*number))
}

/// At most 255 bytes; codes and names have fewer.
fn text(to: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    let bytes = &bytes[..bytes.len().min(u8::MAX.into())];
    to.push(bytes.len() as u8);
    to.extend_from_slice(bytes);
}

fn word<'a>(from: &mut &'a [u8]) -> Option<&'a str> {
    let (&length, rest) = from.split_first()?;
    let (word, rest) = rest.split_at_checked(length.into())?;
    *from = rest;
    std::str::from_utf8(word).ok()
}

/// Origin of a click: the file that it was first written to, and its place in it. No two clicks share it, and
/// one that comes again has the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClickOrigin {
    /// Number of the file, drawn when it is made.
    pub source: u64,
    /// Place in it; later clicks have higher ones.
    pub place: u64,
}

impl ClickOrigin {
    fn to_text(self) -> String {
        format!("{:016x}-{}", self.source, self.place)
    }

    fn parse(text: &str) -> Option<Self> {
        let (source, place) = text.split_once('-')?;
        let source = Some(source).filter(|hex| hex.len() == 16).and_then(|hex| u64::from_str_radix(hex, 16).ok())?;
        Some(Self { source, place: place.parse().ok()? })
    }
}

/// Text that is lent where it has no escapes, also where it may be missing.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct Word<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'a> From<Word<'a>> for Cow<'a, str> {
    fn from(word: Word<'a>) -> Self {
        word.0
    }
}

/// A line of a record, as other tools read it too: fields are only added, never changed or taken away.
#[derive(Serialize, Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    at: Timestamp,
    #[serde(borrow)]
    code: Cow<'a, str>,
    link: Id,
    #[serde(borrow)]
    country: Option<Word<'a>>,
    #[serde(borrow)]
    city: Option<Word<'a>>,
    #[serde(borrow)]
    referrer: Option<Word<'a>>,
    #[serde(borrow)]
    device: Option<Word<'a>>,
    #[serde(borrow)]
    browser: Option<Word<'a>>,
    #[serde(borrow)]
    os: Option<Word<'a>>,
    #[serde(borrow)]
    language: Option<Word<'a>>,
    bot: bool,
    #[serde(borrow)]
    visitor: Option<Word<'a>>,
}

/// Writes the click as a line of JSON, with its line feed.
///
/// # Errors
/// Never, for text and numbers; the writer's type has them.
pub(super) fn write_line(origin: ClickOrigin, click: &Click<'_>, to: &mut Vec<u8>) -> serde_json::Result<()> {
    fn lent<'b>(name: &'b Option<Cow<'_, str>>) -> Option<Word<'b>> {
        name.as_deref().map(|name| Word(Cow::Borrowed(name)))
    }
    let line = Line {
        id: origin.to_text().into(),
        at: Timestamp(click.at_ms),
        code: Cow::Borrowed(&click.code),
        link: click.link,
        country: lent(&click.country),
        city: lent(&click.city),
        referrer: lent(&click.referrer),
        device: lent(&click.device),
        browser: lent(&click.browser),
        os: lent(&click.os),
        language: lent(&click.language),
        bot: click.is_bot,
        visitor: click.visitor.map(|visitor| Word(format!("{:016x}", visitor.0).into())),
    };
    serde_json::to_writer(&mut *to, &line)?;
    to.push(b'\n');
    Ok(())
}

/// Reads a line. Fields that a later version added are passed over.
///
/// # Errors
/// When it is no click.
pub(super) fn read_line(line: &[u8]) -> Result<(ClickOrigin, Click<'_>), String> {
    let line: Line<'_> = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    let origin = ClickOrigin::parse(&line.id).ok_or_else(|| format!("id {:?} is none", line.id))?;
    let visitor = line.visitor.map(|Word(hex)| u64::from_str_radix(&hex, 16).map_err(|_| format!("visitor {hex:?}")));
    let click = Click {
        code: line.code,
        link: line.link,
        at_ms: line.at.0,
        country: line.country.map(Cow::from),
        city: line.city.map(Cow::from),
        referrer: line.referrer.map(Cow::from),
        device: line.device.map(Cow::from),
        browser: line.browser.map(Cow::from),
        os: line.os.map(Cow::from),
        language: line.language.map(Cow::from),
        is_bot: line.bot,
        visitor: visitor.transpose()?.map(Visitor),
    };
    Ok((origin, click))
}

#[cfg(test)]
#[path = "click_tests.rs"]
pub(super) mod tests;
