//! The calls of people: accounts, edges, posts, the feed, notifications, media. Each answers the problem as its error.

use bytes::Bytes;
use fanfare_protocol::{
    FeedRead, Id, Media, NewPassword, NewPost, NewReport, NewSession, NewUser, NotificationPage, NotificationsRead,
    Page, PatchUser, Post, PostOrGone, PostThread, Relationship, Report, Session, UnreadCount, User,
};
use form_urlencoded::Serializer;
use hyper::{Method, StatusCode};

use crate::{Client, Result};

/// Page of a list.
#[derive(Debug, Clone, Copy, Default)]
pub struct Paging<'a> {
    /// Items, 1 to 100; the server's default is 20.
    pub limit: Option<u16>,
    /// `next_cursor` of the page before.
    pub cursor: Option<&'a str>,
}

impl<'a> Paging<'a> {
    /// The first page of so many items.
    #[must_use]
    pub fn first(limit: u16) -> Self {
        Self { limit: Some(limit), cursor: None }
    }

    /// The page of so many items that `cursor` names.
    #[must_use]
    pub fn at(limit: u16, cursor: Option<&'a str>) -> Self {
        Self { limit: Some(limit), cursor }
    }

    pub(crate) fn onto(self, path: &str) -> String {
        self.with(path, &[])
    }

    pub(crate) fn with(self, path: &str, parameters: &[(&str, &str)]) -> String {
        let mut query = Serializer::new(String::new());
        query.extend_pairs(parameters);
        if let Some(limit) = self.limit {
            query.append_pair("limit", &limit.to_string());
        }
        if let Some(cursor) = self.cursor {
            query.append_pair("cursor", cursor);
        }
        let query = query.finish();
        if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
    }
}

/// Order in which a feed is read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Order {
    /// Newest first.
    #[default]
    Latest,
    /// By score.
    Ranked,
}

/// Page of the home feed.
#[derive(Debug, Clone, Copy, Default)]
pub struct FeedQuery<'a> {
    /// Limit and cursor.
    pub paging: Paging<'a>,
    /// Order.
    pub order: Order,
    /// Only what is newer than this.
    pub since_id: Option<Id>,
}

/// Answer to publishing.
#[derive(Debug, Clone)]
pub struct Published {
    /// The post.
    pub post: Post,
    /// Made by this request or by the one that it repeats; false for a bare repost that was there before.
    pub created: bool,
    /// The answer is that of an earlier request with the same key.
    pub replayed: bool,
}

/// A file to upload.
#[derive(Debug, Clone, Default)]
pub struct Upload<'a> {
    /// File name, without quotes or line ends.
    pub filename: &'a str,
    /// Alternative text: what the picture shows.
    pub alt: Option<&'a str>,
    /// Bytes of the file.
    pub bytes: &'a [u8],
}

const NO_BODY: Option<&()> = None;
/// Between the parts of an upload; long and odd enough not to stand in one.
const BOUNDARY: &str = "fanfare-7d0c2f4be5a94f0f8ab1";

/// Declares calls without a body on `/v1/users/{id}/…` that answer the relationship.
macro_rules! edges {
    ($($name:ident, $method:ident, $edge:literal;)*) => {$(
        #[doc = concat!("`", stringify!($method), " /v1/users/{id}/", $edge, "`.")]
        ///
        /// # Errors
        /// The problem.
        pub async fn $name(&self, user: Id) -> Result<Relationship> {
            self.call(Method::$method, &format!(concat!("/v1/users/{}/", $edge), user), NO_BODY).await
        }
    )*};
}

/// Declares lists of people.
macro_rules! people {
    ($($name:ident, $path:literal $(, $of:ident)?;)*) => {$(
        #[doc = concat!("A page of `GET ", $path, "`.")]
        ///
        /// # Errors
        /// The problem.
        pub async fn $name(&self, $($of: Id,)? paging: Paging<'_>) -> Result<Page<User>> {
            self.get(&paging.onto(&format!($path $(, $of = $of)?))).await
        }
    )*};
}

impl Client {
    /// `POST /v1/users`.
    ///
    /// # Errors
    /// The problem.
    pub async fn register(&self, new: &NewUser) -> Result<Session> {
        self.call(Method::POST, "/v1/users", Some(new)).await
    }

    /// `POST /v1/sessions`.
    ///
    /// # Errors
    /// The problem.
    pub async fn log_in(&self, handle: &str, password: &str) -> Result<Session> {
        let new = NewSession { handle: handle.to_owned(), password: password.to_owned() };
        self.call(Method::POST, "/v1/sessions", Some(&new)).await
    }

    /// `DELETE /v1/sessions/current`.
    ///
    /// # Errors
    /// The problem.
    pub async fn log_out(&self) -> Result<()> {
        self.order(Method::DELETE, "/v1/sessions/current", NO_BODY).await
    }

