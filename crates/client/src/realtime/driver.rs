//! The loop that keeps a client connected: it opens links, climbs, hands frames to the inbox and events to the
//! application. What to do after an end is the ladder's to say.

use std::collections::HashMap;
use std::future::pending;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fanfare_protocol::{ClientFrame, Hello, Id, Reply, Transport};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep_until;

use super::inbox::{Event, Inbox, Taken};
use super::ladder::{Ended, Ladder, Next};
use super::link::{Link, Signal, Target};
use super::options::Options;
use super::seen::Seen;
use crate::{Client, ClientError};

/// Longest wait for the answer to a probe on a connection that may be dead.
const PROBE: Duration = Duration::from_secs(5);

/// Command of the application to the driver.
pub(super) enum Command {
    Send { kind: String, data: Option<Value>, reply: oneshot::Sender<crate::Result<Reply>> },
    Allow(Vec<Transport>),
    Probe,
}

/// An event, if there is one, and where to resume once it is handled.
pub(super) struct Delivery {
    pub event: Option<Event>,
    pub cursor: Option<String>,
}

/// Why a session is over.
enum Over {
    Ended(Ended),
    /// Change of the transports that are allowed.
    Switched,
    /// The application is gone.
    Quit,
}

pub(super) struct Driver {
    client: Client,
    options: Arc<Options>,
    ladder: Ladder,
    inbox: Inbox,
    events: mpsc::Sender<Delivery>,
    commands: mpsc::Receiver<Command>,
    replies: HashMap<u64, oneshot::Sender<crate::Result<Reply>>>,
    reference: u64,
    started: Instant,
    /// The open session's; `None` while nothing is open, or on polls.
    session: Option<Id>,
    open: bool,
    probe_until: Option<tokio::time::Instant>,
    resumes: bool,
}

impl Driver {
    pub fn new(
        client: Client,
        options: Options,
        events: mpsc::Sender<Delivery>,
        commands: mpsc::Receiver<Command>,
        seen: Arc<Mutex<Seen>>,
    ) -> Self {
        let ladder = Ladder::new(&options.transports, options.pace, options.seed.unwrap_or_else(chance));
        let inbox = Inbox { cursor: options.cursor.clone(), seen };
        Self {
            client,
            options: Arc::new(options),
            ladder,
            inbox,
            events,
            commands,
            replies: HashMap::new(),
            reference: 0,
            started: Instant::now(),
            session: None,
            open: false,
            probe_until: None,
            resumes: false,
        }
    }

    /// Goes on until the application is gone or the server forbids it.
    pub async fn run(mut self) {
        let mut next = Next::Connect(self.ladder.transport(), Duration::ZERO);
        loop {
            let (transport, wait) = match next {
                Next::Connect(transport, wait) => (transport, wait),
                Next::Renew(transport, wait) => {
                    if !self.renewed().await {
                        return self.stop("the token is refused").await;
                    }
                    (transport, wait)
                }
                Next::Stop(reason) => return self.stop(&reason).await,
            };
            let over = match self.pause(wait).await {
                None => self.session(transport).await,
                Some(over) => over,
            };
            self.replies.clear();
            let was_open = std::mem::take(&mut self.open);
            (self.session, self.probe_until) = (None, None);
            next = match over {
                Over::Quit => return,
                Over::Switched => Next::Connect(self.ladder.transport(), Duration::ZERO),
                Over::Ended(ended) => {
                    let now = self.started.elapsed();
                    let next = self.ladder.ended(&ended, now);
                    if was_open && !self.tell(Event::Disconnected(ended)).await {
                        return;
                    }
                    next
                }
            };
        }
    }

    async fn stop(&self, reason: &str) {
        self.tell(Event::Stopped(reason.to_owned())).await;
    }

    async fn renewed(&mut self) -> bool {
        // A ticket is asked for anew with every connection; if the token itself is refused, only the application helps.
        let Some(renew) = &self.options.renew else { return false };
        let Some(token) = renew().await else { return false };
        self.client = self.client.with_token(&token);
        true
    }

