//! People acting through the API, with every act in the history; and a look at the server when an answer was lost.

use std::sync::Arc;

use fanfare_client::{Client, ClientError, Paging, Result};
use fanfare_protocol::{Code, Id, NewPost, Relationship};

use crate::history::{Act, Shared, Target};

/// An act to be done.
#[derive(Debug, Clone)]
pub struct Plan {
    pub who: usize,
    pub act: Act,
    /// Text of the post; no two say the same, so it is found again.
    pub text: String,
}

/// An act whose answer was lost.
#[derive(Debug, Clone)]
pub struct Unsure {
    op: usize,
    plan: Plan,
}

/// Does it as `client`, and notes what came of it; what nobody knows is given back.
pub async fn act(client: Client, people: Arc<[Id]>, history: Arc<Shared>, plan: Plan) -> Option<Unsure> {
    let op = history.lock().begin(plan.who, plan.act.clone());
    let outcome: Result<Option<Id>> = match &plan.act {
        Act::Post { reply_to, repost_of } => {
            let id = |target: &Option<Target>| target.map(|target| target.post);
            let new = NewPost {
                text: plan.text.clone(),
                reply_to: id(reply_to),
                repost_of: id(repost_of),
                ..NewPost::default()
            };
            client.publish(&new, Some(&plan.text)).await.map(|published| Some(published.post.id))
        }
        Act::Delete(post) => client.delete_post(*post).await.map(|()| None),
        Act::Like(target, true) => client.like(target.post).await.map(|_| None),
        Act::Like(target, false) => client.unlike(target.post).await.map(|_| None),
        Act::Follow(whom, true) => client.follow(people[*whom]).await.map(|_| None),
        Act::Follow(whom, false) => client.unfollow(people[*whom]).await.map(|_| None),
        Act::Mute(whom, true) => client.mute(people[*whom]).await.map(|_| None),
        Act::Mute(whom, false) => client.unmute(people[*whom]).await.map(|_| None),
        Act::Block(whom, true) => client.block(people[*whom]).await.map(|_| None),
        Act::Block(whom, false) => client.unblock(people[*whom]).await.map(|_| None),
        Act::Leave => client.delete_account().await.map(|()| None),
    };
    match outcome {
        Ok(made) => history.lock().end(op, true, made),
        Err(ClientError::Problem(problem)) if problem.status < 500 => history.lock().end(op, false, None),
        Err(_) => return Some(Unsure { op, plan }),
    }
    None
}

impl Unsure {
    /// Person whose act it is.
    pub fn who(&self) -> usize {
        self.plan.who
    }

    /// Looks whether it happened; the server is up again.
    pub async fn settle(self, client: Client, people: &[Id], history: &Shared) {
        let Self { op, plan } = self;
        let (happened, made) = match plan.act {
            Act::Post { .. } => {
                let made = find(&client, people[plan.who], &plan.text).await;
                (made.is_some(), made)
            }
            Act::Delete(post) => {
                // A read would not tell a repost that is gone from one whose original is: it is asked for again.
                let gone = match client.delete_post(post).await {
                    Err(ClientError::Problem(problem)) => problem.code == Code::Gone,
                    other => other.is_ok(),
                };
                (gone, None)
            }
            Act::Like(target, on) => {
                let liked = client.post(target.post).await.is_ok_and(|post| post.liked);
                (liked == on, None)
            }
            Act::Follow(whom, on) => (relation(&client, people[whom]).await.following == on, None),
            Act::Mute(whom, on) => (relation(&client, people[whom]).await.muting == on, None),
            Act::Block(whom, on) => (relation(&client, people[whom]).await.blocking == on, None),
            Act::Leave => (client.me().await.is_err(), None),
        };
        history.lock().end(op, happened, made);
    }
}

async fn relation(client: &Client, whom: Id) -> Relationship {
    let user = client.user(&whom.to_string()).await;
    user.ok().and_then(|user| user.relationship).unwrap_or_default()
}

async fn find(client: &Client, author: Id, text: &str) -> Option<Id> {
    let mut cursor: Option<String> = None;
    loop {
        let page = client.posts_of(author, Paging::at(100, cursor.as_deref())).await.unwrap();
        if let Some(post) = page.items.iter().find(|post| post.text == text) {
            return Some(post.id);
        }
        cursor = Some(page.next_cursor?);
    }
}
