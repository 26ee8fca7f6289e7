//! The input files: tab-separated, gzipped or plain, a header first, with or without a byte order mark. A line that is
//! not as it should be is an error with its number; the reader goes on.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek as _, SeekFrom};
use std::path::Path;

use flate2::bufread::GzDecoder;
use sha2::{Digest as _, Sha256};

/// Bytes of a line; a longer one is not read as one.
const LINE_BYTES_MAX: u64 = 4_096;
/// Highest external id: it becomes part of a handle.
const EXTERNAL_ID_MAX: u64 = 999_999_999_999;

/// Mark that editors and spreadsheets of Windows put before UTF-8.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// Kind of act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Passed the target's newest post on.
    Repost,
    /// Answered it.
    Reply,
    /// Named the target.
    Mention,
}

/// A line of the follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Follow {
    /// External id of who follows.
    pub follower: u64,
    /// External id of whom.
    pub followee: u64,
}

/// A line of the activity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Activity {
    /// External id of who acts.
    pub actor: u64,
    /// External id of whom it concerns.
    pub target: u64,
    /// Moment of the act, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// Kind of act.
    pub kind: Kind,
}

fn id(field: &str, name: &str) -> Result<u64, String> {
    let id = field.parse::<u64>().ok().filter(|id| *id <= EXTERNAL_ID_MAX);
    id.ok_or_else(|| format!("{name} must be a number up to {EXTERNAL_ID_MAX}, not {field:?}"))
}

fn fields<const N: usize>(line: &str) -> Result<[&str; N], String> {
    let fields: Vec<&str> = line.split('\t').collect();
    let count = fields.len();
    fields.try_into().map_err(|_| format!("needs {N} fields with tabs between them, has {count}"))
}

/// Reads a line of the follows.
///
/// # Errors
/// What is wrong with it, for people.
pub fn follow(line: &str) -> Result<Follow, String> {
    let [follower, followee] = fields(line)?;
    let follow = Follow { follower: id(follower, "follower")?, followee: id(followee, "followee")? };
    if follow.follower == follow.followee { Err("nobody follows themselves".to_owned()) } else { Ok(follow) }
}

/// Reads a line of the activity. What is said to happen after `latest_ms` is refused: ids of the future would be above
/// every id to come.
///
/// # Errors
/// What is wrong with it, for people.
pub fn act(line: &str, latest_ms: u64) -> Result<Activity, String> {
    let [actor, target, at, kind] = fields(line)?;
    let kind = match kind {
        "RT" => Kind::Repost,
        "RE" => Kind::Reply,
        "MT" => Kind::Mention,
        other => return Err(format!("kind must be RT, RE or MT, not {other:?}")),
    };
    let seconds =
        at.parse::<u64>().ok().filter(|at| (crate::base::id::EPOCH_MS / 1_000..=latest_ms / 1_000).contains(at));
    let seconds =
        seconds.ok_or_else(|| format!("unixtime must be seconds since 1970, from 2010 until now, not {at:?}"))?;
    Ok(Activity { actor: id(actor, "actor")?, target: id(target, "target")?, at_ms: seconds * 1_000, kind })
}

/// The contents of a gzip file: of all its members (RFC 1952, 2.2), and without the zeros that tapes and block devices
/// leave behind them. Anything else behind a member is an error.
struct Gunzip {
    /// Member that is being read; none when all was read.
    member: Option<GzDecoder<BufReader<File>>>,
}

impl Gunzip {
    fn of(file: File) -> Self {
        Self { member: Some(GzDecoder::new(BufReader::with_capacity(1 << 16, file))) }
    }
}

impl Read for Gunzip {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.member {
            let count = member.read(buffer)?;
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            let Some(mut rest) = self.member.take().map(GzDecoder::into_inner) else { break };
            loop {
                let waiting = rest.fill_buf()?;
                let zeros = waiting.iter().take_while(|byte| **byte == 0).count();
                let (all_zeros, at_end) = (zeros == waiting.len(), waiting.is_empty());
                rest.consume(zeros);
                if at_end {
                    break;
                }
                if !all_zeros {
                    self.member = Some(GzDecoder::new(rest));
                    break;
                }
            }
        }
        Ok(0)
    }
}

/// Lines of a file, numbered from 1; the header is line 1 and is left out.
pub struct Lines {
    reader: Box<dyn BufRead + Send>,
    number: u64,
}