    /// Whether the application is still there to hear it.
    async fn tell(&self, event: Event) -> bool {
        self.events.send(Delivery { event: Some(event), cursor: self.inbox.cursor.clone() }).await.is_ok()
    }

    /// Waits without a connection; `None` when the time is over.
    async fn pause(&mut self, wait: Duration) -> Option<Over> {
        let until = tokio::time::Instant::now() + wait;
        loop {
            tokio::select! {
                () = sleep_until(until) => return None,
                command = self.commands.recv() => if let Some(over) = self.on_command(command, None).await {
                    return Some(over);
                },
            }
        }
    }

    fn link(&self, transport: Transport) -> Link {
        let (client, options) = (self.client.clone(), Arc::clone(&self.options));
        Link::open(transport, Target { client, options, cursor: self.inbox.cursor.clone() })
    }

    /// Session over one connection, and over what it becomes by climbing.
    async fn session(&mut self, transport: Transport) -> Over {
        self.resumes = self.inbox.cursor.is_some();
        let mut link = self.link(transport);
        let mut better: Option<Link> = None;
        loop {
            let climb = self.ladder.climb_at().filter(|_| self.open && better.is_none());
            let climb = climb.map(|at| tokio::time::Instant::from_std(self.started + at));
            tokio::select! {
                signal = link.signals.recv() => if let Some(over) = self.on_signal(&link, signal).await {
                    return over;
                },
                signal = signal_of(better.as_mut()) => match signal {
                    None | Some(Signal::Ended(_)) => {
                        better = None;
                        self.ladder.climb_failed(self.started.elapsed());
                    }
                    Some(first) => {
                        let Some(new) = better.take() else { continue };
                        if let Some(over) = self.switch_to(&mut link, new, first).await {
                            return over;
                        }
                    }
                },
                () = until(climb) => {
                    let transport = self.ladder.climb();
                    better = Some(self.link(transport));
                }
                () = until(self.probe_until) => return Over::Ended(Ended::Silent),
                command = self.commands.recv() => if let Some(over) = self.on_command(command, Some(&link)).await {
                    return over;
                },
            }
        }
    }

    /// Goes over to a better link that has begun to speak. It resumed where the old one stood when it was opened: what
    /// both bring is dropped by key.
    async fn switch_to(&mut self, link: &mut Link, new: Link, first: Signal) -> Option<Over> {
        while let Ok(signal) = link.signals.try_recv() {
            if matches!(signal, Signal::Ended(_)) {
                break;
            }
            if let Some(over) = self.on_signal(link, Some(signal)).await {
                return Some(over);
            }
        }
        *link = new;
        (self.open, self.session, self.resumes) = (false, None, true);
        self.replies.clear();
        self.ladder.climbed(self.started.elapsed());
        self.on_signal(link, Some(first)).await
    }

