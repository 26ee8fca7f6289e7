//! `kill -9` in the middle of everything, restarts on the same folder, and graceful ends.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use fanfare_client::{Client, ClientError, FeedQuery, Paging};
use fanfare_engines::random::Random;
use fanfare_protocol::{Code, Id, NewPost, NewUser, Post};
use parking_lot::Mutex;

use crate::process::{Process, fanfare};
use crate::world::{PASSWORD, all_pages, eventually, ids, refused};

const PEOPLE: usize = 6;
const ROUNDS: u64 = 5;
/// Tiny limits, so that feeds are pulled, pushed late, evicted and built again all the time.
const TINY: [(&str, &str); 7] = [
    ("FANFARE__FEED__TIMELINE_CAP", "8"),
    ("FANFARE__FEED__TIMELINES_MAX", "3"),
    ("FANFARE__FEED__RECENTS_PER_AUTHOR", "4"),
    ("FANFARE__FEED__PUSH_BELOW", "2"),
    ("FANFARE__FEED__PULL_ABOVE", "4"),
    ("FANFARE__FEED__PUSH_SLICE", "1"),
    ("FANFARE__FEED__FLIP_INTERVAL_S", "0"),
];

/// Knowledge of a thing that may be there or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    There,
    Gone,
    /// The last request about it was not answered.
    Either,
}

/// Answers that clients were given, each about its own things.
#[derive(Default)]
struct Told {
    /// Idempotency key → post, of what was acknowledged.
    posts: BTreeMap<String, Id>,
    /// Keys without an answer.
    open: BTreeSet<String>,
    deleted: BTreeMap<Id, Known>,
    follows: BTreeMap<(usize, usize), Known>,
    likes: BTreeMap<(usize, Id), Known>,
}

struct Story {
    tokens: Vec<String>,
    people: Vec<Id>,
    told: Mutex<Told>,
    said: AtomicU64,
}

fn outcome<T: std::fmt::Debug>(result: Result<T, ClientError>, done: Known) -> Known {
    match result {
        Ok(_) => done,
        Err(ClientError::Transport(_)) => Known::Either,
        // The server may be killed between a failed write and its answer; nothing else is expected.
        Err(other) => panic!("{other}"),
    }
}

impl Story {
    async fn begin(server: &Process) -> Self {
        let (mut tokens, mut people) = (Vec::new(), Vec::new());
        for number in 0..PEOPLE {
            let new = NewUser { handle: format!("p{number}"), password: PASSWORD.to_owned(), display_name: None };
            let session = server.anyone.register(&new).await.unwrap();
            tokens.push(session.token);
            people.push(session.user.id);
        }
        Self { tokens, people, told: Mutex::default(), said: AtomicU64::new(0) }
    }

    fn client(&self, server: &Client, me: usize) -> Client {
        server.with_token(&self.tokens[me])
    }

    /// Lets one person act until the server is gone.
    async fn act(self: Arc<Self>, server: Client, me: usize, seed: u64) {
        let client = self.client(&server, me);
        let mut dice = Random::new(seed);
        loop {
            let done = match dice.below(10) {
                0..=4 => self.publish(&client, me, &mut dice).await,
                5 | 6 => self.follow(&client, me, &mut dice).await,
                7 | 8 => self.like(&client, me, &mut dice).await,
                _ => self.delete(&client, me, &mut dice).await,
            };
            if done == Known::Either {
                return;
            }
            let _ = client.feed(FeedQuery::default()).await;
        }
    }

    fn some_post(&self, dice: &mut Random) -> Option<Id> {
        let told = self.told.lock();
        let alive: Vec<Id> = told.posts.values().filter(|id| !told.deleted.contains_key(id)).copied().collect();
        (!alive.is_empty()).then(|| alive[dice.below(alive.len() as u64) as usize])
    }

    async fn publish(&self, client: &Client, me: usize, dice: &mut Random) -> Known {
        let key = format!("{me}/{}", self.said.fetch_add(1, Ordering::Relaxed));
        let reply_to = if dice.below(4) == 0 { self.some_post(dice) } else { None };
        let new = NewPost { text: format!("said {key}"), reply_to, ..NewPost::default() };
        self.told.lock().open.insert(key.clone());
        match client.publish(&new, Some(&key)).await {
            Ok(published) => {
                let mut told = self.told.lock();
                told.open.remove(&key);
                told.posts.insert(key, published.post.id);
                Known::There
            }
            Err(ClientError::Problem(problem)) if problem.code == Code::Gone => {
                self.told.lock().open.remove(&key);
                Known::Gone
            }
            other => outcome(other, Known::There),
        }
    }

