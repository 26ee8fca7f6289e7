//! A person's conversations: the list, what changed of it, badges, and where the person was named.

use std::collections::{HashMap, HashSet};

use fanfare_engines::{KeyRange, Order, RowKey, Table};
use fanfare_protocol::{
    Conversation, ConversationKind, ConversationPage, Id, MentionedIn, Page, Timestamp, UnreadConversations,
};
use serde::Deserialize;
use utoipa::ToSchema;

use super::Chat;
use crate::base::cursor::Scope;
use crate::base::error::{Error, Result};
use crate::base::limits::chat::{HEADS_STEP, LIST_STEP, LISTED_MAX, MENTIONS_COUNTED_MAX};
use crate::chat::sync::{ListMerge, ListPlace, Listed, may_be_after};
use crate::chat::view::{self, Viewer};
use crate::data::rows::chat::{
    ActivityRow, ChatHead, EditRow, Info, MarkRow, MemberRow, Membership, MessageRow, PersonalRow,
};
use crate::data::rows::{from_json, in_row};
use crate::data::tables;
use crate::data::tables::chat as keys;

/// Part of a person's conversations.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Folder {
    /// Conversations that are neither archived nor requests.
    #[default]
    Inbox,
    /// Archived ones.
    Archived,
    /// Requests and invitations that wait for an answer.
    Requests,
}

/// List that is asked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct ListQuery<'a> {
    /// Part of the conversations.
    pub folder: Folder,
    /// Pinned ones come first.
    pub pinned_first: bool,
    /// Conversations of a page.
    pub limit: usize,
    /// End of the page before.
    pub cursor: Option<&'a str>,
}

/// A conversation in which a person may have missed something.
#[derive(Debug, Clone, Copy)]
pub struct Heard {
    /// The conversation.
    pub id: Id,
    /// Lowest number that the person may see.
    pub visible_from: u64,
    /// Number of the newest message.
    pub last_seq: u64,
    /// Number of the newest change.
    pub change_seq: u64,
}

/// A conversation as it is read for a list.
struct Read {
    listed: Listed,
    head: ChatHead,
    info: Info,
    member: MemberRow,
    mark: MarkRow,
    personal: PersonalRow,
}

impl Read {
    fn is_request(&self, user: Id) -> bool {
        self.member.presence == Membership::Invited || self.info.pending == Some(user)
    }

    /// Whether the person declined it and hears nothing of it.
    fn is_declined(&self, user: Id) -> bool {
        self.info.declined && self.info.pending == Some(user)
    }

    fn is_hidden(&self) -> bool {
        self.personal.hidden_at.is_some_and(|seq| self.head.last_seq <= seq)
    }

    fn is_archived(&self, now_ms: u64) -> bool {
        view::personal(&self.personal, self.mark.seq, &self.head, now_ms).archived
    }

    fn is_in(&self, folder: Folder, user: Id, now_ms: u64) -> bool {
        let found = match (self.is_request(user), self.is_archived(now_ms)) {
            (true, _) => Folder::Requests,
            (false, true) => Folder::Archived,
            (false, false) => Folder::Inbox,
        };
        !self.member.is_gone() && !self.is_declined(user) && !self.is_hidden() && found == folder
    }

    fn read_seq(&self) -> u64 {
        self.member.read_seq(self.mark).min(self.head.last_seq)
    }

    fn unread(&self) -> u64 {
        self.head.counted.saturating_sub(self.mark.counted.max(self.member.counted))
    }
}

impl Chat {
    /// Conversations of a person, those with activity last first.
    async fn listed(&self, user: Id) -> Result<Vec<Listed>> {
        let rows = self.of_person(keys::ACTIVITY, user).await?;
        let listed = |(conversation, value): (Id, bytes::Bytes)| {
            let ActivityRow { minute, gone, .. } = ActivityRow::from_bytes(&value)?;
            Some(Listed { conversation, minute, gone })
        };
        Ok(rows.into_iter().filter_map(listed).collect())
    }

    /// Rows of a person by conversation.
    async fn of_person(&self, table: Table, user: Id) -> Result<Vec<(Id, bytes::Bytes)>> {
        let partition = tables::partition(user);
        let scan = self.core().store.scan(table, &partition, KeyRange::ALL, Order::Ascending, LISTED_MAX);
        let rows = scan.await?.into_iter();
        Ok(rows.filter_map(|row| Some((Id::from_bytes(&row.clustering)?, row.value))).collect())
    }

