//! `kill -9` while people talk: nothing that was answered is lost, doubled or reordered, and numbers have no holes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fanfare_client::{Client, ClientError, MessagePlace, text_message};
use fanfare_engines::random::Random;
use fanfare_protocol::{Id, Message, NewUser};
use parking_lot::Mutex;

use crate::process::Process;
use crate::world::PASSWORD;

const PEOPLE: usize = 4;
const ROUNDS: u64 = 4;
/// Answers after which the server is killed.
const ANSWERS: usize = 40;

/// Answers that clients were given to their sends, by client's id.
#[derive(Default)]
struct Told {
    answered: BTreeMap<String, (Id, u64)>,
    /// Sends without an answer, with their texts: they may stand once, or not.
    open: BTreeSet<String>,
}

struct Talk {
    tokens: Vec<String>,
    conversations: Vec<Id>,
    told: Mutex<Told>,
}

impl Talk {
    async fn begin(server: &Process) -> Self {
        let (mut tokens, mut people) = (Vec::new(), Vec::new());
        for number in 0..PEOPLE {
            let new = NewUser { handle: format!("p{number}"), password: PASSWORD.to_owned(), display_name: None };
            let session = server.anyone.register(&new).await.unwrap();
            tokens.push(session.token);
            people.push(session.user.id);
        }
        let first = server.anyone.with_token(&tokens[0]);
        let direct = first.direct(people[1]).await.unwrap().id;
        let group = first.group("all", &people[1..]).await.unwrap().id;
        Self { tokens, conversations: vec![direct, group], told: Mutex::default() }
    }

    /// Lets a person talk until the server is gone: one send at a time, some of them twice.
    async fn talk(self: Arc<Self>, server: Client, me: usize, seed: u64) {
        let (client, mut dice) = (server.with_token(&self.tokens[me]), Random::new(seed));
        for number in 0.. {
            let at = if me < 2 { dice.below(2) as usize } else { 1 };
            let conversation = self.conversations[at];
            let client_id = format!("{me}/{seed}/{number}");
            self.told.lock().open.insert(client_id.clone());
            let copies = 1 + usize::from(dice.below(10) < 3);
            for _ in 0..copies {
                match client.send_message(conversation, &text_message(&client_id, &client_id)).await {
                    Ok(sent) => {
                        let mut told = self.told.lock();
                        told.open.remove(&client_id);
                        let place = (conversation, sent.value.seq);
                        let known = told.answered.insert(client_id.clone(), place);
                        assert!(known.is_none_or(|known| known == place), "{client_id} was answered as two messages");
                    }
                    Err(ClientError::Transport(_)) => return,
                    Err(other) => panic!("{other}"),
                }
            }
        }
    }

    /// Every message of a conversation, by a member.
    async fn read(&self, server: &Process, conversation: Id) -> Vec<Message> {
        let client = server.anyone.with_token(&self.tokens[0]);
        let (mut after, mut found) = (0, Vec::new());
        loop {
            let page = client.messages(conversation, MessagePlace::After(after), 100).await.unwrap();
            let Some(last) = page.items.last() else { return found };
            after = last.seq;
            found.extend(page.items);
        }
    }

    /// Judges what is there after a kill.
    async fn judge(&self, server: &Process) {
        let mut places = BTreeMap::new();
        for conversation in &self.conversations {
            let messages = self.read(server, *conversation).await;
            for (expected, message) in (1..).zip(&messages) {
                assert_eq!(message.seq, expected, "a hole");
                if message.client_id.is_empty() {
                    continue;
                }
                let before = places.insert(message.client_id.clone(), (*conversation, message.seq));
                assert!(before.is_none(), "{} is there twice", message.client_id);
            }
            // What one person sent stands in the order of sending.
            let mut last = BTreeMap::new();
            for message in messages.iter().filter(|message| !message.client_id.is_empty()) {
                let (of, number) = message.client_id.rsplit_once('/').unwrap();
                let number: u64 = number.parse().unwrap();
                let before = last.insert(of.to_owned(), number);
                assert!(before.is_none_or(|before| before < number), "{} came after {before:?}", message.client_id);
            }
            let unread = server.anyone.with_token(&self.tokens[1]).conversation(*conversation).await.unwrap();
            let recount = messages.iter().filter(|one| one.seq > unread.read_seq && !one.client_id.is_empty()).count();
            assert_eq!(unread.unread_count, recount as u64, "unread is what a recount gives");
        }
        let told = self.told.lock();
        for (client_id, place) in &told.answered {
            assert_eq!(places.get(client_id), Some(place), "{client_id} was answered");
        }
        let known = |id: &String| told.answered.contains_key(id) || told.open.contains(id);
        assert!(places.keys().all(known), "nobody sent something that is there");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_answered_stands_once_after_kills() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Process::serve(folder.path(), &[]).await;
    let talk = Arc::new(Talk::begin(&server).await);
    for round in 0..ROUNDS {
        let before = talk.told.lock().answered.len();
        let acts: Vec<_> = (0..PEOPLE)
            .map(|me| tokio::spawn(Arc::clone(&talk).talk(server.anyone.clone(), me, round * 100 + me as u64)))
            .collect();
        crate::world::eventually("people talk", async || {
            (talk.told.lock().answered.len() >= before + ANSWERS).then_some(())
        })
        .await;
        server.kill();
        for act in acts {
            act.await.unwrap();
        }
        server = Process::serve(folder.path(), &[]).await;
        talk.judge(&server).await;
        // Whoever had no answer sends again, with the same id, and it stands once.
        let open: Vec<String> = std::mem::take(&mut talk.told.lock().open).into_iter().collect();
        for client_id in open {
            let me: usize = client_id.split('/').next().unwrap().parse().unwrap();
            let client = server.anyone.with_token(&talk.tokens[me]);
            // It was sent to one of the two; where it is not, it is sent to the group.
            let mut place = None;
            for conversation in &talk.conversations {
                let there = talk.read(&server, *conversation).await;
                if let Some(message) = there.iter().find(|message| message.client_id == client_id) {
                    place = Some((*conversation, message.seq));
                }
            }
            let conversation = place.map_or(talk.conversations[1], |(conversation, _)| conversation);
            let sent = client.send_message(conversation, &text_message(&client_id, &client_id)).await.unwrap();
            assert_eq!(place.is_none(), sent.created);
            assert!(place.is_none_or(|place| place == (conversation, sent.value.seq)));
            talk.told.lock().answered.insert(client_id, (conversation, sent.value.seq));
        }
    }
    server.kill();
}