    async fn follow(&self, client: &Client, me: usize, dice: &mut Random) -> Known {
        let other = (me + 1 + dice.below(PEOPLE as u64 - 1) as usize) % PEOPLE;
        let wanted = if dice.below(3) > 0 { Known::There } else { Known::Gone };
        self.told.lock().follows.insert((me, other), Known::Either);
        let answer = match wanted {
            Known::There => client.follow(self.people[other]).await,
            _ => client.unfollow(self.people[other]).await,
        };
        let known = outcome(answer, wanted);
        self.told.lock().follows.insert((me, other), known);
        known
    }

    async fn like(&self, client: &Client, me: usize, dice: &mut Random) -> Known {
        let Some(post) = self.some_post(dice) else { return Known::There };
        let wanted = if dice.below(3) > 0 { Known::There } else { Known::Gone };
        let before = self.told.lock().likes.insert((me, post), Known::Either).unwrap_or(Known::Gone);
        let answer = match wanted {
            Known::There => client.like(post).await.map(drop),
            _ => client.unlike(post).await.map(drop),
        };
        let known = match answer {
            Err(ClientError::Problem(problem)) if problem.code == Code::Gone => before,
            other => outcome(other, wanted),
        };
        self.told.lock().likes.insert((me, post), known);
        known
    }

    async fn delete(&self, client: &Client, me: usize, dice: &mut Random) -> Known {
        let own: Vec<Id> = {
            let (told, mine) = (self.told.lock(), format!("{me}/"));
            let own = told.posts.iter().filter(|(key, id)| key.starts_with(&mine) && !told.deleted.contains_key(id));
            own.map(|(_, id)| *id).collect()
        };
        if own.len() < 4 {
            return Known::There;
        }
        let post = own[dice.below(own.len() as u64) as usize];
        self.told.lock().deleted.insert(post, Known::Either);
        let known = outcome(client.delete_post(post).await, Known::Gone);
        self.told.lock().deleted.insert(post, known);
        known
    }

    /// Sends every request again whose answer was lost: with the same key it makes nothing twice.
    async fn settle(&self, server: &Client) {
        let open: Vec<String> = self.told.lock().open.iter().cloned().collect();
        for key in open {
            let me: usize = key.split('/').next().unwrap().parse().unwrap();
            let new = NewPost { text: format!("said {key}"), ..NewPost::default() };
            let made = match self.client(server, me).publish(&new, Some(&key)).await {
                Ok(published) => Some(published.post.id),
                // It was a reply, so the first body was another: then it did happen.
                Err(ClientError::Problem(problem)) if problem.code == Code::ValidationFailed => {
                    let text = format!("said {key}");
                    let all = self.all_posts(server, me).await;
                    Some(all.iter().find(|post| post.text == text).expect("a key that is known has its post").id)
                }
                Err(other) => panic!("{other}"),
            };
            let mut told = self.told.lock();
            told.open.remove(&key);
            told.posts.extend(made.map(|id| (key, id)));
        }
        let unsure: Vec<Id> = {
            let told = self.told.lock();
            told.deleted.iter().filter(|(_, known)| **known == Known::Either).map(|(id, _)| *id).collect()
        };
        for post in unsure {
            match server.post(post).await {
                Ok(_) => drop(self.told.lock().deleted.remove(&post)),
                gone => {
                    assert_eq!(refused(gone), Code::Gone);
                    self.told.lock().deleted.insert(post, Known::Gone);
                }
            }
        }
    }

    async fn all_posts(&self, server: &Client, of: usize) -> Vec<Post> {
        let read =
            async |cursor: Option<String>| server.posts_of(self.people[of], Paging::at(100, cursor.as_deref())).await;
        all_pages(read, 100).await
    }