    /// Conversations of a kind in which something may have happened after `mark` that the person hears of.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn heard(&self, user: Id, kind: ConversationKind, mark: Id) -> Result<Vec<Heard>> {
        let mut listed = self.listed(user).await?;
        listed.retain(|one| !one.gone && keys::kind_of(one.conversation) == kind && may_be_after(one.minute, mark));
        let mut found = Vec::new();
        for asked in listed.chunks(HEADS_STEP) {
            let changed = self.heads(asked).await?.into_iter().filter(|(_, head)| head.news > mark);
            for read in self.read_listed(user, &changed.map(|(one, _)| one).collect::<Vec<_>>()).await? {
                if read.member.is_in() && !read.is_request(user) && read.head.news > mark {
                    let ChatHead { last_seq, change_seq, .. } = read.head;
                    let visible_from = read.member.visible_from.max(1);
                    found.push(Heard { id: read.listed.conversation, visible_from, last_seq, change_seq });
                }
            }
        }
        Ok(found)
    }

    /// Reads conversations for a list; those that are not there, or were torn, are left out.
    async fn read_listed(&self, user: Id, asked: &[Listed]) -> Result<Vec<Read>> {
        let of = |one: &Listed| -> [RowKey; 5] {
            let id = one.conversation;
            [
                keys::of_conversation(keys::HEADS, id),
                keys::of_conversation(keys::INFOS, id),
                keys::member(id, user),
                keys::mark(id, user, keys::MarkOf::Read),
                tables::pair(keys::PERSONAL, user, id),
            ]
        };
        let wanted: Vec<RowKey> = asked.iter().flat_map(of).collect();
        let mut values = self.core().store.get_many(&wanted).await?.into_iter();
        let mut found = Vec::with_capacity(asked.len());
        for (listed, of) in asked.iter().zip(wanted.chunks(5)) {
            let mut next = || values.next().flatten();
            let [head, info, member, mark, personal] = [next(), next(), next(), next(), next()];
            let [head_key, _, member_key, mark_key, _] = of else { continue };
            let (head, member) =
                (in_row(head_key, head, ChatHead::from_bytes)?, in_row(member_key, member, MemberRow::from_bytes)?);
            let mark = in_row(mark_key, mark, MarkRow::from_bytes)?.unwrap_or_default();
            let info: Option<Info> = info.as_deref().map(from_json).transpose()?;
            let personal = personal.as_deref().map(from_json).transpose()?.unwrap_or_default();
            if let (Some(head), Some(info), Some(member)) = (head, info, member) {
                found.push(Read { listed: *listed, head, info, member, mark, personal });
            }
        }
        Ok(found)
    }

    /// Conversation as its member sees it.
    ///
    /// # Errors
    /// 404 for whoever is neither in it nor asked to be.
    pub async fn conversation(&self, caller: Id, id: Id) -> Result<Conversation> {
        let listed = Listed { conversation: id, minute: 0, gone: false };
        let read = self.read_listed(caller, &[listed]).await?.pop();
        let read = read.filter(|read| !read.member.is_gone() && read.info.created.is_some());
        self.shown(caller, read.ok_or_else(|| Error::not_found("conversation"))?).await
    }

    async fn shown(&self, user: Id, read: Read) -> Result<Conversation> {
        let id = read.listed.conversation;
        let Read { head, info, member, .. } = &read;
        let is_in = member.is_in();
        let last_seq = if is_in { head.last_seq } else { 0 };
        let stored =
            if last_seq >= member.visible_from.max(1) { self.views().stored_one(id, last_seq).await? } else { None };
        let viewer = Viewer { id: Some(user), visible_from: member.visible_from };
        let last_message = self.views().render(id, viewer, stored.into_iter().collect()).await?.pop();
        let peer = match view::peer_of(info.kind, &self.pair_of(info.kind, id).await?, user) {
            Some(peer) => self.core().store.account(peer).await?.map(|account| account.author.clone()),
            None => None,
        };
        let is_request = read.is_request(user);
        // A request makes no sound and no badge.
        let unread_count = if is_in && !is_request { read.unread() } else { 0 };
        let mention_count = if unread_count > 0 { self.mention_count(user, id, read.read_seq()).await? } else { 0 };
        let left = member.is_gone();
        Ok(Conversation {
            id,
            kind: info.kind,
            title: info.title.clone().filter(|_| !left),
            picture_url: info.picture.as_ref().map(|picture| picture.url.clone()).filter(|_| !left),
            peer,
            member_count: if left { 0 } else { head.members.into() },
            role: member.role,
            history: if left { Default::default() } else { info.history },
            announcements_only: !left && info.announcements,
            slow_mode_s: if left { 0 } else { info.slow_s },
            last_message,
            last_seq,
            change_seq: if is_in { head.change_seq } else { 0 },
            visible_from: member.visible_from.max(1),
            read_seq: if is_in { read.read_seq() } else { 0 },
            unread_count,
            mention_count,
            is_request,
            left,
            hidden: !left && (read.is_hidden() || read.is_declined(user)),
            personal: view::personal(&read.personal, read.mark.seq, head, self.core().clock.now_ms()),
            created_at: Timestamp(info.at_ms),
        })
    }

    /// Both people of a direct conversation.
    async fn pair_of(&self, kind: ConversationKind, id: Id) -> Result<Vec<Id>> {
        if kind == ConversationKind::Direct {
            Ok(self.core().store.ids_of(keys::MEMBERS, id, 2).await?)
        } else {
            Ok(Vec::new())
        }
    }

    /// Unread messages that name the person: rows tell which did at first, and the messages whether they still do.
    async fn mention_count(&self, user: Id, id: Id, read: u64) -> Result<u64> {
        let (partition, range) = (tables::partition(user), keys::mentioned_above(id, read));
        let scan = self.core().store.scan(keys::MENTIONED, &partition, range, Order::Ascending, MENTIONS_COUNTED_MAX);
        let rows = scan.await?;
        let numbers = rows.iter().filter_map(|row| keys::number_in(row.clustering.get(8..)?));
        let wanted: Vec<RowKey> = numbers
            .flat_map(|seq| [keys::numbered(keys::MESSAGES, id, seq), keys::state(id, seq, keys::Which::Text)])
            .collect();
        if wanted.is_empty() {
            return Ok(0);
        }
        let mut count = 0;
        for pair in self.core().store.get_many(&wanted).await?.chunks(2) {
            let [Some(row), edit] = pair else { continue };
            let edit: Option<EditRow> = edit.as_deref().map(from_json).transpose()?;
            let words = match edit {
                Some(edit) => edit.words,
                None => from_json::<MessageRow>(row)?.words,
            };
            count += u64::from(words.names(user));
        }
        Ok(count)
    }

    fn changes_cursor(&self, caller: Id) -> String {
        let scope = Scope { list: "conversations.changes", caller, subject: Id(0) };
        self.core().cursors.seal_id(scope, self.known_up_to())
    }

    /// Id above which everything that changes a list from now on lies: records, and what people keep to themselves.
    fn known_up_to(&self) -> Id {
        self.0.personal_writes.bound(|| self.0.owners.horizon().now())
    }

    /// Page of the caller's conversations.
    ///
    /// # Errors
    /// 400 for a cursor of another list.
    pub async fn list(&self, caller: Id, query: ListQuery<'_>) -> Result<ConversationPage> {
        let scope = Scope { list: "conversations", caller, subject: Id(query.folder as u64) };
        let after = match query.cursor {
            None => None,
            Some(text) => {
                let place = ListPlace::from_bytes(&self.core().cursors.open(scope, text)?);
                Some(place.ok_or_else(Error::bad_cursor)?)
            }
        };
        // Before what is read: what comes meanwhile is told the next time.
        let changes_cursor = self.changes_cursor(caller);
        let mut listed = self.listed(caller).await?;
        listed.retain(|one| !one.gone);
        let pinned = if query.pinned_first { self.pinned(caller).await? } else { HashSet::new() };
        let (first, rest): (Vec<_>, Vec<_>) = listed.into_iter().partition(|one| pinned.contains(&one.conversation));
        let (mut found, mut is_more) = (Vec::new(), false);
        for (is_pinned, part) in [(true, first), (false, rest)] {
            is_more = is_more || self.next_of(caller, query, (is_pinned, part), after, &mut found).await?;
        }
        let last = found.last().filter(|_| is_more).map(|(place, _): &(ListPlace, Read)| place.to_bytes());
        let next_cursor = last.map(|last| self.core().cursors.seal(scope, &last));
        let mut items = Vec::with_capacity(found.len());
        for (_, read) in found {
            items.push(self.shown(caller, read).await?);
        }
        Ok(ConversationPage { items, next_cursor, changes_cursor })
    }

    /// Adds what comes below `after` of a part of the list, until the page is full; whether there is more of it then.
    async fn next_of(
        &self,
        caller: Id,
        query: ListQuery<'_>,
        (is_pinned, part): (bool, Vec<Listed>),
        after: Option<ListPlace>,
        found: &mut Vec<(ListPlace, Read)>,
    ) -> Result<bool> {
        let now_ms = self.core().clock.now_ms();
        let mut merge = ListMerge::new(part);
        loop {
            let next = self.next_listed(&mut merge, (is_pinned, after), query.limit).await?;
            if next.is_empty() {
                return Ok(false);
            }
            let asked: Vec<Listed> = next.iter().map(|(_, one)| *one).collect();
            let mut places = next.into_iter();
            for read in self.read_listed(caller, &asked).await? {
                let place = places.find(|(_, one)| *one == read.listed);
                if !read.is_in(query.folder, caller, now_ms) {
                    continue;
                }
                if found.len() == query.limit {
                    return Ok(true);
                }
                found.extend(place.map(|(place, _)| (place, read)));
            }
        }
    }

    async fn pinned(&self, user: Id) -> Result<HashSet<Id>> {
        let mut pinned = HashSet::new();
        for (conversation, value) in self.of_person(keys::PERSONAL, user).await? {
            if from_json::<PersonalRow>(&value)?.pinned {
                pinned.insert(conversation);
            }
        }
        Ok(pinned)
    }

    /// Conversations of the caller that changed since an earlier list, in no order that means something; those that the
    /// caller left are among them.
    ///
    /// # Errors
    /// 400 for a cursor that is none of the caller's.
    pub async fn changed(&self, caller: Id, since: &str, limit: usize) -> Result<ConversationPage> {
        let scope = Scope { list: "conversations.changes", caller, subject: Id(0) };
        let position = self.core().cursors.open(scope, since)?;
        let mark = Id::from_bytes(&position).ok_or_else(Error::bad_cursor)?;
        // Of a page that went on: from this conversation, and what was new when the first page was read.
        let (from, until) =
            match (position.get(8..).and_then(Id::from_bytes), position.get(16..).and_then(Id::from_bytes)) {
                (Some(from), Some(until)) => (from, until),
                _ => (Id(0), self.known_up_to()),
            };
        let touched: HashMap<Id, Id> = self
            .of_person(keys::TOUCHED, caller)
            .await?
            .into_iter()
            .filter_map(|(conversation, value)| Some((conversation, Id::from_bytes(&value)?)))
            .collect();
        let was_touched = |id: Id| touched.get(&id).is_some_and(|at| *at > mark);
        let mut listed = self.listed(caller).await?;
        listed.retain(|one| one.conversation >= from);
        listed.retain(|one| may_be_after(one.minute, mark) || was_touched(one.conversation));
        listed.sort_unstable_by_key(|one| one.conversation);
        let (mut items, mut next) = (Vec::new(), None);
        'all: for asked in listed.chunks(LIST_STEP) {
            for read in self.read_listed(caller, asked).await? {
                let id = read.listed.conversation;
                // Of one that was declined nothing is news but that.
                let is_new = read.head.news > mark && !read.is_declined(caller) || was_touched(id);
                if !is_new {
                    continue;
                }
                if items.len() == limit {
                    next = Some(id);
                    break 'all;
                }
                items.push(self.shown(caller, read).await?);
            }
        }
        let going_on = |from: Id| [mark.to_bytes(), from.to_bytes(), until.to_bytes()].concat();
        let next_cursor = next.map(|from| self.core().cursors.seal(scope, &going_on(from)));
        Ok(ConversationPage { items, next_cursor, changes_cursor: self.core().cursors.seal_id(scope, until) })
    }

    /// Numbers for badges.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn unread(&self, caller: Id) -> Result<UnreadConversations> {
        let now_ms = self.core().clock.now_ms();
        let mut sum = UnreadConversations { conversations: 0, messages: 0, mentions: 0, requests: 0 };
        let mut listed = self.listed(caller).await?;
        listed.retain(|one| !one.gone);
        for asked in listed.chunks(LIST_STEP) {
            for read in self.read_listed(caller, asked).await? {
                if read.is_in(Folder::Requests, caller, now_ms) {
                    sum.requests += 1;
                }
                let is_muted = read.personal.muted_until_ms > now_ms;
                if !read.is_in(Folder::Inbox, caller, now_ms) || is_muted {
                    continue;
                }
                let unread = read.unread();
                sum.messages += unread;
                sum.conversations += u64::from(unread > 0 || view::is_marked(&read.personal, read.mark.seq));
                if unread > 0 {
                    sum.mentions += self.mention_count(caller, read.listed.conversation, read.read_seq()).await?;
                }
            }
        }
        Ok(sum)
    }

    /// Requests and invitations that wait for the caller, at most `limit`, and whether there are more.
    pub(super) async fn requests(&self, caller: Id, limit: usize) -> Result<(Vec<Id>, bool)> {
        let mut listed = self.listed(caller).await?;
        listed.retain(|one| !one.gone);
        let mut found = Vec::new();
        for asked in listed.chunks(LIST_STEP) {
            for read in self.read_listed(caller, asked).await? {
                // Hidden ones wait too.
                let is_open = read.is_request(caller) && !read.is_declined(caller) && !read.member.is_gone();
                if is_open && found.len() == limit {
                    return Ok((found, true));
                }
                found.extend(is_open.then_some(read.listed.conversation));
            }
        }
        Ok((found, false))
    }

    /// Messages that name the caller, newest first, across conversations.
    ///
    /// # Errors
    /// 400 for a cursor of another list.
    pub async fn mentions_of(&self, caller: Id, limit: usize, cursor: Option<&str>) -> Result<Page<MentionedIn>> {
        let scope = Scope { list: "mentions", caller, subject: Id(0) };
        let mut before = self.core().cursors.open_id(scope, cursor)?;
        let mut items = Vec::new();
        loop {
            let rows = self.core().store.newest(keys::MENTIONS, caller, before, limit + 1).await?;
            let is_last = rows.len() <= limit;
            for row in rows {
                if items.len() == limit {
                    let next_cursor = before.map(|last| self.core().cursors.seal_id(scope, last));
                    return Ok(Page { items, next_cursor });
                }
                before = Id::from_bytes(&row.clustering);
                let (Some(id), Some(seq)) = (Id::from_bytes(&row.value), row.value.get(8..).and_then(Id::from_bytes))
                else {
                    continue;
                };
                items.extend(self.mention(caller, id, seq.0).await?);
            }
            if is_last {
                return Ok(Page { items, next_cursor: None });
            }
        }
    }

    /// A message that names the caller, if it is still there for them.
    async fn mention(&self, caller: Id, id: Id, seq: u64) -> Result<Option<MentionedIn>> {
        let seat = match self.seat(caller, id).await {
            Ok(seat) => seat,
            Err(Error::Refused(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        if seat.info.pending == Some(caller) {
            // A request says nothing until it is accepted.
            return Ok(None);
        }
        let stored = match self.visible(&seat, id, seq).await {
            // Recalled ones name nobody.
            Ok(stored) if stored.edit.as_ref().map_or(&stored.row.words, |edit| &edit.words).names(caller) => stored,
            Ok(_) | Err(Error::Refused(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        let mark = self.core().store.get_as(&keys::mark(id, caller, keys::MarkOf::Read), MarkRow::from_bytes).await?;
        let viewer = Viewer { id: Some(caller), visible_from: seat.member.visible_from };
        let message = self.views().render(id, viewer, vec![stored]).await?.pop();
        let read = seat.member.read_seq(mark.unwrap_or_default()) >= seq;
        Ok(message.map(|message| MentionedIn { message, read }))
    }
}
