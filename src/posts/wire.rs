//! The wire form of posts, written straight into a body: for the hottest page. Pure.
//!
//! What never changes of a post is encoded once and kept with it ([`Encoded`](crate::data::rows::Encoded)); the
//! author's short form is kept with the account. A page then copies them and writes the few numbers between. The fields
//! are those of `fanfare_protocol::Post`, in another order; a test reads them back as that type.

use fanfare_protocol::{Id, Timestamp};
use serde::Serialize;

use crate::base::id::unix_ms_of;
use crate::log::events::PostRecord;
use crate::posts::visibility::Absence;

/// The fields that do not change, by their names on the wire.
#[derive(Serialize)]
struct Fixed<'a> {
    text: &'a str,
    mentions: &'a [fanfare_protocol::Mention],
    links: &'a [String],
    media: &'a [fanfare_protocol::Media],
    reply_to: Option<Id>,
    created_at: Timestamp,
}

/// `"text":…` to `"created_at":…`, without braces.
fn fixed(post: &PostRecord) -> &str {
    post.encoded.get_or_encode(|| {
        let fixed = Fixed {
            text: &post.text,
            mentions: &post.mentions,
            links: &post.links,
            media: &post.media,
            reply_to: post.reply_to.map(|parent| parent.id),
            created_at: Timestamp(unix_ms_of(post.id)),
        };
        let object = serde_json::to_string(&fixed).unwrap_or_default();
        object.strip_prefix('{').and_then(|object| object.strip_suffix('}')).unwrap_or_default().into()
    })
}

/// Part of a post that changes, or differs from viewer to viewer.
#[derive(Debug, Clone, Copy, Default)]
pub struct Changing {
    /// Likes, replies, reposts.
    pub counts: [u64; 3],
    /// Whether the viewer likes it, and has a bare repost of it; `None` in frames, which many viewers share.
    pub marks: Option<(bool, bool)>,
}

/// Bytes that a post takes at most beyond its fixed part and its author's.
const FRAME_BYTES_MAX: usize = 256;

/// Bytes to have ready for a post.
#[must_use]
pub fn room(post: &PostRecord, author: &str) -> usize {
    fixed(post).len() + author.len() + FRAME_BYTES_MAX
}

/// Writes the post that another one passes on.
pub type WriteOriginal<'a> = &'a dyn Fn(&mut Vec<u8>);

/// Part that is written of the post that another one passes on.
#[derive(Clone, Copy)]
pub enum Passed<'a> {
    /// No such post.
    None,
    /// All of it.
    Whole(WriteOriginal<'a>),
    /// Only why it does not show.
    Absent(Absence),
}

/// Writes a post; `author` is the author's short form in JSON.
pub fn write(out: &mut Vec<u8>, post: &PostRecord, author: &str, changing: Changing, original: Passed<'_>) {
    out.extend_from_slice(b"{\"id\":\"");
    number(out, post.id.0);
    out.extend_from_slice(b"\",\"author\":");
    out.extend_from_slice(author.as_bytes());
    out.push(b',');
    out.extend_from_slice(fixed(post).as_bytes());
    out.extend_from_slice(b",\"repost_of\":");
    match original {
        Passed::Whole(write) => write(out),
        Passed::None => out.extend_from_slice(b"null"),
        Passed::Absent(Absence::Gone) => out.extend_from_slice(b"null,\"repost_gone\":true"),
        Passed::Absent(Absence::Hidden) => out.extend_from_slice(b"null,\"repost_hidden\":true"),
    }
    let names: [&[u8]; 3] = [b",\"like_count\":", b",\"reply_count\":", b",\"repost_count\":"];
    for (name, count) in names.into_iter().zip(changing.counts) {
        out.extend_from_slice(name);
        number(out, count);
    }
    if let Some((liked, reposted)) = changing.marks {
        for (name, is) in [(&b",\"liked\":"[..], liked), (&b",\"reposted\":"[..], reposted)] {
            out.extend_from_slice(name);
            out.extend_from_slice(if is { b"true" } else { b"false" });
        }
    }
    out.push(b'}');
}

fn number(out: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
mod tests {
    use fanfare_protocol::{Author, Mention, Post};

    use super::*;
    use crate::log::events::PostRef;

    #[test]
    fn what_is_written_reads_back_as_the_post() {
        let author = Author { id: Id(7), handle: "ann".into(), display_name: "Ann \"A\" 安".into(), avatar_url: None };
        let json = serde_json::to_string(&author).unwrap();
        let record = PostRecord {
            id: Id(2_235_236_504_953_683_968),
            author: Id(7),
            text: "line\nbreak, \"quotes\", 中文, \u{1F600}".into(),
            mentions: vec![Mention { id: Id(8), handle: "bob".into() }],
            links: vec!["https://example.com/?a=1&b=2".into()],
            reply_to: Some(PostRef { id: Id(5), author: Id(8) }),
            ..PostRecord::default()
        };
        let original = PostRecord { id: Id(3), author: Id(7), text: "first".into(), ..PostRecord::default() };
        let changing = Changing { counts: [0, 12, 3_456_789_012], marks: Some((true, false)) };
        let mut out = Vec::new();
        let inner = |out: &mut Vec<u8>| write(out, &original, &json, Changing::default(), Passed::None);
        write(&mut out, &record, &json, changing, Passed::Whole(&inner));
        assert!(out.len() <= room(&record, &json) + room(&original, &json));
        let post: Post = serde_json::from_slice(&out).unwrap();
        assert_eq!((post.id, &post.author, &post.text), (record.id, &author, &record.text));
        assert_eq!(
            (post.mentions, post.links, post.reply_to),
            (record.mentions.clone(), record.links.clone(), Some(Id(5)))
        );
        assert_eq!([post.like_count, post.reply_count, post.repost_count], changing.counts);
        assert!(post.liked && !post.reposted);
        assert_eq!(post.created_at, Timestamp(unix_ms_of(record.id)));
        let inner = post.repost_of.unwrap();
        assert_eq!((inner.id, inner.text.as_str(), inner.repost_of), (Id(3), "first", None));
        assert!(!post.repost_gone && !post.repost_hidden);
        for why in [Absence::Gone, Absence::Hidden] {
            out.clear();
            write(&mut out, &record, &json, changing, Passed::Absent(why));
            assert!(out.len() <= room(&record, &json));
            let post: Post = serde_json::from_slice(&out).unwrap();
            assert_eq!(
                (post.repost_of, post.repost_gone, post.repost_hidden),
                (None, why == Absence::Gone, why == Absence::Hidden)
            );
            assert_eq!(post.text, record.text);
        }
    }
}