    /// `DELETE /v1/sessions`.
    ///
    /// # Errors
    /// The problem.
    pub async fn log_out_everywhere(&self) -> Result<()> {
        self.order(Method::DELETE, "/v1/sessions", NO_BODY).await
    }

    /// `PUT /v1/users/me/password`.
    ///
    /// # Errors
    /// The problem.
    pub async fn change_password(&self, current: &str, new: &str) -> Result<()> {
        let new = NewPassword { current_password: current.to_owned(), new_password: new.to_owned() };
        self.order(Method::PUT, "/v1/users/me/password", Some(&new)).await
    }

    /// `DELETE /v1/users/me`.
    ///
    /// # Errors
    /// The problem.
    pub async fn delete_account(&self) -> Result<()> {
        self.order(Method::DELETE, "/v1/users/me", NO_BODY).await
    }

    /// `GET /v1/users/me`.
    ///
    /// # Errors
    /// The problem.
    pub async fn me(&self) -> Result<User> {
        self.get("/v1/users/me").await
    }

    /// `PATCH /v1/users/me`.
    ///
    /// # Errors
    /// The problem.
    pub async fn patch_me(&self, patch: &PatchUser) -> Result<User> {
        self.call(Method::PATCH, "/v1/users/me", Some(patch)).await
    }

    /// `GET /v1/users/{user}`; `user` is an id or `@handle`.
    ///
    /// # Errors
    /// The problem.
    pub async fn user(&self, user: &str) -> Result<User> {
        self.get(&format!("/v1/users/{user}")).await
    }

    /// A page of `GET /v1/search/users`.
    ///
    /// # Errors
    /// The problem.
    pub async fn search_users(&self, query: &str, paging: Paging<'_>) -> Result<Page<User>> {
        self.get(&paging.with("/v1/search/users", &[("q", query)])).await
    }

    edges! {
        follow, PUT, "follow";
        unfollow, DELETE, "follow";
        block, PUT, "block";
        unblock, DELETE, "block";
        mute, PUT, "mute";
        unmute, DELETE, "mute";
    }

    people! {
        followers, "/v1/users/{user}/followers", user;
        following, "/v1/users/{user}/following", user;
        likes, "/v1/posts/{post}/likes", post;
        blocks, "/v1/users/me/blocks";
        mutes, "/v1/users/me/mutes";
    }

    /// `POST /v1/posts`, with an idempotency key if there is one.
    ///
    /// # Errors
    /// The problem.
    pub async fn publish(&self, new: &NewPost, key: Option<&str>) -> Result<Published> {
        let headers: Vec<(&str, &str)> = key.map(|key| ("idempotency-key", key)).into_iter().collect();
        let answer = self.send_json(Method::POST, "/v1/posts", &headers, Some(new)).await?.accepted()?;
        let replayed = answer.header("idempotency-replayed") == "true";
        Ok(Published { post: answer.json()?, created: answer.status == StatusCode::CREATED, replayed })
    }

    /// Publishes a plain text.
    ///
    /// # Errors
    /// The problem.
    pub async fn say(&self, text: &str) -> Result<Post> {
        Ok(self.publish(&NewPost { text: text.to_owned(), ..NewPost::default() }, None).await?.post)
    }

    /// Answers a post.
    ///
    /// # Errors
    /// The problem.
    pub async fn reply(&self, to: Id, text: &str) -> Result<Post> {
        let new = NewPost { text: text.to_owned(), reply_to: Some(to), ..NewPost::default() };
        Ok(self.publish(&new, None).await?.post)
    }

    /// Passes a post on, with words or bare.
    ///
    /// # Errors
    /// The problem.
    pub async fn repost(&self, of: Id, text: &str) -> Result<Post> {
        let new = NewPost { text: text.to_owned(), repost_of: Some(of), ..NewPost::default() };
        Ok(self.publish(&new, None).await?.post)
    }

    /// `GET /v1/posts/{id}`.
    ///
    /// # Errors
    /// The problem.
    pub async fn post(&self, id: Id) -> Result<Post> {
        self.get(&format!("/v1/posts/{id}")).await
    }

    /// `DELETE /v1/posts/{id}`.
    ///
    /// # Errors
    /// The problem.
    pub async fn delete_post(&self, id: Id) -> Result<()> {
        self.order(Method::DELETE, &format!("/v1/posts/{id}"), NO_BODY).await
    }

    /// `PUT /v1/posts/{id}/like`.
    ///
    /// # Errors
    /// The problem.
    pub async fn like(&self, id: Id) -> Result<Post> {
        self.call(Method::PUT, &format!("/v1/posts/{id}/like"), NO_BODY).await
    }

    /// `DELETE /v1/posts/{id}/like`; of a post that the caller may not see any more only the id is answered.
    ///
    /// # Errors
    /// The problem.
    pub async fn unlike(&self, id: Id) -> Result<PostOrGone> {
        self.call(Method::DELETE, &format!("/v1/posts/{id}/like"), NO_BODY).await
    }

