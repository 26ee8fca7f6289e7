//! Accounts that are deleted on one side of a block: threads, quotes and notifications of the other side, before what
//! the account left is cleared away and after it.

use fanfare_client::{Client, Paging};
use fanfare_protocol::{Code, Gone, Id, NewPost, NotificationKind, PostOrGone};

use crate::deletion::{clean, uncleared};
use crate::world::{Person, World, refused};

/// Ann, who blocks, and Bob, whom she blocks; Carl answers and quotes the one of them who goes, and Dora has no part in
/// it.
struct Story {
    world: World,
    carl: Person,
    dora: Person,
    /// Post of the one who goes; Carl's answer to it, and his quote of it, which names the others.
    said: Id,
    answer: Id,
    quote: Id,
}

/// The place of a post that does not show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lack {
    Hidden,
    Deleted,
}

impl Story {
    async fn of(world: World, goes: &Person) -> Self {
        let [carl, dora] = world.people(["carl", "dora"]).await;
        let said = goes.say("hello").await.unwrap().id;
        let answer = carl.reply(said, "yes").await.unwrap().id;
        let text = "look @ann @bob @dora".to_owned();
        let new = NewPost { text, repost_of: Some(said), ..NewPost::default() };
        let quote = carl.publish(&new, None).await.unwrap().post.id;
        Self { world, carl, dora, said, answer, quote }
    }

    /// `reader` is told of the lack in one way wherever the post would show: above the answer, in the quote by its id
    /// and in lists, and in the notification of it.
    async fn assert_lacks(&self, reader: &Person, lack: Lack, moment: &str) {
        let story = format!("{} reads {moment}", reader.handle);
        let (deleted, hidden) = (lack == Lack::Deleted, lack == Lack::Hidden);
        let place = PostOrGone::Gone(Gone { id: self.said, deleted, hidden });
        assert_eq!(reader.thread(self.answer).await.unwrap().ancestors, [place], "{story}");
        let mut quotes = vec![reader.post(self.quote).await.unwrap()];
        quotes.extend(reader.posts_of(self.carl.id, Paging::default()).await.unwrap().items);
        quotes.extend(reader.public_posts(Paging::default()).await.unwrap().items);
        let news = reader.notifications(Paging::default()).await.unwrap();
        assert_eq!((news.items.len(), news.unread_count), (1, 1), "{story}: {news:?}");
        let mention = &news.items[0];
        assert_eq!((mention.kind, mention.actor.id), (NotificationKind::Mention, self.carl.id), "{story}");
        quotes.extend(mention.post.clone());
        quotes.retain(|post| post.id == self.quote);
        assert_eq!(quotes.len(), 4, "{story}");
        for quote in quotes {
            assert!(quote.repost_of.is_none() && quote.text.starts_with("look"), "{story}: {quote:?}");
            assert_eq!((quote.repost_gone, quote.repost_hidden), (deleted, hidden), "{story}");
        }
    }

    async fn assert_refused(&self, reader: &Client, code: Code, moment: &str) {
        assert_eq!(refused(reader.post(self.said).await), code, "{moment}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_blocked_learns_of_the_blockers_deletion_once_the_account_is_cleared_away() {
    let world = World::new().await;
    let [ann, bob] = world.people(["ann", "bob"]).await;
    let of_bob = bob.say("mine").await.unwrap();
    ann.like(of_bob.id).await.unwrap();
    let mut story = Story::of(world, &ann).await;
    ann.block(bob.id).await.unwrap();
    story.assert_lacks(&bob, Lack::Hidden, "while she is there").await;
    story.assert_refused(&bob, Code::NotFound, "while she is there").await;

    let kept = uncleared(&story.world).await;
    ann.delete_account().await.unwrap();
    story.assert_lacks(&bob, Lack::Hidden, "as long as the block stands").await;
    story.assert_refused(&bob, Code::NotFound, "as long as the block stands").await;
    story.assert_lacks(&story.dora, Lack::Deleted, "at once").await;

    drop(kept);
    clean(&story.world).await;
    let mut bob = bob;
    for moment in ["when nothing is left of her, nor of the block", "after a restart"] {
        story.assert_lacks(&bob, Lack::Deleted, moment).await;
        story.assert_refused(&bob, Code::Gone, moment).await;
        story.world.restart(&mut [&mut bob, &mut story.carl, &mut story.dora]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_blocks_somebody_reads_on_after_their_account_is_deleted() {
    let world = World::new().await;
    let [ann, bob] = world.people(["ann", "bob"]).await;
    let of_ann = ann.say("mine").await.unwrap();
    bob.like(of_ann.id).await.unwrap();
    bob.follow(ann.id).await.unwrap();
    let mut story = Story::of(world, &bob).await;
    ann.block(bob.id).await.unwrap();
    story.assert_lacks(&ann, Lack::Hidden, "while he is there").await;
    assert_eq!(ann.post(story.said).await.unwrap().text, "hello", "by its id it can be read, to report it");

    let kept = uncleared(&story.world).await;
    bob.delete_account().await.unwrap();
    story.assert_refused(&ann, Code::Gone, "at once").await;
    let quote = ann.post(story.quote).await.unwrap();
    assert!(quote.repost_hidden && !quote.repost_gone, "as long as the block stands: {quote:?}");
    story.assert_lacks(&story.dora, Lack::Deleted, "at once").await;

    drop(kept);
    clean(&story.world).await;
    let mut ann = ann;
    for moment in ["when nothing is left of him, nor of the block", "after a restart"] {
        story.assert_lacks(&ann, Lack::Deleted, moment).await;
        story.assert_refused(&ann, Code::Gone, moment).await;
        assert_eq!(ann.post(of_ann.id).await.unwrap().like_count, 0, "{moment}");
        story.world.restart(&mut [&mut ann, &mut story.carl, &mut story.dora]).await;
    }
}
