//! Talk of the demo: a few conversations of the person whom a newcomer plays, in which people go on talking.

use fanfare_protocol::{ConversationKind, Id, MessageKind, NewConversation, NewMessage};

use super::build::{Sample, upload};
use crate::app::App;
use crate::base::error::Result;
use crate::chat::service::ListQuery;

/// Titles of the groups.
const GROUPS: [&str; 2] = ["Friday dinner", "Reading club"];
/// People of each beside the newcomer, those with the most followers first.
const MEMBERS: usize = 5;
/// Lines that people say, in turn.
const LINES: [&str; 16] = [
    "Who is in for Friday?",
    "I am!",
    "Can somebody bring bread?",
    "Already in the oven 🍞",
    "What are we reading next?",
    "Something short, please",
    "I just finished it. No spoilers, but: wow",
    "Give me two more days",
    "Seven or half past?",
    "Half past, the bus is late these days",
    "See you there",
    "I found the photo from last time",
    "@demo, are you coming too?",
    "Bring your sister!",
    "That was a good evening",
    "Same time next week?",
];
/// Line that comes with a picture.
const SHOWS: &str = "I found the photo from last time";
/// Conversations of the newcomer that are looked at for the groups of an earlier run.
const LOOKED_AT: usize = 100;
/// Lines that are there when the newcomer comes.
const BEFORE: usize = 4;

/// Conversations of the demo, and whose turn it is.
pub struct Chatter {
    /// Conversations, each with the people in it who talk.
    rooms: Vec<(Id, Vec<Id>)>,
    said: usize,
    /// Tells what is said by this run from what earlier ones said.
    run: Id,
}

impl Chatter {
    /// The conversations of the newcomer, made where there are none.
    ///
    /// # Errors
    /// When storage fails.
    pub async fn open(app: &App, sample: &Sample) -> Result<Self> {
        let (chat, world) = (app.chat(), &sample.town.world);
        let (demo, friend) = (sample.people[world.demo()], sample.people[world.friend()]);
        let query = ListQuery { limit: LOOKED_AT, ..ListQuery::default() };
        let there = chat.list(demo, query).await?.items;
        let is_new = there.is_empty();
        let mut rooms = Vec::new();
        let direct = begin(ConversationKind::Direct, vec![friend], None);
        rooms.push((chat.create(demo, direct, None).await?.value.id, vec![friend]));
        let run = app.core().log.last_minted();
        let mut chatter = Self { rooms, said: 0, run };
        for (number, title) in GROUPS.iter().enumerate() {
            let people: Vec<Id> = sample.people.iter().skip(number * MEMBERS).take(MEMBERS).copied().collect();
            // In a world that goes on, who talked there goes on talking.
            let known = there.iter().find(|one| one.title.as_deref() == Some(*title)).map(|one| one.id);
            let room = match (known, people.split_first()) {
                (Some(room), _) => room,
                (None, Some((owner, others))) if is_new => {
                    let members = others.iter().copied().chain([demo, friend]).collect();
                    let group = begin(ConversationKind::Group, members, Some((*title).to_owned()));
                    chat.create(*owner, group, None).await?.value.id
                }
                _ => continue,
            };
            chatter.rooms.push((room, people));
        }
        let lines = if is_new { chatter.rooms.len() * BEFORE } else { 0 };
        for _ in 0..lines {
            chatter.say(app).await?;
        }
        Ok(chatter)
    }

    /// Somebody says the next line.
    ///
    /// # Errors
    /// When they cannot: somebody played with the conversation, or storage fails.
    pub async fn say(&mut self, app: &App) -> Result<()> {
        let number = self.said;
        self.said += 1;
        let Some((room, people)) = self.rooms.get(number % self.rooms.len().max(1)) else { return Ok(()) };
        let turn = number / self.rooms.len();
        let (Some(who), Some(line)) = (people.get(turn % people.len().max(1)), LINES.get(turn % LINES.len())) else {
            return Ok(());
        };
        let (kind, media_id) = match *line == SHOWS {
            true => (MessageKind::Image, Some(upload(app, *who, number as u64, true).await?)),
            false => (MessageKind::Text, None),
        };
        let new = NewMessage {
            client_id: format!("{}/{number}", self.run),
            kind,
            text: Some((*line).to_owned()),
            media_id,
            duration_ms: None,
            reply_to: None,
            forward: None,
        };
        app.chat().send(*who, *room, new).await.map(drop)
    }
}

const fn begin(kind: ConversationKind, member_ids: Vec<Id>, title: Option<String>) -> NewConversation {
    NewConversation { kind, member_ids, title, history: None }
}
