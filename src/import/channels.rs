//! Channels of a file of talk, which become groups: their people, the groups, and every line as a message with its own
//! moment.
//!
//! A line is sent with an id of its own, made of the file's content and its number, and how far it has come is
//! remembered now and then. So an import that was cut off goes on, and what stands already is recognised.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use fanfare_engines::{Batch, RowKey};
use fanfare_protocol::{Id, Message, MessageKind, NewMessage, Timestamp};
use futures_util::future::BoxFuture;
use futures_util::stream::{self, StreamExt as _};
use sha2::{Digest as _, Sha256};

use super::talk::{Channel, Days, Line};
use crate::app::App;
use crate::base::error::{Error, Result};
use crate::base::handle::Handle;
use crate::base::limits::DISPLAY_NAME_CHARS_MAX;
use crate::base::text::normalise_name;
use crate::chat::service::{Before, MessagesAt, Replayed};
use crate::data::tables;

/// Calls that are under way at once: they share commits.
const AT_ONCE: usize = 512;
/// Lines after which it is remembered how far it has come.
pub const BLOCK_LINES: usize = 2_048;

/// Messages of a page that is compared.
const PAGE: u64 = 100;
/// Digits of a handle that is derived.
const DERIVED_BYTES: usize = 6;

/// A message that is to be: its line, and what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spoken {
    /// Number of the line.
    pub line: u64,
    /// Name of the channel.
    pub channel: String,
    /// Name of who spoke.
    pub nick: String,
    /// Moment of it.
    pub at_ms: u64,
    /// Words.
    pub text: String,
}

impl Spoken {
    /// A line with its number, at the moment that the days of its channel give.
    pub fn of(number: u64, line: &Line<'_>, days: &mut Days) -> Self {
        Self {
            line: number,
            channel: line.channel.to_owned(),
            nick: line.nick.to_owned(),
            at_ms: days.at_ms(line.channel, line.minute),
            text: line.text.to_owned(),
        }
    }
}

/// Channels that became groups.
pub struct Channels {
    app: App,
    /// Digest of the file's content.
    file: String,
    people: HashMap<String, Id>,
    groups: BTreeMap<String, Group>,
}

/// Group of a channel.
#[derive(Debug, Clone, Copy)]
struct Group {
    id: Id,
    /// Person who spoke first.
    owner: Id,
}

impl Channels {
    /// None yet, of a file with this digest.
    #[must_use]
    pub fn new(app: App, file: &str) -> Self {
        Self { app, file: file.to_owned(), people: HashMap::new(), groups: BTreeMap::new() }
    }

    /// Number of people.
    #[must_use]
    pub fn people(&self) -> usize {
        self.people.len()
    }

