//! State of chat's fold: conversations, decoded, and rows that records ask for. Pure: whoever folds loads it.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use fanfare_engines::RowKey;
use fanfare_protocol::{Id, MemberRole};

use super::outcome::ChatRefusal;
use crate::chat::audience::Hearers;
use crate::data::rows::chat::{ChatHead, Info, MemberRow};

/// A conversation as its fold sees it; a clone shares what changes seldom.
#[derive(Debug, Clone, Default)]
pub struct Folded {
    /// Numbers.
    pub head: ChatHead,
    /// Information; none before anything is known of it.
    pub info: Option<Arc<Info>>,
    /// Everybody who is or was in it, by id.
    pub people: Arc<Vec<(Id, MemberRow)>>,
    /// Members now, by id, and the lowest number that all of them may see: shared with whoever delivers.
    audience: Option<(Arc<[Id]>, u64)>,
}

impl Folded {
    /// A conversation as it is stored.
    #[must_use]
    pub fn new(head: Option<ChatHead>, info: Option<Info>, mut people: Vec<(Id, MemberRow)>) -> Self {
        people.sort_unstable_by_key(|(user, _)| *user);
        Self { head: head.unwrap_or_default(), info: info.map(Arc::new), people: Arc::new(people), audience: None }
    }

    /// Information, if it was created.
    ///
    /// # Errors
    /// [`ChatRefusal::NotFound`].
    pub fn created(&self) -> Result<&Arc<Info>, ChatRefusal> {
        self.info.as_ref().filter(|info| info.created.is_some()).ok_or(ChatRefusal::NotFound)
    }

    /// Whoever is or was in it.
    #[must_use]
    pub fn person(&self, user: Id) -> Option<&MemberRow> {
        let place = self.people.binary_search_by_key(&user, |(user, _)| *user).ok()?;
        self.people.get(place).map(|(_, row)| row)
    }

    /// A member.
    ///
    /// # Errors
    /// [`ChatRefusal::NotFound`] for whoever is not in it: what is not theirs is not there.
    pub fn member(&self, user: Id) -> Result<&MemberRow, ChatRefusal> {
        self.person(user).filter(|row| row.is_in()).ok_or(ChatRefusal::NotFound)
    }

    /// A member who is an admin, or the owner.
    ///
    /// # Errors
    /// [`ChatRefusal::NotFound`] for whoever is not in it, [`ChatRefusal::Role`] for other members.
    pub fn admin(&self, user: Id) -> Result<&MemberRow, ChatRefusal> {
        let member = self.member(user)?;
        if member.role >= MemberRole::Admin { Ok(member) } else { Err(ChatRefusal::Role) }
    }

    /// Members now, by id.
    pub fn members(&mut self) -> Arc<[Id]> {
        Arc::clone(&self.listed().0)
    }

    fn listed(&mut self) -> &(Arc<[Id]>, u64) {
        let people = &self.people;
        let members = || people.iter().filter(|(_, row)| row.is_in());
        self.audience.get_or_insert_with(|| {
            let seen_from = members().map(|(_, row)| row.visible_from).max().unwrap_or(1);
            (members().map(|(user, _)| *user).collect(), seen_from)
        })
    }

    /// People to whom what happens now is told.
    pub fn audience(&mut self) -> Hearers {
        let (members, seen_from) = self.listed().clone();
        let pending = self.info.as_ref().and_then(|info| info.pending);
        Hearers { members, people: Arc::clone(&self.people), seen_from, pending }
    }

    /// Takes in a person's row.
    pub fn put(&mut self, user: Id, row: MemberRow) {
        let people = Arc::make_mut(&mut self.people);
        match people.binary_search_by_key(&user, |(user, _)| *user) {
            Ok(place) => {
                if let Some((_, known)) = people.get_mut(place) {
                    if known.is_in() != row.is_in() {
                        self.audience = None;
                    }
                    *known = row;
                }
            }
            Err(place) => {
                self.audience = None;
                people.insert(place, (user, row));
            }
        }
    }

    /// Bytes that it takes in memory, about.
    #[must_use]
    pub fn weight(&self) -> usize {
        let shown = self.audience.as_ref().map_or(0, |(members, _)| members.len() * 8);
        size_of::<Self>() + size_of::<Info>() + self.people.len() * size_of::<(Id, MemberRow)>() + shown
    }
}

/// Rows by key; no value where there is no such row.
pub type Rows = HashMap<RowKey, Option<Bytes>>;

/// Conversations and rows that records need.
#[derive(Debug, Default)]
pub struct ChatState {
    /// Conversations.
    pub conversations: HashMap<Id, Folded>,
    /// Rows that records ask for, and those of the same tables that records wrote.
    pub rows: Rows,
    /// Conversations of which something that records ask for cannot be read, and what: nothing is decided about them.
    pub damaged: HashMap<Id, String>,
}