impl Lines {
    /// Opens a file and checks its header.
    ///
    /// # Errors
    /// When it cannot be read, or its first line is another.
    pub fn open(path: &Path, header: &str) -> io::Result<Self> {
        let mut lines = Self::bare(path)?;
        match lines.next_line()? {
            Some((_, Ok(first))) if first.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&first) == header => Ok(lines),
            _ => Err(io::Error::other(format!("the first line must be {header:?} (with tabs)"))),
        }
    }

    /// Opens a file without a header.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn bare(path: &Path) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let mut magic = [0; 2];
        let gzipped = file.read(&mut magic)? == 2 && magic == [0x1f, 0x8b];
        file.seek(SeekFrom::Start(0))?;
        let reader: Box<dyn BufRead + Send> = match gzipped {
            true => Box::new(BufReader::with_capacity(1 << 16, Gunzip::of(file))),
            false => Box::new(BufReader::with_capacity(1 << 16, file)),
        };
        Ok(Self { reader, number: 0 })
    }

    /// The next line: its number, and its text or what is wrong with it.
    ///
    /// # Errors
    /// When the file cannot be read on.
    #[allow(clippy::type_complexity, reason = "number and verdict belong together")]
    pub fn next_line(&mut self) -> io::Result<Option<(u64, Result<String, String>)>> {
        let mut bytes = Vec::with_capacity(64);
        if Read::take(&mut self.reader, LINE_BYTES_MAX).read_until(b'\n', &mut bytes)? == 0 {
            return Ok(None);
        }
        self.number += 1;
        if bytes.last() != Some(&b'\n') && bytes.len() as u64 == LINE_BYTES_MAX {
            self.skip_rest()?;
            return Ok(Some((self.number, Err(format!("is longer than {LINE_BYTES_MAX} bytes")))));
        }
        let text = match String::from_utf8(bytes) {
            Ok(text) => Ok(text.trim_end_matches(['\n', '\r']).to_owned()),
            Err(_) => Err("is not UTF-8".to_owned()),
        };
        Ok(Some((self.number, text)))
    }

    fn skip_rest(&mut self) -> io::Result<()> {
        loop {
            let buffer = self.reader.fill_buf()?;
            if buffer.is_empty() {
                return Ok(());
            }
            let end = buffer.iter().position(|byte| *byte == b'\n');
            let used = end.map_or(buffer.len(), |at| at + 1);
            self.reader.consume(used);
            if end.is_some() {
                return Ok(());
            }
        }
    }
}

/// Counts the lines of a file, for progress; the header is not counted.
///
/// # Errors
/// When it cannot be read.
pub fn count(path: &Path, header: &str) -> io::Result<u64> {
    let mut lines = Lines::open(path, header)?;
    let mut number = 0;
    while let Some((at, _)) = lines.next_line()? {
        number = at - 1;
    }
    Ok(number)
}

/// Digest of the lines of a file without a header, and their number.
///
/// # Errors
/// When it cannot be read.
pub fn digest(path: &Path) -> io::Result<(String, u64)> {
    let (mut lines, mut hash, mut number) = (Lines::bare(path)?, Sha256::new(), 0);
    while let Some((at, line)) = lines.next_line()? {
        number = at;
        hash.update(line.unwrap_or_default());
        hash.update(b"\n");
    }
    let digest = hash.finalize();
    Ok((digest[..16].iter().map(|byte| format!("{byte:02x}")).collect(), number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn a_line_that_is_wrong_says_what_is_wrong() {
        assert_eq!(follow("1\t2"), Ok(Follow { follower: 1, followee: 2 }));
        for wrong in ["", "1", "1\t2\t3", "x\t2", "1\t-2", "7\t7", "1\t99999999999999"] {
            assert!(follow(wrong).is_err(), "{wrong:?}");
        }
        let latest_ms = 1_341_200_000_000;
        let act = |line| act(line, latest_ms);
        let act_line = act("1\t2\t1341100972\tRT").unwrap();
        assert_eq!((act_line.at_ms, act_line.kind), (1_341_100_972_000, Kind::Repost));
        for wrong in
            ["1\t2\t1341100972", "1\t2\tnow\tRT", "1\t2\t5\tRT", "1\t2\t1341100972\tXX", "1\t2\t8000000000\tRT"]
        {
            assert!(act(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn lines_keep_their_numbers_past_one_that_is_far_too_long() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        write!(file, "follower\tfollowee\n1\t2\n{}\n3\t4", "9".repeat(10_000)).unwrap();
        let mut lines = Lines::open(file.path(), "follower\tfollowee").unwrap();
        assert_eq!(lines.next_line().unwrap(), Some((2, Ok("1\t2".to_owned()))));
        assert!(matches!(lines.next_line().unwrap(), Some((3, Err(_)))));
        assert_eq!(lines.next_line().unwrap(), Some((4, Ok("3\t4".to_owned()))));
        assert_eq!(lines.next_line().unwrap(), None);
    }

    fn gzipped(text: &str) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    fn texts(bytes: &[u8]) -> io::Result<Vec<String>> {
        let mut file = tempfile::NamedTempFile::new()?;
        file.write_all(bytes)?;
        let mut lines = Lines::open(file.path(), "follower\tfollowee")?;
        let mut texts = Vec::new();
        while let Some((_, line)) = lines.next_line()? {
            texts.push(line.map_err(io::Error::other)?);
        }
        Ok(texts)
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_header() {
        let text = "\u{feff}follower\tfollowee\r\n1\t2\r\n";
        assert_eq!(texts(text.as_bytes()).unwrap(), ["1\t2"]);
        assert_eq!(texts(&gzipped(text)).unwrap(), ["1\t2"]);
        assert!(texts("\u{feff}\u{feff}follower\tfollowee\n1\t2\n".as_bytes()).is_err());
    }

    #[test]
    fn a_gzip_file_may_have_members_and_zeros_behind_it_and_nothing_else() {
        let (one, two) = (gzipped("follower\tfollowee\n1\t2\n"), gzipped("3\t4\n"));
        let zeros = vec![0; 200_000];
        assert_eq!(texts(&[&one[..], &zeros].concat()).unwrap(), ["1\t2"]);
        assert_eq!(texts(&[&one[..], &two].concat()).unwrap(), ["1\t2", "3\t4"]);
        assert_eq!(texts(&[&one[..], &zeros[..512], &two, &zeros[..1]].concat()).unwrap(), ["1\t2", "3\t4"]);
        for broken in
            [&[&one[..], b"rest"].concat(), &[&one[..], &zeros, b"rest"].concat(), &one[..one.len() - 3].to_vec()]
        {
            assert!(texts(broken).is_err());
        }
    }
}
