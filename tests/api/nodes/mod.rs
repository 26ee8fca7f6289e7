//! Several nodes in one process, over the same engines: whatever node somebody asks, the answer is that of one server.

mod sessions;

use std::sync::Arc;

use fanfare::app::{self, App};
use fanfare::base::clock::Clock;
use fanfare::base::logging;
use fanfare::data::families::families;
use fanfare::http::{OperatorTokens, routes};
use fanfare::nodes::NodeMembership;
use fanfare::nodes::peers::LocalPeers;
use fanfare::nodes::roster::{Assignments, HeardRoster, evenly};
use fanfare::serve;
use fanfare_client::{Client, ClientError, FeedQuery, Paging};
use fanfare_engines::{Engines, Partition, memory};
use fanfare_protocol::{Code, Id, NewPost, NewUser, Session};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::world::{PASSWORD, eventually, ids, quick, raw, refused};

/// A node, and a caller of it without a token.
struct Node {
    app: Option<App>,
    roster: Arc<HeardRoster>,
    anyone: Client,
    stop: Option<oneshot::Sender<()>>,
    serving: JoinHandle<()>,
    _folder: tempfile::TempDir,
}

/// Nodes over the same engines.
struct Nodes {
    engines: Engines,
    names: Vec<Arc<str>>,
    partitions: Vec<Partition>,
    peers: LocalPeers,
    each: Vec<Node>,
    /// Folder of the operators' tokens, which all nodes take.
    tokens: tempfile::TempDir,
}

impl Nodes {
    async fn new(count: usize, social: u16) -> Self {
        let engines = memory::open_families(&families(social)).unwrap();
        let partitions = (0..engines.journal.partitions()).map(Partition).collect();
        let names = (0..count).map(|number| format!("node-{number}").into()).collect();
        let mut nodes = Self {
            engines,
            names,
            partitions,
            peers: LocalPeers::default(),
            each: Vec::new(),
            tokens: tempfile::tempdir().unwrap(),
        };
        for number in 0..count {
            let node = nodes.start(number).await;
            nodes.each.push(node);
        }
        nodes
    }

    fn even(&self) -> Assignments {
        evenly(&self.partitions, &self.names, &Assignments::default())
    }

    async fn start(&self, number: usize) -> Node {
        self.start_over(number, self.engines.clone()).await.unwrap()
    }

