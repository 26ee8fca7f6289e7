//! Lines of an access log in the combined format of Apache and nginx. Pure.

use std::net::IpAddr;

use fanfare_protocol::Timestamp;
use serde::Deserialize as _;
use serde::de::IntoDeserializer as _;

/// Line of an access log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// Address of the client.
    pub client: IpAddr,
    /// Moment, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// Method of the request.
    pub method: String,
    /// Target of the request: path and query.
    pub target: String,
    /// Page before, as the browser said.
    pub referrer: String,
    /// User agent.
    pub agent: String,
}

/// Reads a line.
///
/// # Errors
/// What is wrong with it, for people.
pub fn hit(line: &str) -> Result<Hit, String> {
    let (client, rest) = line.split_once(' ').ok_or("has no address")?;
    let client = client.parse().map_err(|_| format!("begins with {client:?}, which is no address"))?;
    let (_, rest) = rest.split_once('[').ok_or("has no moment in brackets")?;
    let (at, rest) = rest.split_once(']').ok_or("has no moment in brackets")?;
    let at_ms =
        moment(at).ok_or_else(|| format!("has the moment {at:?}, not one such as 17/May/2015:10:05:03 +0000"))?;
    let (request, rest) = quoted(rest).ok_or("has no request in quotes")?;
    let (referrer, rest) = quoted(rest).ok_or("has no referrer in quotes")?;
    let (agent, rest) = quoted(rest).ok_or("has no user agent in quotes")?;
    if !rest.trim().is_empty() {
        return Err("goes on behind the user agent".to_owned());
    }
    let mut words = request.split(' ');
    let (Some(method), Some(target), Some(version), None) = (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(format!("has the request {request:?}, which is none"));
    };
    if !version.starts_with("HTTP/") || method.is_empty() || target.is_empty() {
        return Err(format!("has the request {request:?}, which is none"));
    }
    Ok(Hit { client, at_ms, method: method.to_owned(), target: target.to_owned(), referrer, agent })
}

/// The next text in quotes, in which a backslash takes its meaning from what follows, and what is behind it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let (_, text) = text.split_once('"')?;
    let (mut unquoted, mut is_escaped) = (String::new(), false);
    for (at, c) in text.char_indices() {
        match c {
            _ if is_escaped => {
                if !matches!(c, '"' | '\\') {
                    unquoted.push('\\');
                }
                unquoted.push(c);
                is_escaped = false;
            }
            '\\' => is_escaped = true,
            '"' => return Some((unquoted, &text[at + 1..])),
            _ => unquoted.push(c),
        }
    }
    None
}

/// Moment such as `17/May/2015:10:05:03 +0000`, in milliseconds since the Unix epoch.
fn moment(text: &str) -> Option<u64> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (date, zone) = text.split_once(' ')?;
    let mut parts = date.splitn(4, ['/', ':']);
    let (day, month, year, time) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let month = MONTHS.iter().position(|known| *known == month)? + 1;
    let (hours, minutes) = zone.split_at_checked(3)?;
    let moment = format!("{year}-{month:02}-{day:0>2}T{time}{hours}:{minutes}");
    let deserializer: serde::de::value::StrDeserializer<'_, serde::de::value::Error> = (*moment).into_deserializer();
    Timestamp::deserialize(deserializer).ok().map(|moment| moment.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"83.149.9.216 - - [17/May/2015:10:05:03 +0000] "GET /a/b.png?x=1 HTTP/1.1" 200 203023 "http://site.example/a \"b\"/" "Mozilla/5.0 (X11)""#;

    #[test]
    fn a_line_is_read_as_what_it_says() {
        let hit = hit(LINE).unwrap();
        assert_eq!((hit.client, hit.at_ms), (IpAddr::from([83, 149, 9, 216]), 1_431_857_103_000));
        assert_eq!((&*hit.method, &*hit.target, &*hit.agent), ("GET", "/a/b.png?x=1", "Mozilla/5.0 (X11)"));
        assert_eq!(hit.referrer, "http://site.example/a \"b\"/");
    }

    #[test]
    fn zones_are_heard_and_what_is_no_moment_is_refused() {
        assert_eq!(moment("17/May/2015:12:05:03 +0200"), moment("17/May/2015:10:05:03 +0000"));
        for wrong in
            ["17/Mai/2015:12:05:03 +0000", "32/May/2015:12:05:03 +0000", "17/May/2015", "", "17/May/2015:12:05:03 x"]
        {
            assert_eq!(moment(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_line_that_is_none_says_why() {
        for (wrong, why) in [
            ("", "address"),
            ("x y", "no address"),
            (&LINE.replace('[', ""), "moment"),
            (&LINE.replace("GET ", ""), "request"),
            (&LINE[..LINE.len() - 1], "user agent"),
            (&format!("{LINE} more"), "goes on"),
        ] {
            assert!(hit(wrong).unwrap_err().contains(why), "{wrong}");
        }
    }
}
