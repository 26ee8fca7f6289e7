//! The list of conversations over HTTP: its first pages, further ones when asked for, and by change after every pause.
//! Pure.

use std::collections::{HashSet, VecDeque};

use fanfare_protocol::{ConversationPage, Id};

use super::Folder;
use super::pause::Pause;

/// Page of the list that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listing {
    /// Number of this reading.
    pub reading: u64,
    /// Part of the list.
    pub part: Part,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    /// Everything that changed since this value of `changed_after`.
    Changed(String),
    /// A page of a folder, after this cursor.
    Folder(Folder, Option<String>),
}

/// Reading of the list that is under way.
#[derive(Debug)]
enum Going {
    /// By change; the cursor of the first page.
    Changes(Option<String>),
    /// From the beginning: folders to be read, what stood in those before, the cursor of the first.
    First { folders: VecDeque<Folder>, listed: HashSet<Id>, cursor: Option<String>, began: u64 },
    /// A further page.
    More,
}

/// A list that was read from its beginning.
#[derive(Debug)]
pub(super) struct Anew {
    /// Conversations on the first pages.
    pub listed: HashSet<Id>,
    /// Number of the first reading.
    pub began: u64,
}

#[derive(Debug, Default)]
pub(super) struct Sync {
    /// Value of `changed_after` that is reached.
    cursor: Option<String>,
    /// Places at which folders go on.
    next: [Next; 3],
    /// Something may have changed.
    wanted: bool,
    more: VecDeque<Folder>,
    going: Option<Going>,
    /// The next question of what is under way.
    asking: Option<Part>,
    pause: Pause,
}

#[derive(Debug, Default, Clone, PartialEq, Eq)]
enum Next {
    #[default]
    Begin,
    At(String),
    End,
}

impl Sync {
    /// Whether there are conversations of a folder that were not read yet.
    pub const fn has_more(&self, folder: Folder) -> bool {
        !matches!(self.next[folder as usize], Next::End)
    }

    /// Notes that something may have changed.
    pub fn want(&mut self) {
        self.wanted = true;
    }

    /// Asks for the next page of a folder.
    pub fn more(&mut self, folder: Folder) {
        if self.has_more(folder) && !self.more.contains(&folder) {
            self.more.push_back(folder);
        }
    }

    /// The network is back.
    pub fn kick(&mut self) {
        self.pause.reset();
    }

    /// Whether a question can be asked.
    fn is_ready(&self) -> bool {
        self.asking.is_some() || (self.going.is_none() && (self.wanted || !self.more.is_empty()))
    }

    /// Moment at which a pause ends, if something waits for it.
    pub fn wakes_at_ms(&self) -> Option<u64> {
        self.is_ready().then(|| self.pause.until_ms().unwrap_or(0))
    }

    /// The next question.
    pub fn next(&mut self, now_ms: u64, reading: u64) -> Option<Listing> {
        if self.pause.is_on(now_ms) || !self.is_ready() {
            return None;
        }
        if self.going.is_none() {
            self.begin(reading);
        }
        self.asking.take().map(|part| Listing { reading, part })
    }

    fn begin(&mut self, reading: u64) {
        if std::mem::take(&mut self.wanted) {
            if let Some(cursor) = &self.cursor {
                self.going = Some(Going::Changes(None));
                self.asking = Some(Part::Changed(cursor.clone()));
            } else {
                // The inbox first: it is what a screen shows, and its cursor is the oldest.
                let folders: VecDeque<Folder> = Folder::ALL[1..].iter().copied().collect();
                self.going = Some(Going::First { folders, listed: HashSet::new(), cursor: None, began: reading });
                self.asking = Some(Part::Folder(Folder::Inbox, None));
            }
        } else if let Some(folder) = self.more.pop_front() {
            let cursor = match &self.next[folder as usize] {
                Next::At(cursor) => Some(cursor.clone()),
                Next::Begin | Next::End => None,
            };
            self.going = Some(Going::More);
            self.asking = Some(Part::Folder(folder, cursor));
        }
    }

    /// A page came, and its conversations were taken. After the first pages: what stood in them, in place of all that
    /// was known.
    pub fn listed(&mut self, listing: &Listing, page: &ConversationPage) -> Option<Anew> {
        self.pause.reset();
        if let Part::Folder(folder, _) = &listing.part {
            self.next[*folder as usize] = page.next_cursor.clone().map_or(Next::End, Next::At);
        }
        match self.going.take()? {
            Going::More => None,
            Going::Changes(first) => {
                // Of the first page: what happens while the others are read comes again.
                let cursor = first.unwrap_or_else(|| page.changes_cursor.clone());
                if let Some(next) = &page.next_cursor {
                    self.asking = Some(Part::Changed(next.clone()));
                    self.going = Some(Going::Changes(Some(cursor)));
                } else {
                    self.cursor = Some(cursor);
                }
                None
            }
            Going::First { mut folders, mut listed, cursor, began } => {
                listed.extend(page.items.iter().map(|conversation| conversation.id));
                let cursor = cursor.unwrap_or_else(|| page.changes_cursor.clone());
                if let Some(folder) = folders.pop_front() {
                    self.asking = Some(Part::Folder(folder, None));
                    self.going = Some(Going::First { folders, listed, cursor: Some(cursor), began });
                    return None;
                }
                self.cursor = Some(cursor);
                // What was let go because of these pages may have changed meanwhile.
                self.wanted = true;
                Some(Anew { listed, began })
            }
        }
    }

    /// Begins anew: what was asked for is too old to be told.
    pub fn expired(&mut self) {
        self.cursor = None;
        self.next = Default::default();
        (self.going, self.asking, self.wanted) = (None, None, true);
    }

    /// No answer: it is asked again after a pause, from where it was.
    pub fn failed(&mut self, now_ms: u64, dice: u64) {
        self.wanted |= !matches!(self.going, Some(Going::More));
        (self.going, self.asking) = (None, None);
        self.pause.begin(now_ms, dice);
    }
}
