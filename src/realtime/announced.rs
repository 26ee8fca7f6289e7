//! Deletions of accounts of which a client was told by a `reset`, since it does not know their type: each once. Pure.
//!
//! Watermarks trail, so a client that comes back within seconds finds the same deletion again in what it missed. Its
//! cursor says by a digest which of those above the watermark it was told of.

use fanfare_protocol::{Id, ResetReason, Stream};

use super::cursor::digest;

/// Most that are remembered; of one that is forgotten the client may be told again.
const TOLD_MAX: usize = 32;

/// Deletions that a client was told of, as far as they are above its watermark.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AnnouncedDeletions {
    /// Digest of the client's cursor, until a replay says which they are; 0: none.
    before: u16,
    /// The records of the deletions, in the order in which they were told.
    ids: Vec<Id>,
    /// Deletions that came while the replay was read.
    meanwhile: Vec<Id>,
    /// Stream and reason of those.
    of_meanwhile: Option<(Stream, ResetReason)>,
}

impl AnnouncedDeletions {
    /// Deletions by the digest in a cursor.
    #[must_use]
    pub fn of_cursor(digest: u16) -> Self {
        Self { before: digest, ..Self::default() }
    }

    /// Deletions by their records.
    #[must_use]
    pub fn of(ids: Vec<Id>) -> Self {
        Self { ids, ..Self::default() }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.before == 0 && self.ids.is_empty()
    }

    /// Notes deletions that come while the replay is still read, which may hold them too.
    pub fn came_meanwhile(&mut self, ids: &[Id], unknown: (Stream, ResetReason)) {
        for id in ids {
            // Of very many the last is behind the replay for sure, if any is.
            self.meanwhile.truncate(TOLD_MAX - 1);
            self.meanwhile.push(*id);
        }
        self.of_meanwhile = Some(unknown);
    }

    /// Takes in the deletions that a replay from the cursor on holds, of the stream `unknown`; the stream that the
    /// client is to read anew for them, or for what came meanwhile, and why.
    pub fn replayed(&mut self, ids: &[Id], unknown: Option<(Stream, ResetReason)>) -> Option<(Stream, ResetReason)> {
        let known = std::mem::take(&mut self.before);
        let all_known = known != 0 && known == digest(ids.iter().copied());
        let new = self.are_news(ids);
        let (meanwhile, of_meanwhile) = (std::mem::take(&mut self.meanwhile), self.of_meanwhile.take());
        let later = self.are_news(&meanwhile);
        (later || (new && !all_known)).then_some(unknown.or(of_meanwhile)).flatten()
    }

    /// Takes in deletions; whether the client is to be told of any.
    pub fn are_news(&mut self, ids: &[Id]) -> bool {
        ids.iter().filter(|id| self.is_news(**id)).count() > 0
    }

    /// Takes in a deletion; whether the client is to be told.
    pub fn is_news(&mut self, id: Id) -> bool {
        if self.ids.contains(&id) {
            return false;
        }
        if self.ids.len() >= TOLD_MAX {
            self.ids.remove(0);
        }
        self.ids.push(id);
        true
    }

    /// Digest for a cursor with that watermark.
    #[must_use]
    pub fn digest(&self, watermark: Id) -> u16 {
        if self.before != 0 { self.before } else { digest(self.ids.iter().copied().filter(|id| *id > watermark)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OF: Option<(Stream, ResetReason)> = Some((Stream::Posts, ResetReason::AuthorDeleted));

    #[test]
    fn each_is_told_once_live_and_replayed_and_from_cursor_to_cursor() {
        let mut told = AnnouncedDeletions::default();
        assert!(told.is_empty() && told.is_news(Id(10)) && !told.is_news(Id(10)) && told.is_news(Id(20)));
        let mut again = AnnouncedDeletions::of_cursor(told.digest(Id(5)));
        assert_eq!(again.digest(Id(5)), told.digest(Id(5)), "until the replay is read");
        assert!(again.replayed(&[Id(10), Id(20)], OF).is_none());
        assert_eq!(again.digest(Id(15)), told.digest(Id(15)));
        let mut more = AnnouncedDeletions::of_cursor(told.digest(Id(5)));
        assert!(more.replayed(&[Id(10), Id(20), Id(30)], OF).is_some(), "there is a new one");
        assert!(more.replayed(&[Id(10)], OF).is_none() && !more.is_news(Id(30)));
        let mut racing = AnnouncedDeletions::of_cursor(told.digest(Id(5)));
        racing.came_meanwhile(&[Id(20)], (Stream::Posts, ResetReason::AuthorDeleted));
        assert!(racing.replayed(&[Id(10), Id(20)], OF).is_none(), "in both");
        let mut later = AnnouncedDeletions::of_cursor(told.digest(Id(5)));
        later.came_meanwhile(&[Id(30)], (Stream::Posts, ResetReason::AuthorDeleted));
        assert_eq!(later.replayed(&[], None), OF, "behind the replay");
        assert!(
            AnnouncedDeletions::of_cursor(0).replayed(&[], None).is_none()
                && AnnouncedDeletions::of_cursor(0).replayed(&[Id(10)], OF).is_some()
        );
    }

    #[test]
    fn what_is_below_the_watermark_is_in_no_cursor_and_very_many_are_forgotten() {
        let mut told = AnnouncedDeletions::of(vec![Id(10)]);
        assert_eq!((told.digest(Id(10)), told.digest(Id(9))), (0, digest([Id(10)])));
        assert!((11..100).all(|id| told.is_news(Id(id))));
        assert_eq!(told.ids.len(), TOLD_MAX);
    }
}