    /// Finds or makes everybody of a channel, and the group.
    ///
    /// # Errors
    /// When storage fails, or the channel has more people than a group may.
    pub fn open<'a>(&'a mut self, name: &'a str, channel: &'a Channel) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let missing: Vec<String> =
                channel.nicks.iter().filter(|nick| !self.people.contains_key(*nick)).cloned().collect();
            let app = self.app.clone();
            let mut made = stream::iter(missing)
                .map(|nick| {
                    let app = app.clone();
                    async move { find_or_make(&app, &nick).await.map(|id| (nick, id)) }
                })
                .buffered(AT_ONCE);
            while let Some(made) = made.next().await {
                let (nick, id) = made?;
                self.people.insert(nick, id);
            }
            drop(made);
            let ids: Vec<Id> = channel.nicks.iter().filter_map(|nick| self.people.get(nick).copied()).collect();
            let Some((owner, members)) = ids.split_first() else { return Ok(()) };
            let id = self.group_id(name).await?;
            self.app.chat().began(id, *owner, members, name, channel.first_ms).await?;
            self.groups.insert(name.to_owned(), Group { id, owner: *owner });
            Ok(())
        })
    }

    /// Id of a channel's group, remembered before there is one.
    async fn group_id(&self, name: &str) -> Result<Id> {
        let (store, row) = (&self.app.core().store, self.row(name));
        if let Some(id) = store.get_id(&row).await? {
            return Ok(id);
        }
        let id = self.app.core().log.mint().await?;
        let mut batch = Batch::default();
        batch.put_versioned(row, id.to_bytes().to_vec(), id.0);
        store.write(batch).await?;
        Ok(id)
    }

    /// Row of what is remembered of this import.
    fn row(&self, name: &str) -> RowKey {
        RowKey::new(tables::META, tables::ONE, Bytes::from(format!("import_chat/{}/{name}", self.file)))
    }

    /// The last line up to which everything was sent; 0 when there is none.
    ///
    /// # Errors
    /// When storage fails.
    pub fn done(&self) -> BoxFuture<'_, Result<u64>> {
        Box::pin(async move { Ok(self.app.core().store.get_id(&self.row("")).await?.map_or(0, |line| line.0)) })
    }

    /// Sends a block of lines, in their order; answers those that could not be, and why.
    ///
    /// # Errors
    /// When storage fails.
    pub fn send<'a>(&'a self, block: &'a [Spoken]) -> BoxFuture<'a, Result<Vec<(u64, String)>>> {
        Box::pin(async move {
            let mut refused = Vec::new();
            // Handed in one after the other, so that they keep their order; waited for together.
            let mut under_way: Vec<(u64, Replayed)> = Vec::with_capacity(block.len());
            for spoken in block {
                match self.hand_in(spoken).await {
                    Ok(handed) => under_way.push((spoken.line, handed)),
                    Err(Error::Refused(problem)) => refused.push((spoken.line, why(&problem))),
                    Err(error) => return Err(error),
                }
            }
            for (line, handed) in under_way {
                match handed.durable().await {
                    Ok(_) => {}
                    Err(Error::Refused(problem)) => refused.push((line, why(&problem))),
                    Err(error) => return Err(error),
                }
            }
            if let Some(last) = block.last() {
                let mut batch = Batch::default();
                batch.put_versioned(self.row(""), last.line.to_be_bytes().to_vec(), last.line);
                self.app.core().store.write(batch).await?;
            }
            refused.sort_unstable();
            Ok(refused)
        })
    }

    async fn hand_in(&self, spoken: &Spoken) -> Result<Replayed> {
        let (group, sender) = (self.groups.get(&spoken.channel), self.people.get(&spoken.nick));
        let (Some(group), Some(sender)) = (group, sender) else { return Err(Error::not_found("conversation")) };
        let before = Before { conversation: group.id, by: *sender, at_ms: spoken.at_ms };
        self.app.chat().said_before(before, self.message(spoken)).await
    }

    fn message(&self, spoken: &Spoken) -> NewMessage {
        NewMessage {
            client_id: format!("{}/{}", self.file, spoken.line),
            kind: MessageKind::Text,
            text: Some(spoken.text.clone()),
            media_id: None,
            duration_ms: None,
            reply_to: None,
            forward: None,
        }
    }

    /// Compares a channel's lines, in their order, with the messages of its group; lines that cannot be sent are left
    /// out. Answers the number compared and the first difference.
    ///
    /// # Errors
    /// When storage fails.
    pub fn compare<'a>(&'a self, name: &'a str, lines: &'a [Spoken]) -> BoxFuture<'a, Result<(u64, Option<String>)>> {
        Box::pin(async move {
            let Some(group) = self.groups.get(name) else { return Ok((0, Some("has no group".to_owned()))) };
            // Another client's id is somebody's who speaks in the group today.
            let ours = format!("{}/", self.file);
            let (mut found, mut seq): (Vec<Message>, u64) = (Vec::new(), 0);
            loop {
                let page = self.app.chat().page(group.owner, group.id, MessagesAt::After(seq), PAGE).await?;
                let Some(last) = page.items.last() else { break };
                seq = last.seq;
                found.extend(page.items.into_iter().filter(|message| message.client_id.starts_with(&ours)));
            }
            let mut found = found.iter();
            let mut compared = 0;
            for spoken in lines {
                let Ok(text) = self.app.chat().words(&self.message(spoken)) else { continue };
                let Some(message) = found.next() else { return Ok((compared, Some(format!("lacks {spoken:?}")))) };
                let sender = self.people.get(&spoken.nick);
                let is_same = message.text == text
                    && message.created_at == Timestamp(spoken.at_ms)
                    && sender == Some(&message.sender.id)
                    && message.client_id == format!("{ours}{}", spoken.line);
                if !is_same {
                    return Ok((compared, Some(format!("has {message:?} for {spoken:?}"))));
                }
                compared += 1;
            }
            Ok((compared, found.next().map(|message| format!("has {message:?}, which no line says"))))
        })
    }
}

fn why(problem: &fanfare_protocol::Problem) -> String {
    let fields: Vec<String> = problem.errors.iter().map(|error| format!("{} {}", error.field, error.message)).collect();
    if fields.is_empty() { problem.detail.clone() } else { fields.join(", ") }
}

/// The account of a nick: the one that is called so, else one with a derived handle that shows the nick as its name.
async fn find_or_make(app: &App, nick: &str) -> Result<Id> {
    let now_ms = app.core().clock.now_ms();
    let (store, users) = (&app.core().store, app.users());
    if let Ok(handle) = Handle::parse(nick) {
        match store.by_handle(nick).await? {
            Some(account) if account.row.handle == nick => return Ok(account.row.id),
            // Names that differ in case alone are one handle.
            Some(_) => {}
            None => match users.create(&handle, None, None, now_ms).await {
                Ok(account) => return Ok(account.row.id),
                Err(Error::Refused(_)) => {}
                Err(error) => return Err(error),
            },
        }
    }
    let digest = Sha256::digest(nick.as_bytes());
    let digits: String = digest.iter().take(DERIVED_BYTES).map(|byte| format!("{byte:02x}")).collect();
    let derived = format!("nick_{digits}");
    if let Some(account) = store.by_handle(&derived).await? {
        return Ok(account.row.id);
    }
    let handle = Handle::parse(&derived).map_err(|error| Error::Internal(error.to_string()))?;
    let name = normalise_name(nick, DISPLAY_NAME_CHARS_MAX).ok();
    Ok(users.create(&handle, name, None, now_ms).await?.row.id)
}
