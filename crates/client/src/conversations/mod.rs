//! Conversations as applications hold them, with the same promises as the TypeScript SDK's.
//!
//! [`Chat::connect`] starts a task that listens and reads. What [`Chat::lines`] shows stands in the order of numbers,
//! without a hole, each message once: what is missing is read before anything behind it is shown. [`Chat::send`] puts a
//! message on its way: one is in flight in each conversation, and every try carries the same `client_id` until an
//! answer is known. All of it lives in memory, and ends with the program.
//!
//! `core` decides, without I/O or a clock, and asks; below it are `window` (messages by number), `conversation` (all of
//! one), `sync` (the list) and `outbox`. The task here answers its questions.

mod conversation;
mod core;
mod derive;
mod lines;
mod outbox;
mod pause;
mod sync;
#[cfg(test)]
mod tests;
mod window;

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

use fanfare_protocol::{Conversation, Id, Member, MessageKind, NewMessage, Receipt};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::task::{JoinHandle, JoinSet};

use self::core::{Answer, Ask, Core, Of, PAGE};
use self::sync::Part;
use crate::realtime::{Event, Options, Realtime};
use crate::{Client, Paging, Result};

pub use lines::{Line, Way};
pub use outbox::{Failure, Outgoing, WAITING_MAX};
pub use window::{BEHIND_MAX, WINDOW_MAX};

/// Members, or receipts, that are read of a conversation.
const MEMBERS_MAX: usize = 1_000;

/// Part of a person's conversations.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Folder {
    /// Conversations that are neither archived nor requests.
    #[default]
    Inbox,
    /// Requests and invitations that wait for an answer.
    Requests,
    /// Archived ones.
    Archived,
}

impl Folder {
    /// Every folder, the one that is shown first first.
    pub const ALL: [Self; 3] = [Self::Inbox, Self::Requests, Self::Archived];

    /// Folder of a conversation.
    #[must_use]
    pub const fn of(conversation: &Conversation) -> Self {
        match (conversation.is_request, conversation.personal.archived) {
            (true, _) => Self::Requests,
            (false, true) => Self::Archived,
            (false, false) => Self::Inbox,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Inbox => "inbox",
            Self::Requests => "requests",
            Self::Archived => "archived",
        }
    }
}

/// A message to be written.
#[derive(Debug, Clone, Default)]
pub struct Draft {
    /// Words.
    pub text: Option<String>,
    /// An upload of the caller for messages, and what it is.
    pub media: Option<(Id, MessageKind)>,
    /// Milliseconds of a voice message.
    pub duration_ms: Option<u32>,
    /// Number of the message that this one answers.
    pub reply_to: Option<u64>,
    /// Message that this one passes on.
    pub forward: Option<fanfare_protocol::Forward>,
}

impl From<&str> for Draft {
    fn from(text: &str) -> Self {
        Self { text: Some(text.to_owned()), ..Self::default() }
    }
}

impl Draft {
    fn into_message(self, client_id: String) -> NewMessage {
        let kind = self.media.map_or(MessageKind::Text, |(_, kind)| kind);
        let Self { text, media, duration_ms, reply_to, forward } = self;
        NewMessage { client_id, kind, text, media_id: media.map(|(id, _)| id), duration_ms, reply_to, forward }
    }
}

struct Shared {
    core: Mutex<Core>,
    started: Instant,
    /// The application did something.
    wake: Notify,
    /// Version of what a screen shows.
    version: watch::Sender<u64>,
}

impl Shared {
    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Does something with the core, and tells those who watch.
    fn with<T>(&self, act: impl FnOnce(&mut Core, u64) -> T) -> T {
        let mut core = self.core.lock();
        let answer = act(&mut core, self.now_ms());
        let version = core.version;
        drop(core);
        self.version.send_if_modified(|known| std::mem::replace(known, version) != version);
        answer
    }

    /// Does something for the application: the task then looks what there is to do.
    fn act<T>(&self, act: impl FnOnce(&mut Core, u64) -> T) -> T {
        let answer = self.with(act);
        self.wake.notify_one();
        answer
    }
}

