//! Whether a viewer may see a post: the one decision behind feeds, lists, threads, quotes, notifications and frames.
//! Pure.
//!
//! Whoever asks knows how the post stands and what is between the viewer and its author, and names the place where it
//! would show. The answer is what is missing, if anything; what follows for a post that passes on another is here too.

use crate::data::absent::Standing;
use crate::data::rows::PostRecord;

/// Blocks and mutes between a viewer and an author. Nothing between one and oneself, and for viewers without a name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Between {
    /// The author blocks the viewer.
    pub blocks_viewer: bool,
    /// Whether one of them blocks the other.
    pub blocked: bool,
    /// The viewer mutes the author.
    pub muted: bool,
}

/// Place in which a post would show: from the one that hides least to the one that hides most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// Asked for by its id: whoever blocks an author can still read, to report.
    ById,
    /// On the viewer's own profile, which lists all that is theirs, as their `posts_count` does.
    Own,
    /// On its author's profile, and above a post that answers it: mutes do not matter.
    Profile,
    /// Among posts of many: feeds, the public timeline, replies.
    Among,
}

/// Why a post does not show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absence {
    /// Deleted: for everybody, for good.
    Gone,
    /// Existing, but not for this viewer, or not now.
    Hidden,
}

/// Part that shows of a post that may pass on another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// All of it.
    Whole,
    /// The post's own words, without the post that it passes on.
    WithoutOriginal(Absence),
    /// Nothing.
    Nothing(Absence),
}

/// Whether a post shows: `None`, or why not.
#[must_use]
pub fn absence(standing: Standing, between: Between, place: Place) -> Option<Absence> {
    let kept_from = match place {
        Place::ById => between.blocks_viewer,
        Place::Own | Place::Profile => between.blocked || between.blocks_viewer,
        Place::Among => between.blocked || between.blocks_viewer || between.muted,
    };
    match standing {
        // To who is blocked, a deleted post is no more than one that never was.
        _ if between.blocks_viewer => Some(Absence::Hidden),
        Standing::Gone => Some(Absence::Gone),
        Standing::Hidden => Some(Absence::Hidden),
        Standing::Stands => kept_from.then_some(Absence::Hidden),
    }
}

/// Place in which the post that `post` passes on counts as shown. Words around it are no reason to bring up again what
/// a viewer chose not to see, so a quote asked for by id shows no more of its original than a profile would.
#[must_use]
pub fn place_of_original(post: &PostRecord, place: Place) -> Place {
    if post.is_bare_repost() { place } else { place.max(Place::Profile) }
}

/// Why the post that `post` passes on does not show, if so, where `post` shows at `place`. A block between its author
/// and the viewer counts first: whoever would not be shown it is not told either that it was deleted.
#[must_use]
pub fn absence_of_original(post: &PostRecord, standing: Standing, between: Between, place: Place) -> Option<Absence> {
    let (place, block) = (place_of_original(post, place), Between { muted: false, ..between });
    absence(Standing::Stands, block, place).or_else(|| absence(standing, between, place))
}

/// Part of a post that shows, given why it does not show, if so, and the same of the post that it passes on, if it
/// does: a bare repost is nothing without its original, and words of one's own stay. Whoever made a bare repost finds
/// it on their own profile while its original is only hidden, and can undo it.
#[must_use]
pub fn shown(post: &PostRecord, place: Place, own: Option<Absence>, original: Option<Absence>) -> Shown {
    match (own, original) {
        (Some(why), _) => Shown::Nothing(why),
        (None, None) => Shown::Whole,
        (None, Some(Absence::Hidden)) if place == Place::Own => Shown::WithoutOriginal(Absence::Hidden),
        (None, Some(why)) if post.is_bare_repost() => Shown::Nothing(why),
        (None, Some(why)) => Shown::WithoutOriginal(why),
    }
}

#[cfg(test)]
mod tests {
    use fanfare_protocol::Id;

    use super::*;
    use crate::log::events::PostRef;

    const NOTHING: Between = Between { blocks_viewer: false, blocked: false, muted: false };
    const BLOCKS_VIEWER: Between = Between { blocks_viewer: true, blocked: true, muted: false };
    const BLOCKED: Between = Between { blocks_viewer: false, blocked: true, muted: false };
    const MUTED: Between = Between { blocks_viewer: false, blocked: false, muted: true };
    const PLACES: [Place; 4] = [Place::ById, Place::Own, Place::Profile, Place::Among];

    fn repost(text: &str) -> PostRecord {
        let repost_of = Some(PostRef { id: Id(1), author: Id(2) });
        PostRecord { id: Id(3), author: Id(4), text: text.to_owned(), repost_of, ..PostRecord::default() }
    }

    #[test]
    fn each_place_hides_what_the_contract_says() {
        let hidden = |between| PLACES.map(|place| absence(Standing::Stands, between, place));
        let no = Some(Absence::Hidden);
        assert_eq!(hidden(NOTHING), [None; 4]);
        assert_eq!(hidden(BLOCKS_VIEWER), [no; 4]);
        assert_eq!(hidden(BLOCKED), [None, no, no, no], "by id it can still be read, to report it");
        assert_eq!(hidden(MUTED), [None, None, None, no]);
    }

    #[test]
    fn what_is_gone_or_hidden_by_operators_shows_nowhere() {
        for place in PLACES {
            assert_eq!(absence(Standing::Gone, NOTHING, place), Some(Absence::Gone));
            assert_eq!(absence(Standing::Hidden, NOTHING, place), Some(Absence::Hidden));
            assert_eq!(
                absence(Standing::Gone, BLOCKS_VIEWER, place),
                Some(Absence::Hidden),
                "who is blocked learns nothing"
            );
        }
    }

    #[test]
    fn whoever_would_not_be_shown_an_original_is_not_told_that_it_was_deleted() {
        for place in PLACES {
            for (between, gone) in [
                (NOTHING, Absence::Gone),
                (MUTED, Absence::Gone),
                (BLOCKED, Absence::Hidden),
                (BLOCKS_VIEWER, Absence::Hidden),
            ] {
                let quoted = |standing| absence_of_original(&repost("look"), standing, between, place);
                assert_eq!(quoted(Standing::Gone), Some(gone), "{between:?} at {place:?}");
                assert_eq!(quoted(Standing::Hidden), Some(Absence::Hidden));
            }
            assert_eq!(absence_of_original(&repost(""), Standing::Gone, BLOCKS_VIEWER, place), Some(Absence::Hidden));
        }
    }

    #[test]
    fn a_quote_keeps_its_words_and_a_bare_repost_is_nothing_without_its_original() {
        for why in [Absence::Gone, Absence::Hidden] {
            for place in PLACES {
                assert_eq!(shown(&repost("look"), place, None, Some(why)), Shown::WithoutOriginal(why));
                assert_eq!(shown(&repost("look"), place, Some(why), None), Shown::Nothing(why));
                let kept = place == Place::Own && why == Absence::Hidden;
                let bare = if kept { Shown::WithoutOriginal(why) } else { Shown::Nothing(why) };
                assert_eq!(shown(&repost(""), place, None, Some(why)), bare);
            }
        }
        assert_eq!(shown(&repost(""), Place::Among, None, None), Shown::Whole);
        assert_eq!(place_of_original(&repost(""), Place::ById), Place::ById);
        assert_eq!(place_of_original(&repost("look"), Place::ById), Place::Profile);
        assert_eq!(place_of_original(&repost("look"), Place::Among), Place::Among);
    }
}