    /// A page of `GET /v1/posts/{id}/replies`.
    ///
    /// # Errors
    /// The problem.
    pub async fn replies(&self, id: Id, paging: Paging<'_>) -> Result<Page<PostOrGone>> {
        self.get(&paging.onto(&format!("/v1/posts/{id}/replies"))).await
    }

    /// `GET /v1/posts/{id}/thread`.
    ///
    /// # Errors
    /// The problem.
    pub async fn thread(&self, id: Id) -> Result<PostThread> {
        self.get(&format!("/v1/posts/{id}/thread")).await
    }

    /// A page of `GET /v1/users/{id}/posts`.
    ///
    /// # Errors
    /// The problem.
    pub async fn posts_of(&self, author: Id, paging: Paging<'_>) -> Result<Page<Post>> {
        self.get(&paging.onto(&format!("/v1/users/{author}/posts"))).await
    }

    /// A page of `GET /v1/posts?scope=public`.
    ///
    /// # Errors
    /// The problem.
    pub async fn public_posts(&self, paging: Paging<'_>) -> Result<Page<Post>> {
        self.get(&paging.with("/v1/posts", &[("scope", "public")])).await
    }

    /// A page of `GET /v1/feed`.
    ///
    /// # Errors
    /// The problem.
    pub async fn feed(&self, query: FeedQuery<'_>) -> Result<Page<Post>> {
        let since = query.since_id.map(|id| id.to_string());
        let mut parameters = Vec::new();
        if query.order == Order::Ranked {
            parameters.push(("order", "ranked"));
        }
        if let Some(since) = &since {
            parameters.push(("since_id", since));
        }
        self.get(&query.paging.with("/v1/feed", &parameters)).await
    }

    /// `GET /v1/feed/unread`.
    ///
    /// # Errors
    /// The problem.
    pub async fn unread(&self) -> Result<UnreadCount> {
        self.get("/v1/feed/unread").await
    }

    /// `PUT /v1/feed/read`.
    ///
    /// # Errors
    /// The problem.
    pub async fn mark_feed_read(&self, last_read_id: Id) -> Result<UnreadCount> {
        self.call(Method::PUT, "/v1/feed/read", Some(&FeedRead { last_read_id })).await
    }

    /// A page of `GET /v1/notifications`.
    ///
    /// # Errors
    /// The problem.
    pub async fn notifications(&self, paging: Paging<'_>) -> Result<NotificationPage> {
        self.get(&paging.onto("/v1/notifications")).await
    }

    /// `PUT /v1/notifications/read`.
    ///
    /// # Errors
    /// The problem.
    pub async fn mark_notifications_read(&self, last_read_id: Id) -> Result<()> {
        self.order(Method::PUT, "/v1/notifications/read", Some(&NotificationsRead { last_read_id })).await
    }

    /// `POST /v1/media`: an upload that everybody can see.
    ///
    /// # Errors
    /// The problem.
    pub async fn upload(&self, file: &Upload<'_>) -> Result<Media> {
        self.upload_with(file, None).await
    }

    /// `POST /v1/media` with `purpose=message`: an upload that stands in messages alone. Name it in `media_id` of a
    /// message within 24 hours.
    ///
    /// # Errors
    /// The problem.
    pub async fn upload_for_messages(&self, file: &Upload<'_>) -> Result<Media> {
        self.upload_with(file, Some("message")).await
    }

    async fn upload_with(&self, file: &Upload<'_>, purpose: Option<&str>) -> Result<Media> {
        let mut body = Vec::with_capacity(file.bytes.len() + 512);
        for (name, text) in [("alt", file.alt), ("purpose", purpose)] {
            let Some(text) = text else { continue };
            let head = format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{text}\r\n");
            body.extend_from_slice(head.as_bytes());
        }
        let head = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{}\"\r\n\r\n",
            file.filename
        );
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(file.bytes);
        body.extend_from_slice(format!("\r\n--{BOUNDARY}--\r\n").as_bytes());
        let content_type = format!("multipart/form-data; boundary={BOUNDARY}");
        let answer = self.send(Method::POST, "/v1/media", &[("content-type", &content_type)], body.into()).await?;
        answer.accepted()?.json()
    }

    /// `POST /v1/reports`: tells the operators of something that the caller can see.
    ///
    /// # Errors
    /// The problem.
    pub async fn report(&self, new: &NewReport) -> Result<Report> {
        self.call(Method::POST, "/v1/reports", Some(new)).await
    }

    /// `GET /v1/reports/{id}`.
    ///
    /// # Errors
    /// The problem.
    pub async fn own_report(&self, report: Id) -> Result<Report> {
        self.get(&format!("/v1/reports/{report}")).await
    }

    /// The bytes at a path of this server, such as `Media::url`.
    ///
    /// # Errors
    /// The problem.
    pub async fn download(&self, path: &str) -> Result<Bytes> {
        Ok(self.send(Method::GET, path, &[], Bytes::new()).await?.accepted()?.body)
    }
}