/// A person's conversations. Dropping it ends the connection, and what waits to be sent is lost.
pub struct Chat {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
    version: watch::Receiver<u64>,
}

impl Drop for Chat {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Chat {
    /// Begins, as `client` is: its server, its token. `me` is the person's id. Must be called within a runtime of
    /// tokio.
    #[must_use]
    pub fn connect(client: &Client, me: Id, options: Options) -> Self {
        let dice = RandomState::new().hash_one(me);
        let (sender, version) = watch::channel(0);
        let core = Mutex::new(Core::new(me, dice));
        let shared = Shared { core, started: Instant::now(), wake: Notify::new(), version: sender };
        let shared = Arc::new(shared);
        let realtime = Realtime::connect(client, options);
        let task = tokio::spawn(run(client.clone(), Arc::clone(&shared), realtime));
        Self { shared, task, version }
    }

    /// Waits until something that a screen shows has changed since the last call.
    pub async fn changed(&mut self) {
        // The sender lives as long as this.
        let _ = self.version.changed().await;
    }

    /// Conversations that are known, newest message first.
    #[must_use]
    pub fn conversations(&self) -> Vec<Conversation> {
        self.shared.core.lock().conversations()
    }

    /// A conversation that is known.
    #[must_use]
    pub fn conversation(&self, id: Id) -> Option<Conversation> {
        self.shared.core.lock().state(id).map(conversation::State::view)
    }

    /// Whether a folder goes on: [`more`](Self::more) reads further.
    #[must_use]
    pub fn has_more(&self, folder: Folder) -> bool {
        self.shared.core.lock().has_more(folder)
    }

    /// Reads the next page of a folder.
    pub fn more(&self, folder: Folder) {
        self.shared.act(|core, _| core.more(folder));
    }

    /// Messages of a conversation, oldest first, without a hole, and behind them what is on its way.
    #[must_use]
    pub fn lines(&self, id: Id) -> Vec<Line> {
        self.shared.core.lock().lines(id)
    }

    /// Members, once an open conversation has read them.
    #[must_use]
    pub fn members(&self, id: Id) -> Option<Vec<Member>> {
        self.shared.core.lock().state(id).and_then(|state| state.members.clone())
    }

    /// Progress of each member of a conversation.
    #[must_use]
    pub fn receipts(&self, id: Id) -> Vec<Receipt> {
        let core = self.shared.core.lock();
        core.state(id).map(|state| state.receipts.values().copied().collect()).unwrap_or_default()
    }

    /// People who write at this moment.
    #[must_use]
    pub fn typers(&self, id: Id) -> Vec<Id> {
        self.shared.core.lock().typers(id, self.shared.now_ms())
    }

    /// Somebody looks at a conversation: its messages, receipts and members are kept whole until
    /// [`close`](Self::close).
    pub fn open(&self, id: Id) {
        self.shared.act(|core, now_ms| core.open(id, now_ms));
    }

    /// Nobody looks any more: the far part of its messages is let go.
    pub fn close(&self, id: Id) {
        self.shared.act(|core, _| core.close(id));
    }

    /// Reads older messages of an open conversation; whether there are any.
    pub fn older(&self, id: Id) -> bool {
        self.shared.act(|core, _| core.older(id))
    }

    /// Puts a message on its way, and answers its `client_id`; nothing when [`WAITING_MAX`] wait already.
    pub fn send(&self, id: Id, draft: impl Into<Draft>) -> Option<String> {
        let client_id = client_id();
        let message = draft.into().into_message(client_id.clone());
        self.shared.act(|core, _| core.send(id, message)).then_some(client_id)
    }

    /// Writes a message that failed once more, as a new one at the end; answers its `client_id`.
    pub fn retry(&self, id: Id, failed: &str) -> Option<String> {
        let client_id = client_id();
        self.shared.act(|core, _| {
            let message = core.discard(id, failed)?.message;
            core.send(id, NewMessage { client_id: client_id.clone(), ..message }).then_some(client_id)
        })
    }

    /// Takes a message back that failed or was not tried yet; whether that was so.
    pub fn discard(&self, id: Id, client_id: &str) -> bool {
        self.shared.act(|core, _| core.discard(id, client_id)).is_some()
    }