    /// Everything that was told is true, nothing stands twice, and every count is that of its list.
    async fn check(&self, server: &Client) {
        let mut posts = Vec::new();
        for person in 0..PEOPLE {
            let own = self.all_posts(server, person).await;
            let user = server.user(&self.people[person].to_string()).await.unwrap();
            assert_eq!(user.posts_count, own.len() as u64, "posts of {person}");
            let listed = self.check_follows(server, person).await;
            assert_eq!((user.followers_count, user.following_count), listed, "edges of {person}");
            posts.extend(own);
        }
        self.check_posts(server, &posts).await;
        self.check_feeds(server, &posts).await;
    }

    async fn check_follows(&self, server: &Client, person: usize) -> (u64, u64) {
        let id = self.people[person];
        let following = server.following(id, Paging::first(100)).await.unwrap().items;
        let followers = server.followers(id, Paging::first(100)).await.unwrap().items;
        let followed: BTreeSet<Id> = following.iter().map(|user| user.id).collect();
        let by: BTreeSet<Id> = followers.iter().map(|user| user.id).collect();
        assert_eq!((followed.len(), by.len()), (following.len(), followers.len()), "an edge is listed twice");
        for ((follower, followee), known) in &self.told.lock().follows {
            for (one, list, other) in [(*follower, &followed, *followee), (*followee, &by, *follower)] {
                if one == person && *known != Known::Either {
                    let there = list.contains(&self.people[other]);
                    assert_eq!(there, *known == Known::There, "{follower} follows {followee}, seen by {person}");
                }
            }
        }
        (by.len() as u64, followed.len() as u64)
    }

    async fn check_posts(&self, server: &Client, posts: &[Post]) {
        let texts: BTreeSet<&str> = posts.iter().map(|post| post.text.as_str()).collect();
        assert_eq!(texts.len(), posts.len(), "something was said twice");
        let there: BTreeSet<Id> = posts.iter().map(|post| post.id).collect();
        let (told_posts, deleted) = {
            let told = self.told.lock();
            (told.posts.clone(), told.deleted.clone())
        };
        for (key, id) in &told_posts {
            match deleted.get(id) {
                None => assert!(there.contains(id), "{key} was acknowledged and is lost"),
                Some(Known::Gone) => assert!(!there.contains(id), "{key} was deleted and is back"),
                Some(_) => {}
            }
        }
        for post in posts {
            let replies = posts.iter().filter(|other| other.reply_to == Some(post.id)).count() as u64;
            let read = async |cursor: Option<String>| server.likes(post.id, Paging::at(2, cursor.as_deref())).await;
            let likers: Vec<Id> = all_pages(read, 2).await.into_iter().map(|user| user.id).collect();
            assert_eq!(likers.iter().collect::<BTreeSet<_>>().len(), likers.len(), "a liker is listed twice");
            assert_eq!((post.like_count, post.reply_count), (likers.len() as u64, replies), "counts of {}", post.id);
            for ((fan, _), known) in self.told.lock().likes.iter().filter(|((_, of), _)| *of == post.id) {
                let likes = likers.contains(&self.people[*fan]);
                assert!(*known == Known::Either || likes == (*known == Known::There), "{fan} likes {}", post.id);
            }
        }
    }

    /// Feeds equal the pull query over what the API lists.
    async fn check_feeds(&self, server: &Client, posts: &[Post]) {
        let authors: BTreeMap<Id, Id> = posts.iter().map(|post| (post.id, post.author.id)).collect();
        for me in 0..PEOPLE {
            let client = self.client(server, me);
            let following = client.following(self.people[me], Paging::first(100)).await.unwrap().items;
            let known: BTreeSet<Id> = following.iter().map(|user| user.id).chain([self.people[me]]).collect();
            let mut expected: Vec<Id> = Vec::new();
            for post in posts.iter().filter(|post| known.contains(&post.author.id)) {
                let to = match post.reply_to {
                    None => Some(post.author.id),
                    Some(parent) => match authors.get(&parent) {
                        Some(author) => Some(*author),
                        // The post answered was deleted: who wrote it is only in the key of what was said.
                        None => self.author_of(parent),
                    },
                };
                if to.is_none_or(|to| to == post.author.id || known.contains(&to)) {
                    expected.push(post.id);
                }
            }
            expected.sort_unstable_by(|one, other| other.cmp(one));
            let read = async |cursor: Option<String>| {
                client.feed(FeedQuery { paging: Paging::at(9, cursor.as_deref()), ..FeedQuery::default() }).await
            };
            eventually("the feed equals the pull query", async || {
                (ids(&all_pages(&read, 9).await) == expected).then_some(())
            })
            .await;
        }
    }

