//! Filter of a reader's feed: the contract's table, as a plain function. The last step of every read.

use super::interner::UserIndex;
use super::relations::ReaderRelations;
use crate::data::absent::Standing;
use crate::log::events::PostRecord;
use crate::posts::visibility::{Absence, Between, Place, Shown, absence, absence_of_original, shown};

/// Part of `post` by `author` that the reader's feed shows.
///
/// `standing` and `original` say how the post stands, and the one that it passes on. `index` gives the index of a
/// post's author; `None` for somebody never seen, who then is not followed, blocked or muted by anybody here.
///
/// - Only the reader's own posts and those of followees.
/// - Nobody with a block in either direction, nobody muted; one's own posts are not touched by mutes.
/// - A bare repost, one's own too, also needs its original to be there, and that one's author not blocked or muted; a
///   quote shows without it.
/// - A reply only where the reader also follows, or is, the author replied to, or the author replies to themselves.
#[must_use]
pub fn shows(
    reader: &ReaderRelations,
    author: UserIndex,
    post: &PostRecord,
    standing: Standing,
    original: Standing,
    index: impl Fn(fanfare_protocol::Id) -> Option<UserIndex>,
) -> Shown {
    if author != reader.me && !reader.follows(author) {
        return Shown::Nothing(Absence::Hidden);
    }
    let answers_stranger = post.reply_to.is_some_and(|answered| {
        answered.author != post.author
            && !index(answered.author).is_some_and(|to| to == reader.me || reader.follows(to))
    });
    if answers_stranger {
        return Shown::Nothing(Absence::Hidden);
    }
    let between = |person: Option<UserIndex>| match person {
        Some(person) if person != reader.me => {
            Between { blocked: reader.is_blocked(person), muted: reader.is_muted(person), ..Between::default() }
        }
        _ => Between::default(),
    };
    let original =
        post.repost_of.and_then(|of| absence_of_original(post, original, between(index(of.author)), Place::Among));
    shown(post, Place::Among, absence(standing, between(Some(author)), Place::Among), original)
}

#[cfg(test)]
mod tests {
    use fanfare_protocol::Id;

    use super::*;
    use crate::log::events::{Policy, PostRef};

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

    use Absence::{Gone, Hidden};
    use Standing::Stands;

    /// Reader 1 follows 2 and 3 (muted), is blocked with 4; 5 is a stranger; 6 was never seen.
    fn seen(post: &PostRecord, original: Standing) -> Shown {
        let reader = ReaderRelations::new(1, vec![2, 3], vec![4], vec![3, 7]);
        let index = |id: Id| (id.0 < 6).then_some(id.0 as u32);
        let standing = if post.deleted { Standing::Gone } else { Stands };
        shows(&reader, post.author.0 as u32, post, standing, original, index)
    }

    fn is_whole(post: &PostRecord) -> bool {
        seen(post, Stands) == Shown::Whole
    }

    fn reply(author: u64, to: u64) -> PostRecord {
        PostRecord { reply_to: Some(PostRef { id: Id(50), author: Id(to) }), ..post(author) }
    }

    fn quote(author: u64, of: u64) -> PostRecord {
        PostRecord { repost_of: Some(PostRef { id: Id(50), author: Id(of) }), ..post(author) }
    }

    fn repost(author: u64, of: u64) -> PostRecord {
        PostRecord { text: String::new(), ..quote(author, of) }
    }

    #[test]
    fn only_own_posts_and_those_of_followees_show() {
        let shown: Vec<u64> = (1..6).filter(|author| is_whole(&post(*author))).collect();
        assert_eq!(shown, [1, 2]);
        assert_eq!(seen(&PostRecord { deleted: true, ..post(2) }, Stands), Shown::Nothing(Gone));
    }

    #[test]
    fn replies_show_where_the_one_replied_to_is_followed_or_oneself_or_the_author() {
        let shown: Vec<u64> = (1..=6).filter(|to| is_whole(&reply(2, *to))).collect();
        assert_eq!(shown, [1, 2, 3]);
        let own: Vec<u64> = (1..=6).filter(|to| is_whole(&reply(1, *to))).collect();
        assert_eq!(own, [1, 2, 3]);
    }

    #[test]
    fn bare_reposts_need_their_original_and_its_author() {
        let shown: Vec<u64> = (1..=6).filter(|of| is_whole(&repost(2, *of))).collect();
        assert_eq!(shown, [1, 2, 5, 6]);
        assert!(is_whole(&repost(1, 5)));
        assert_eq!(seen(&repost(1, 3), Stands), Shown::Nothing(Hidden));
        assert_eq!(seen(&repost(2, 5), Standing::Gone), Shown::Nothing(Gone));
        assert_eq!(seen(&repost(2, 5), Standing::Hidden), Shown::Nothing(Hidden));
    }

    #[test]
    fn quotes_keep_their_words_whatever_became_of_their_original_and_its_author() {
        let without: Vec<u64> =
            (1..=6).filter(|of| seen(&quote(2, *of), Stands) == Shown::WithoutOriginal(Hidden)).collect();
        assert_eq!(without, [3, 4]);
        let whole: Vec<u64> = (1..=6).filter(|of| is_whole(&quote(2, *of))).collect();
        assert_eq!(whole, [1, 2, 5, 6]);
        assert_eq!(seen(&quote(2, 5), Standing::Gone), Shown::WithoutOriginal(Gone));
        assert_eq!(seen(&quote(2, 5), Standing::Hidden), Shown::WithoutOriginal(Hidden));
        assert_eq!(seen(&quote(3, 5), Stands), Shown::Nothing(Hidden), "whoever is muted quotes in vain");
    }
}