    /// The person has read up to here, or all of it: on all devices, and others see it where they may.
    pub fn mark_read(&self, id: Id, seq: Option<u64>) {
        self.shared.act(|core, _| core.mark_read(id, seq));
    }

    /// Reads a conversation again, after a call that changed something of it.
    pub fn refresh(&self, id: Id) {
        self.shared.act(|core, now_ms| core.refresh(id, now_ms));
    }

    /// Drops a conversation, after a call that left or hid it; something new brings a hidden one back.
    pub fn forget(&self, id: Id) {
        self.shared.act(|core, _| core.forget(id));
    }
}

/// A name that nobody else has given to a message.
fn client_id() -> String {
    // Each has keys of its own, drawn from the system's chance.
    let half = || RandomState::new().hash_one(Instant::now());
    format!("{:016x}{:016x}", half(), half())
}

/// Listens, and answers the core's questions.
async fn run(client: Client, shared: Arc<Shared>, mut realtime: Realtime) {
    let mut asked: JoinSet<(Ask, Result<Answer>)> = JoinSet::new();
    let mut listens = true;
    // The list without a connection too: realtime may take long, or not come at all.
    shared.with(|core, _| core.begin_with_list());
    loop {
        let (asks, wakes_at_ms) = shared.with(|core, now_ms| {
            core.tick(now_ms);
            (core.asks(now_ms), core.wakes_at_ms())
        });
        for ask in asks {
            let client = client.clone();
            asked.spawn(async move {
                let answer = answer(&client, &ask).await;
                (ask, answer)
            });
        }
        let wake = wakes_at_ms.map(|at| shared.started + Duration::from_millis(at));
        let pause = async {
            match wake {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            event = realtime.next(), if listens => match event {
                Some(event) => {
                    listens = !matches!(event, Event::Stopped(_));
                    shared.with(|core, now_ms| core.heard(&event, now_ms));
                }
                None => listens = false,
            },
            Some(done) = asked.join_next() => {
                // A question that panicked is a fault of this client, and stays unanswered.
                if let Ok((ask, answer)) = done {
                    shared.with(|core, now_ms| core.answered(ask, answer, now_ms));
                }
            }
            () = shared.wake.notified() => {}
            () = pause => {}
        }
    }
}

/// Asks the server.
async fn answer(client: &Client, ask: &Ask) -> Result<Answer> {
    Ok(match ask {
        Ask::List(listing) => Answer::List(match &listing.part {
            Part::Changed(since) => client.conversations(&[("changed_after", since)], Paging::first(PAGE)).await?,
            Part::Folder(folder, cursor) => {
                client.conversations(&[("folder", folder.name())], Paging::at(PAGE, cursor.as_deref())).await?
            }
        }),
        Ask::Part(_, id, of) => part(client, *id, *of).await?,
        Ask::Send(id, message) => Answer::Sent(Box::new(client.send_message(*id, message).await?.value)),
        Ask::Read(id, seq) => client.mark_read(*id, *seq).await.map(|_| Answer::Done)?,
        Ask::Delivered(id, seq) => client.mark_delivered(*id, *seq).await.map(|_| Answer::Done)?,
    })
}

async fn part(client: &Client, id: Id, of: Of) -> Result<Answer> {
    Ok(match of {
        Of::Conversation => Answer::Conversation(Box::new(client.conversation(id).await?)),
        Of::Messages(place, limit) => Answer::Messages(client.messages(id, place, limit).await?),
        Of::Changes(after) => Answer::Changes(client.changes(id, after, PAGE).await?),
        Of::Receipts => Answer::Receipts(client.receipts(id).await?.items),
        Of::Members => Answer::Members(members(client, id).await?),
    })
}

async fn members(client: &Client, id: Id) -> Result<Vec<Member>> {
    let (mut found, mut cursor) = (Vec::new(), None);
    loop {
        let page = client.members(id, Paging::at(PAGE, cursor.as_deref())).await?;
        found.extend(page.items);
        cursor = page.next_cursor;
        if cursor.is_none() || found.len() >= MEMBERS_MAX {
            return Ok(found);
        }
    }
}