    fn author_of(&self, post: Id) -> Option<Id> {
        let told = self.told.lock();
        let key = told.posts.iter().find(|(_, id)| **id == post)?.0;
        Some(self.people[key.split('/').next()?.parse::<usize>().ok()?])
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_and_nothing_doubled_by_kills() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::serve(folder.path(), &TINY).await;
    let story = Arc::new(Story::begin(&server).await);
    let mut server = Some(server);
    for round in 0..ROUNDS {
        let running = match server.take() {
            Some(running) => running,
            None => Process::serve(folder.path(), &TINY).await,
        };
        let actors: Vec<_> = (0..PEOPLE)
            .map(|me| tokio::spawn(Arc::clone(&story).act(running.anyone.clone(), me, round * 100 + me as u64)))
            .collect();
        let enough = 40 * (round + 1);
        let before = story.said.load(Ordering::Relaxed);
        eventually("enough was said", async || (story.said.load(Ordering::Relaxed) > before + enough).then_some(()))
            .await;
        running.kill();
        for actor in actors {
            actor.await.unwrap();
        }
        let again = Process::serve(folder.path(), &TINY).await;
        story.settle(&again.anyone).await;
        story.check(&again.anyone).await;
        match round % 2 {
            0 => again.kill(),
            _ => server = Some(again),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_graceful_end_finishes_what_was_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Process::serve(folder.path(), &[]).await;
    let story = Arc::new(Story::begin(&server).await);
    let told: Vec<_> = (0..PEOPLE)
        .map(|me| {
            let (client, story) = (story.client(&server.anyone, me), Arc::clone(&story));
            tokio::spawn(async move {
                let mut made = Vec::new();
                loop {
                    story.said.fetch_add(1, Ordering::Relaxed);
                    match client.say("hello").await {
                        Ok(post) => made.push(post.id),
                        Err(ClientError::Problem(problem)) => {
                            assert_eq!(problem.code, Code::Overloaded, "{problem}");
                            return made;
                        }
                        Err(_) => return made,
                    }
                }
            })
        })
        .collect();
    eventually("some was said", async || (story.said.load(Ordering::Relaxed) > 200).then_some(())).await;
    server.tell_to_end();
    assert_eq!(server.ended().await, Some(0));
    let mut made = Vec::new();
    for one in told {
        made.extend(one.await.unwrap());
    }
    let again = Process::serve(folder.path(), &[]).await;
    for post in made {
        assert!(again.anyone.post(post).await.is_ok(), "acknowledged and lost");
    }
    for person in 0..PEOPLE {
        let user = again.anyone.user(&story.people[person].to_string()).await.unwrap();
        assert_eq!(user.posts_count, story.all_posts(&again.anyone, person).await.len() as u64);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_process_on_the_same_folder_is_refused_clearly() {
    let folder = tempfile::tempdir().unwrap();
    let first = Process::serve(folder.path(), &[]).await;
    let path = folder.path().to_str().unwrap();
    let second = fanfare().args(["serve", "--listen", "127.0.0.1:0", "--data-dir", path]).output().unwrap();
    let words = String::from_utf8(second.stderr).unwrap();
    assert_eq!(second.status.code(), Some(1), "{words}");
    assert!(words.contains("in use") && words.contains("another data folder"), "{words}");
    assert!(first.anyone.readyz().await.is_ok());
    let address = fanfare().args(["config"]).stdin(Stdio::null()).output().unwrap();
    assert!(address.status.success());
}

#[test]
fn a_folder_of_a_newer_format_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("format"), "99\n").unwrap();
    let path = folder.path().to_str().unwrap();
    for command in [["serve", "--listen", "127.0.0.1:0"], ["demo", "--listen", "127.0.0.1:0"]] {
        let refused = fanfare().args(command).args(["--data-dir", path]).output().unwrap();
        let words = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(refused.status.code(), Some(1), "{words}");
        assert!(words.contains("format 99") && words.contains("newer"), "{words}");
    }
    let names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["format"], "nothing was touched");
}
