//! What one reader may see: the contract's table, as a plain function. The last step of every read.

use super::interner::UserIndex;
use super::relations::ReaderRelations;
use crate::events::PostRecord;

/// Whether `post` by `author` shows in the reader's feed.
///
/// `original` is the post that this one passes on, `None` when that is deleted or unknown. `index` gives the index of a
/// post's author; `None` for somebody never seen, who then is not followed, blocked or muted by anybody here.
///
/// - Only the reader's own posts and those of followees.
/// - Nobody with a block in either direction, nobody muted; one's own posts are not touched by mutes.
/// - A repost, one's own too, also needs its original to be there, and that one's author not blocked or muted.
/// - A reply only where the reader also follows, or is, the author replied to, or the author replies to themselves.
#[must_use]
pub fn is_visible(
    reader: &ReaderRelations,
    author: UserIndex,
    post: &PostRecord,
    original: Option<&PostRecord>,
    index: impl Fn(fanfare_protocol::Id) -> Option<UserIndex>,
) -> bool {
    let own = author == reader.me;
    if post.deleted || !(own || reader.follows(author)) {
        return false;
    }
    if !own && (reader.is_blocked(author) || reader.is_muted(author)) {
        return false;
    }
    if let Some(passed_on) = &post.repost_of {
        if original.is_none_or(|original| original.deleted) {
            return false;
        }
        if let Some(origin) = index(passed_on.author)
            && (reader.is_blocked(origin) || reader.is_muted(origin))
        {
            return false;
        }
    }
    match &post.reply_to {
        Some(answered) if answered.author != post.author => {
            index(answered.author).is_some_and(|to| to == reader.me || reader.follows(to))
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use fanfare_protocol::Id;

    use super::*;
    use crate::events::{Policy, PostRef};

    fn post(author: u64) -> PostRecord {
        PostRecord {
            id: Id(100),
            author: Id(author),
            text: "words".into(),
            mentions: vec![],
            links: vec![],
            media: vec![],
            reply_to: None,
            repost_of: None,
            policy: Policy::Push,
            deleted: false,
            ..PostRecord::default()
        }
    }

    /// Reader 1 follows 2 and 3 (muted), is blocked with 4; 5 is a stranger; 6 was never seen.
    fn shows(post: &PostRecord, original: Option<&PostRecord>) -> bool {
        let reader = ReaderRelations::new(1, vec![2, 3], vec![4], vec![3, 7]);
        let index = |id: Id| (id.0 < 6).then_some(id.0 as u32);
        is_visible(&reader, post.author.0 as u32, post, original, index)
    }

    fn reply(author: u64, to: u64) -> PostRecord {
        PostRecord { reply_to: Some(PostRef { id: Id(50), author: Id(to) }), ..post(author) }
    }

    fn repost(author: u64, of: u64) -> PostRecord {
        PostRecord { repost_of: Some(PostRef { id: Id(50), author: Id(of) }), ..post(author) }
    }

    #[test]
    fn only_own_posts_and_those_of_followees_show() {
        let shown: Vec<u64> = (1..6).filter(|author| shows(&post(*author), None)).collect();
        assert_eq!(shown, [1, 2]);
        assert!(!shows(&PostRecord { deleted: true, ..post(2) }, None));
    }

    #[test]
    fn replies_show_where_the_one_replied_to_is_followed_or_oneself_or_the_author() {
        let shown: Vec<u64> = (1..=6).filter(|to| shows(&reply(2, *to), None)).collect();
        assert_eq!(shown, [1, 2, 3]);
        let own: Vec<u64> = (1..=6).filter(|to| shows(&reply(1, *to), None)).collect();
        assert_eq!(own, [1, 2, 3]);
    }

    #[test]
    fn reposts_need_their_original_and_its_author() {
        let original = post(5);
        let shown: Vec<u64> = (1..=6).filter(|of| shows(&repost(2, *of), Some(&original))).collect();
        assert_eq!(shown, [1, 2, 5, 6]);
        assert!(shows(&repost(1, 5), Some(&original)) && !shows(&repost(1, 3), Some(&original)));
        assert!(!shows(&repost(2, 5), None));
        assert!(!shows(&repost(2, 5), Some(&PostRecord { deleted: true, ..original })));
    }
}