    /// A node over engines that may be others.
    async fn start_over(&self, number: usize, engines: Engines) -> fanfare::base::error::Result<Node> {
        let (folder, mut settings) = (tempfile::tempdir().unwrap(), quick());
        settings.server.data_dir = folder.path().to_owned();
        settings.server.node = number as u16;
        let name = &self.names[number];
        let roster = Arc::new(HeardRoster::new(name, self.even()));
        let membership = NodeMembership {
            name: Arc::clone(name),
            others: self.names.iter().filter(|other| *other != name).cloned().collect(),
            roster: roster.clone(),
            peers: Arc::new(self.peers.clone()),
        };
        let tokens = OperatorTokens::open(self.tokens.path()).unwrap();
        let log = logging::start(&settings.log.level, settings.log.format);
        let (secrets, clock) = ((&[7; 32][..], tokens), Clock::system());
        let running = app::start_among(membership, &settings, engines, secrets, clock, log).await?;
        let app = Some(running.app.clone());
        let router = routes::router(fanfare::routes::api(), running.app.clone());
        self.peers.came(name, router.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let anyone = Client::new(&format!("http://{}", listener.local_addr().unwrap()));
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = serve::serve_router(running, listener, router, async move { drop(stopped.await) });
        let serving = tokio::spawn(async move { serving.await.unwrap() });
        Ok(Node { app, roster, anyone, stop: Some(stop), serving, _folder: folder })
    }

    /// Somebody who registers at a node.
    async fn person(&self, node: usize, handle: &str) -> Session {
        let new = NewUser { handle: handle.to_owned(), password: PASSWORD.to_owned(), display_name: None };
        self.each[node].anyone.register(&new).await.unwrap()
    }

    fn at(&self, node: usize, who: &Session) -> Client {
        self.each[node].anyone.with_token(&who.token)
    }

    /// The node that decides for somebody.
    fn owner_of(&self, who: &Session) -> usize {
        let app = self.each[0].app.as_ref().unwrap();
        let owner = &self.even().0[&app.core().log.partition_of(who.user.id)];
        self.names.iter().position(|name| name == owner).unwrap()
    }

    async fn feed(&self, node: usize, who: &Session) -> Vec<Id> {
        let paging = Paging::at(100, None);
        ids(&self.at(node, who).feed(FeedQuery { paging, ..FeedQuery::default() }).await.unwrap().items)
    }

    async fn stop(mut self) {
        for node in &mut self.each {
            node.app = None;
            drop(node.stop.take());
        }
        for name in &self.names {
            self.peers.went(name);
        }
        for node in &mut self.each {
            (&mut node.serving).await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_posted_on_one_node_is_read_on_every_other() {
    let nodes = Nodes::new(2, 3).await;
    let (ann, ben) = (nodes.person(0, "ann").await, nodes.person(1, "ben").await);
    assert_eq!((nodes.owner_of(&ann), nodes.owner_of(&ben)), (0, 1), "whoever registers is decided about there");
    nodes.at(1, &ben).follow(ann.user.id).await.unwrap();
    let mut posts = Vec::new();
    for number in 0..20 {
        posts.push(nodes.at(number % 2, &ann).say(&format!("post {number}")).await.unwrap().id);
    }
    posts.reverse();
    for node in 0..2 {
        eventually("the feed has all posts", async || (nodes.feed(node, &ben).await == posts).then_some(())).await;
    }
    // What one does on the wrong node is done once, and counts everywhere.
    for node in [0, 1, 0] {
        nodes.at(node, &ben).like(posts[3]).await.unwrap();
    }
    for node in 0..2 {
        let count = async || (nodes.at(node, &ben).post(posts[3]).await.unwrap().like_count == 1).then_some(());
        eventually("the like counts", count).await;
    }
    nodes.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_out_on_one_node_ends_the_token_on_all() {
    let nodes = Nodes::new(3, 3).await;
    let ann = nodes.person(0, "ann").await;
    for node in 0..3 {
        assert_eq!(nodes.at(node, &ann).me().await.unwrap().id, ann.user.id);
    }
    nodes.at(1, &ann).log_out().await.unwrap();
    for node in 0..3 {
        let ended = async || nodes.at(node, &ann).me().await.is_err().then_some(());
        eventually("the token has ended", ended).await;
        assert_eq!(refused(nodes.at(node, &ann).me().await), Code::Unauthenticated);
    }
    // And all of them at once.
    let tokens: Vec<Session> = {
        let mut tokens = Vec::new();
        for node in 0..3 {
            tokens.push(nodes.each[node].anyone.log_in("ann", PASSWORD).await.unwrap());
        }
        tokens
    };
    for node in 0..3 {
        for token in &tokens {
            nodes.at(node, token).me().await.unwrap();
        }
    }
    nodes.at(2, &tokens[0]).log_out_everywhere().await.unwrap();
    for node in 0..3 {
        for token in &tokens {
            let ended = async || nodes.at(node, token).me().await.is_err().then_some(());
            eventually("every token has ended", ended).await;
        }
    }
    nodes.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_at_the_wrong_node_is_done_once_and_answered_as_by_the_right_one() {
    let nodes = Nodes::new(3, 12).await;
    let ann = nodes.person(0, "ann").await;
    let body = serde_json::to_string(&NewPost { text: "once".to_owned(), ..NewPost::default() }).unwrap();
    let headers = [("content-type", "application/json"), ("idempotency-key", "the-one")];
    let mut answers = Vec::new();
    for node in [1, 2, 0, 1] {
        let answer = raw(&nodes.at(node, &ann), "POST", "/v1/posts", &headers, &body).await;
        answers.push((answer.status.as_u16(), answer.json::<fanfare_protocol::Post>().unwrap().id));
    }
    assert!(answers.iter().all(|(status, id)| [200, 201].contains(status) && *id == answers[0].1), "{answers:?}");
    // What is read next at the same node has it.
    for node in 0..3 {
        let said = nodes.at(node, &ann).say("there").await.unwrap();
        let own = nodes.at(node, &ann).posts_of(ann.user.id, Paging::at(5, None)).await.unwrap();
        assert_eq!(own.items[0].id, said.id);
    }
    // A refusal is the same everywhere.
    for node in 0..3 {
        assert_eq!(refused(nodes.at(node, &ann).follow(ann.user.id).await), Code::ValidationFailed);
    }
    // Nobody goes round in circles when nodes do not agree.
    let partition = nodes.each[0].app.as_ref().unwrap().core().log.partition_of(ann.user.id);
    nodes.each[0].roster.assign(partition, Some(&nodes.names[1]));
    let lost = nodes.at(2, &ann).say("nowhere").await;
    assert!(matches!(&lost, Err(ClientError::Problem(problem)) if problem.status == 503), "{lost:?}");
    for node in &nodes.each {
        node.roster.assign(partition, Some(&nodes.names[1]));
    }
    let said = eventually("the new owner takes it", async || nodes.at(2, &ann).say("moved").await.ok()).await;
    for node in 0..3 {
        let own = async || {
            let own = nodes.at(node, &ann).posts_of(ann.user.id, Paging::at(50, None)).await.unwrap();
            (own.items[0].id == said.id && own.items.len() == 5).then_some(())
        };
        eventually("all nodes show what stands", own).await;
    }
    nodes.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_shows_a_sign_of_life_on_one_node_is_online_on_all() {
    let nodes = Nodes::new(2, 1).await;
    let (ann, ben) = (nodes.person(0, "ann").await, nodes.person(1, "ben").await);
    let beaten = raw(&nodes.at(0, &ann), "POST", "/v1/presence/heartbeat", &[], "").await;
    assert!(beaten.status.is_success(), "{beaten:?}");
    let path = format!("/v1/presence?user_ids={}", ann.user.id);
    let is_online = async || {
        let answer = raw(&nodes.at(1, &ben), "GET", &path, &[], "").await;
        assert!(answer.status.is_success(), "{answer:?}");
        let seen: serde_json::Value = answer.json().unwrap();
        seen.to_string().contains("\"online\":true").then_some(())
    };
    eventually("the other node knows", is_online).await;
    nodes.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_hears_others_and_stands_over_other_data_is_named_and_refused() {
    let nodes = Nodes::new(2, 3).await;
    let ann = nodes.person(0, "ann").await;
    let other = memory::open_families(&families(3)).unwrap();
    let (bus, ephemeral) = (nodes.engines.bus.clone(), nodes.engines.ephemeral.clone());
    let stranger = nodes.start_over(1, Engines { bus, ephemeral, ..other }).await;
    let why = stranger.err().map(|error| error.to_string()).unwrap_or_default();
    assert!(why.contains("nodes of one cluster share tables and log"), "{why}");
    assert_eq!(nodes.at(1, &ann).me().await.unwrap().id, ann.user.id, "the others go on");
    nodes.stop().await;
}