    async fn on_signal(&mut self, link: &Link, signal: Option<Signal>) -> Option<Over> {
        self.probe_until = None;
        let (frames, after) = match signal {
            None => return Some(Over::Ended(Ended::Lost("the link is gone".to_owned()))),
            Some(Signal::Ended(ended)) => return Some(Over::Ended(ended)),
            Some(Signal::Frame(frame)) => (vec![*frame], None),
            Some(Signal::Answer(answer)) => {
                // With a good cursor a poll says no hello.
                let says_hello = answer.events.first().is_some_and(|frame| frame.kind == "hello");
                if !self.open && !says_hello && !self.opened(link, None).await {
                    return Some(Over::Quit);
                }
                (answer.events, Some(answer.cursor))
            }
        };
        for frame in frames {
            let event = match self.inbox.take(&frame) {
                Ok(Taken::Event(event)) => Some(event),
                Ok(Taken::Nothing) => None,
                Ok(Taken::Drain(drain)) => {
                    return Some(Over::Ended(Ended::Drained(Duration::from_millis(drain.reconnect_after_ms))));
                }
                Ok(Taken::Reply(reply)) => {
                    let asked = reply.reference.and_then(|reference| self.replies.remove(&reference));
                    if let Some(asked) = asked {
                        // Whoever asked may have stopped waiting.
                        let _ = asked.send(Ok(reply));
                    }
                    continue;
                }
                Ok(Taken::Hello(hello)) => {
                    if !self.opened(link, Some(&hello)).await {
                        return Some(Over::Quit);
                    }
                    continue;
                }
                Err(error) => return Some(Over::Ended(Ended::NotSpoken(format!("{}: {error}", frame.kind)))),
            };
            let delivery = Delivery { event, cursor: self.inbox.cursor.clone() };
            if self.events.send(delivery).await.is_err() {
                return Some(Over::Quit);
            }
        }
        if let Some(cursor) = after {
            self.inbox.cursor = Some(cursor);
            let delivery = Delivery { event: None, cursor: self.inbox.cursor.clone() };
            if self.events.send(delivery).await.is_err() {
                return Some(Over::Quit);
            }
        }
        None
    }

    async fn opened(&mut self, link: &Link, hello: Option<&Hello>) -> bool {
        self.session = hello.map(|hello| hello.session_id);
        let resumed = hello.map_or(self.resumes, |hello| hello.resumed);
        if !std::mem::replace(&mut self.open, true) {
            self.ladder.opened(self.started.elapsed());
        }
        self.tell(Event::Connected { transport: link.transport, resumed, session_id: self.session }).await
    }

    async fn on_command(&mut self, command: Option<Command>, link: Option<&Link>) -> Option<Over> {
        match command {
            None => return Some(Over::Quit),
            Some(Command::Allow(transports)) => {
                let seed = self.options.seed.unwrap_or_else(chance);
                self.ladder = Ladder::new(&transports, self.options.pace, seed);
                return Some(Over::Switched);
            }
            Some(Command::Probe) => match link {
                Some(Link { outgoing: Some(_), .. }) if self.open => {
                    self.probe_until = Some(tokio::time::Instant::now() + PROBE);
                    self.send(link, "ping".to_owned(), None, oneshot::channel().0);
                }
                // What cannot be asked is opened anew; a wait is cut short.
                _ => return Some(Over::Switched),
            },
            Some(Command::Send { kind, data, reply }) => self.send(link, kind, data, reply),
        }
        None
    }

    fn send(
        &mut self,
        link: Option<&Link>,
        kind: String,
        data: Option<Value>,
        reply: oneshot::Sender<crate::Result<Reply>>,
    ) {
        self.reference += 1;
        let frame = ClientFrame { reference: self.reference, kind, data };
        match link.filter(|_| self.open) {
            Some(Link { outgoing: Some(outgoing), .. }) => {
                let lost = || Err(ClientError::Transport("too many frames wait to be sent".to_owned()));
                match outgoing.try_send(frame) {
                    Ok(()) => drop(self.replies.insert(self.reference, reply)),
                    Err(_) => drop(reply.send(lost())),
                }
            }
            // A poll's session ends with its answer.
            _ => {
                let (client, session) = (self.client.clone(), self.session);
                let session = session.filter(|_| link.is_some_and(|link| link.transport == Transport::Sse));
                tokio::spawn(async move { drop(reply.send(client.realtime_send(session, &frame).await)) });
            }
        }
    }
}

async fn signal_of(link: Option<&mut Link>) -> Option<Signal> {
    match link {
        Some(link) => link.signals.recv().await,
        None => pending().await,
    }
}

async fn until(moment: Option<tokio::time::Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => pending().await,
    }
}

/// A number that differs from client to client.
fn chance() -> u64 {
    use std::hash::{BuildHasher as _, Hasher as _, RandomState};
    RandomState::new().build_hasher().finish()
}
