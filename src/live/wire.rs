//! The wire form of sessions, as they are now and as they were as of an id. Pure.
//!
//! A page is written straight into its body: it is read as often as the home feed. The fields are those of
//! `fanfare_protocol::LiveSession`; a test reads them back as that type.

use fanfare_protocol::{Author, Id, LiveSession, LiveState, Timestamp};

use crate::base::error::{Error, Result};
use crate::base::id::unix_ms_of;
use crate::data::rows::LiveRow;

/// Id that every record is at or below.
const NOW: Id = Id(i64::MAX as u64);

/// The session as it is now; of one that was removed as it was last.
#[must_use]
pub fn session_now(row: &LiveRow, host: Author) -> LiveSession {
    LiveSession {
        id: row.id,
        host,
        title: row.title.clone(),
        state: row.state(),
        starts_at: Timestamp(row.planned_ms_at(NOW)),
        started_at: row.started.map(moment),
        ended_at: row.ended.map(moment),
        replay_url: row.replay_url.clone(),
        reminder: None,
    }
}

fn moment(record: Id) -> Timestamp {
    Timestamp(unix_ms_of(record))
}

/// Writes the session as of `t`; `host` is the host's short form in JSON. The title is as it is now.
///
/// # Errors
/// When the title does not encode, which every text does.
pub fn write_as_of(out: &mut Vec<u8>, row: &LiveRow, t: Id, host: &str, reminder: Option<bool>) -> Result<()> {
    let state = row.state_at(t).unwrap_or(LiveState::Upcoming);
    out.extend_from_slice(b"{\"id\":\"");
    number(out, row.id.0, 1);
    out.extend_from_slice(b"\",\"host\":");
    out.extend_from_slice(host.as_bytes());
    out.extend_from_slice(b",\"title\":");
    string(out, &row.title)?;
    out.extend_from_slice(b",\"state\":\"");
    out.extend_from_slice(match state {
        LiveState::Live => b"live",
        LiveState::Replay => b"replay",
        _ => b"upcoming",
    });
    out.extend_from_slice(b"\",\"starts_at\":");
    timestamp(out, Some(row.planned_ms_at(t)));
    out.extend_from_slice(b",\"started_at\":");
    timestamp(out, row.started.filter(|started| *started <= t).map(unix_ms_of));
    out.extend_from_slice(b",\"ended_at\":");
    timestamp(out, row.ended.filter(|ended| *ended <= t).map(unix_ms_of));
    out.extend_from_slice(b",\"replay_url\":");
    match row.replay_url.as_ref().filter(|_| state == LiveState::Replay) {
        Some(url) => string(out, url)?,
        None => out.extend_from_slice(b"null"),
    }
    match reminder {
        Some(true) => out.extend_from_slice(b",\"reminder\":true}"),
        Some(false) => out.extend_from_slice(b",\"reminder\":false}"),
        None => out.push(b'}'),
    }
    Ok(())
}

fn string(out: &mut Vec<u8>, text: &str) -> Result<()> {
    serde_json::to_writer(out, text).map_err(|error| Error::Internal(error.to_string()))
}

/// Writes a number with at least so many digits.
fn number(out: &mut Vec<u8>, mut value: u64, digits_min: usize) {
    let mut digits = [b'0'; 20];
    let mut at = digits.len();
    while value > 0 {
        at -= 1;
        digits[at] = b'0' + (value % 10) as u8;
        value /= 10;
    }
    at = at.min(digits.len() - digits_min);
    out.extend_from_slice(&digits[at..]);
}

/// Writes a moment as `Timestamp` does, in quotes; nothing as `null`.
fn timestamp(out: &mut Vec<u8>, ms: Option<u64>) {
    let Some(ms) = ms else { return out.extend_from_slice(b"null") };
    let ms = ms.min(Timestamp::MAX.0);
    let (days, of_day) = (ms / 86_400_000, ms % 86_400_000);
    let (year, month, day) = date_of(days);
    out.push(b'"');
    number(out, year, 4);
    out.push(b'-');
    number(out, month, 2);
    out.push(b'-');
    number(out, day, 2);
    out.push(b'T');
    number(out, of_day / 3_600_000, 2);
    out.push(b':');
    number(out, of_day / 60_000 % 60, 2);
    out.push(b':');
    number(out, of_day / 1_000 % 60, 2);
    out.push(b'.');
    number(out, of_day % 1_000, 3);
    out.extend_from_slice(b"Z\"");
}

/// Year, month and day of a day since 1970-01-01, by years that begin in March: so the leap day is the last.
const fn date_of(days: u64) -> (u64, u64, u64) {
    // Days from 0000-03-01 to 1970-01-01, and of 400 years.
    let (days, era_days) = (days + 719_468, 146_097);
    let (era, of_era) = (days / era_days, days % era_days);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn moments_are_written_as_everywhere(ms in 0_u64..=Timestamp::MAX.0) {
            let mut out = Vec::new();
            timestamp(&mut out, Some(ms));
            prop_assert_eq!(String::from_utf8(out).unwrap(), serde_json::to_string(&Timestamp(ms)).unwrap());
        }
    }

    #[test]
    fn what_is_written_reads_back_as_of_every_moment() {
        let author = Author { id: Id(7), handle: "ada".into(), display_name: "A \"B\"".into(), avatar_url: None };
        let host = serde_json::to_string(&author).unwrap();
        let id = |ms: u64| crate::base::id::first_id_at(1_700_000_000_000 + ms);
        let announced = LiveRow::announced(id(1), Id(7), "a \"title\"\n".into(), 1_800_000_000_000);
        let url = Some("https://example.org/r".to_owned());
        let over = LiveRow { started: Some(id(2)), ended: Some(id(3)), replay_url: url, ..announced };
        for (t, state) in [(1, LiveState::Upcoming), (2, LiveState::Live), (3, LiveState::Replay)] {
            let mut out = Vec::new();
            write_as_of(&mut out, &over, id(t), &host, Some(true)).unwrap();
            let read: LiveSession = serde_json::from_slice(&out).unwrap();
            let is_over = state == LiveState::Replay;
            let expected = LiveSession {
                state,
                started_at: over.started.filter(|_| t >= 2).map(moment),
                ended_at: over.ended.filter(|_| is_over).map(moment),
                replay_url: over.replay_url.clone().filter(|_| is_over),
                reminder: Some(true),
                ..session_now(&over, author.clone())
            };
            assert_eq!(read, expected);
        }
    }
}
