//! Posts: what they say, threads, reposts, likes, deletion, the public timeline, idempotency.

use fanfare_client::Paging;
use fanfare_protocol::{Code, Id, NewPost, Post};

use crate::world::{Person, World, all_pages, ids, json, problem_of, raw, refused, refused_field};

fn text(text: &str) -> NewPost {
    NewPost { text: text.to_owned(), ..NewPost::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_post_has_its_author_mentions_links_and_place() {
    let world = World::new().await;
    let [ann, bob] = world.people(["ann", "Bob"]).await;
    let body = r#"{"text": "  Hi @bob and @nobody, see https://example.org/a?b=1. \r\n Bye @BOB "}"#;
    let answer = json(&ann, "POST", "/v1/posts", body).await;
    assert_eq!(answer.status, 201);
    let post: Post = answer.json().unwrap();
    assert_eq!(answer.header("location"), format!("/v1/posts/{}", post.id));
    assert_eq!(post.text, "Hi @bob and @nobody, see https://example.org/a?b=1. \n Bye @BOB");
    assert_eq!(post.author.handle, "ann");
    assert_eq!(post.mentions.iter().map(|one| (one.id, one.handle.as_str())).collect::<Vec<_>>(), [(bob.id, "Bob")]);
    assert_eq!(post.links, ["https://example.org/a?b=1"]);
    assert!(post.reply_to.is_none() && post.repost_of.is_none() && post.media.is_empty());
    assert_eq!(
        (post.like_count, post.reply_count, post.repost_count, post.liked, post.reposted),
        (0, 0, 0, false, false)
    );
    assert_eq!(world.anyone.post(post.id).await.unwrap(), post);
    assert_eq!(ann.me().await.unwrap().posts_count, 1);
    let raw_post: serde_json::Value = answer.json().unwrap();
    assert!(raw_post["id"].is_string() && raw_post["created_at"].as_str().unwrap().ends_with('Z'));
    assert!(raw_post.as_object().unwrap().contains_key("repost_of") && raw_post["reply_to"].is_null());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_published_is_refused_by_field() {
    let world = World::new().await;
    let ann = world.person("ann").await;
    for (body, field) in [
        (r#"{"text": ""}"#.to_owned(), "text"),
        (r#"{"text": " \n\u200b "}"#.to_owned(), "text"),
        (r"{}".to_owned(), "text"),
        (format!(r#"{{"text": "{}"}}"#, "ä".repeat(501)), "text"),
        (r#"{"text": "a\u0000b"}"#.to_owned(), "text"),
        (r#"{"text": 5}"#.to_owned(), "text"),
        (r#"{"text": "a", "txt": "b"}"#.to_owned(), "txt"),
        (r#"{"text": "a", "text": "b"}"#.to_owned(), "text"),
        (r#"{"text": "a", "media_ids": ["1"]}"#.to_owned(), "media_ids[0]"),
        (r#"{"text": "a", "media_ids": ["x"]}"#.to_owned(), "media_ids[0]"),
        (r#"{"text": "a", "media_ids": ["1", "2", "3", "4", "5"]}"#.to_owned(), "media_ids"),
        (r#"{"text": "a", "reply_to": 5}"#.to_owned(), "reply_to"),
        (r#"{"text": "a", "reply_to": "-5"}"#.to_owned(), "reply_to"),
        (r#"["a"]"#.to_owned(), "body"),
        (r#""a""#.to_owned(), "body"),
        ("null".to_owned(), "body"),
    ] {
        let problem = problem_of(&json(&ann, "POST", "/v1/posts", &body).await);
        assert_eq!((problem.code, problem.errors[0].field.as_str()), (Code::ValidationFailed, field), "{body}");
    }
    for target in ["reply_to", "repost_of"] {
        let body = format!(r#"{{"text": "a", "{target}": "12345"}}"#);
        assert_eq!(problem_of(&json(&ann, "POST", "/v1/posts", &body).await).code, Code::NotFound);
    }
    assert!(ann.say(&"ä".repeat(500)).await.is_ok());
    assert_eq!(ann.me().await.unwrap().posts_count, 1, "nothing half-done");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thread_is_ancestors_post_and_replies() {
    let world = World::new().await;
    let [ann, bob] = world.people(["ann", "bob"]).await;
    let root = ann.say("root").await.unwrap();
    let answer = bob.reply(root.id, "answer").await.unwrap();
    let middle = ann.reply(answer.id, "middle").await.unwrap();
    let mut replies = Vec::new();
    for number in 0..25 {
        replies.push(bob.reply(middle.id, &format!("{number}")).await.unwrap().id);
    }
    assert_eq!(middle.reply_to, Some(answer.id));
    let thread = world.anyone.thread(middle.id).await.unwrap();
    assert_eq!(ids(&thread.ancestors), [root.id, answer.id]);
    assert_eq!((thread.post.id, thread.post.reply_count), (middle.id, 25));
    assert_eq!(ids(&thread.replies), replies[..20]);
    let rest = Paging { cursor: thread.next_cursor.as_deref(), limit: None };
    let rest = world.anyone.replies(middle.id, rest).await.unwrap();
    assert_eq!((ids(&rest.items), rest.next_cursor), (replies[20..].to_vec(), None));
    let read = async |cursor: Option<String>| ann.replies(middle.id, Paging::at(5, cursor.as_deref())).await;
    assert_eq!(ids(&all_pages(read, 5).await), replies);

    bob.delete_post(replies[0]).await.unwrap();
    bob.delete_post(answer.id).await.unwrap();
    let thread = world.anyone.thread(middle.id).await.unwrap();
    assert_eq!(ids(&thread.ancestors), [root.id, answer.id], "a deleted ancestor keeps its place");
    assert_eq!((thread.post.reply_count, thread.replies[0].id()), (24, replies[1]));
    assert_eq!(world.anyone.post(root.id).await.unwrap().reply_count, 0);
    assert_eq!(refused(ann.thread(answer.id).await), Code::Gone);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bare_repost_twice_is_the_same_one_and_a_quote_is_not() {
    let world = World::new().await;
    let [ann, bob] = world.people(["ann", "bob"]).await;
    let post = ann.say("hello").await.unwrap();
    let bare = NewPost { repost_of: Some(post.id), ..NewPost::default() };
    let first = bob.publish(&bare, None).await.unwrap();
    assert!(first.created && first.post.text.is_empty());
    let original = first.post.repost_of.unwrap();
    assert_eq!((original.id, original.repost_count, original.reposted), (post.id, 1, true));
    let second = bob.publish(&bare, None).await.unwrap();
    assert_eq!((second.created, second.post.id), (false, first.post.id));
    // A repost of the repost is one of what stands behind it.
    let of_repost = NewPost { repost_of: Some(first.post.id), ..NewPost::default() };
    assert_eq!(bob.publish(&of_repost, None).await.unwrap().post.id, first.post.id);
    let by_ann = ann.publish(&of_repost, None).await.unwrap().post;
    assert_eq!(by_ann.repost_of.unwrap().id, post.id);
    let quotes = [bob.repost(post.id, "a").await.unwrap(), bob.repost(post.id, "a").await.unwrap()];
    assert_ne!(quotes[0].id, quotes[1].id);
    assert_eq!(world.anyone.post(post.id).await.unwrap().repost_count, 4);
    // Undo is deletion; then it can be passed on again.
    bob.delete_post(first.post.id).await.unwrap();
    let seen = bob.post(post.id).await.unwrap();
    assert_eq!((seen.repost_count, seen.reposted), (3, false));
    let again = bob.publish(&bare, None).await.unwrap();
    assert!(again.created && again.post.id != first.post.id);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_bare_reposts_at_once_are_one() {
    let world = World::new().await;
    let [ann, bob] = world.people(["ann", "bob"]).await;
    let post = ann.say("hello").await.unwrap();
    let made: Vec<_> = (0..16)
        .map(|_| {
            let (bob, of) = (bob.clone(), post.id);
            tokio::spawn(async move { bob.repost(of, "").await.unwrap().id })
        })
        .collect();
    let mut seen = Vec::new();
    for one in made {
        seen.push(one.await.unwrap());
    }
    seen.dedup();
    assert_eq!(seen.len(), 1);
    assert_eq!(world.anyone.post(post.id).await.unwrap().repost_count, 1);
    assert_eq!(bob.me().await.unwrap().posts_count, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn likes_are_idempotent_and_listed_latest_first() {
    let mut world = World::new().await;
    let mut ann = world.person("ann").await;
    let fans: [Person; 5] = world.people(["a", "b", "c", "d", "e"]).await;
    let post = ann.say("hello").await.unwrap();
    for (number, fan) in fans.iter().enumerate() {
        for _ in 0..2 {
            let liked = fan.like(post.id).await.unwrap();
            assert_eq!((liked.like_count, liked.liked), (number as u64 + 1, true));
        }
    }
    let likers = async |world: &World| {
        let read = async |cursor: Option<String>| world.anyone.likes(post.id, Paging::at(2, cursor.as_deref())).await;
        all_pages(read, 2).await.into_iter().map(|user| user.handle).collect::<Vec<_>>()
    };
    assert_eq!(likers(&world).await, ["e", "d", "c", "b", "a"]);
    for _ in 0..2 {
        let unliked = fans[1].unlike(post.id).await.unwrap().into_post().unwrap();
        assert_eq!((unliked.like_count, unliked.liked), (4, false));
    }
    world.restart(&mut [&mut ann]).await;
    assert_eq!(likers(&world).await, ["e", "d", "c", "a"]);
    assert_eq!(ann.post(post.id).await.unwrap().like_count, 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn likes_and_follows_that_race_are_counted_once() {
    let world = World::new().await;
    let [ann, bob] = world.people(["ann", "bob"]).await;
    let post = ann.say("hello").await.unwrap();
    for round in 0..8 {
        let racing: Vec<_> = (0..12)
            .map(|number| {
                let (bob, ann, post) = (bob.clone(), ann.id, post.id);
                tokio::spawn(async move {
                    match (number + round) % 4 {
                        0 => drop(bob.like(post).await.unwrap()),
                        1 => drop(bob.unlike(post).await.unwrap()),
                        2 => drop(bob.follow(ann).await.unwrap()),
                        _ => drop(bob.unfollow(ann).await.unwrap()),
                    }
                })
            })
            .collect();
        for one in racing {
            one.await.unwrap();
        }
        let seen = bob.post(post.id).await.unwrap();
        let listed = bob.likes(post.id, Paging::default()).await.unwrap().items.len() as u64;
        assert_eq!((seen.like_count, u64::from(seen.liked)), (listed, listed));
        let user = bob.user("@ann").await.unwrap();
        let listed = bob.followers(ann.id, Paging::default()).await.unwrap().items.len() as u64;
        assert_eq!((user.followers_count, u64::from(user.relationship.unwrap().following)), (listed, listed));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_post_is_gone_for_everyone_and_from_everything() {
    let mut world = World::new().await;
    let [mut ann, mut bob] = world.people(["ann", "bob"]).await;
    let post = ann.say("hello @bob").await.unwrap();
    let repost = bob.repost(post.id, "").await.unwrap();
    let quote = bob.repost(post.id, "look").await.unwrap();
    let reply = bob.reply(post.id, "yes").await.unwrap();
    assert_eq!(refused(bob.delete_post(post.id).await), Code::Forbidden);
    assert_eq!(refused(ann.delete_post(Id(5)).await), Code::NotFound);
    ann.delete_post(post.id).await.unwrap();
    for round in 0..2 {
        for caller in [&*ann, &*bob, &world.anyone] {
            assert_eq!(refused(caller.post(post.id).await), Code::Gone);
            assert_eq!(refused(caller.likes(post.id, Paging::default()).await), Code::Gone);
            assert_eq!(refused(caller.thread(post.id).await), Code::Gone);
            assert_eq!(ids(&caller.replies(post.id, Paging::default()).await.unwrap().items), [reply.id]);
            assert_eq!(refused(caller.post(repost.id).await), Code::Gone, "reposts of it too");
            let quote = caller.post(quote.id).await.unwrap();
            assert_eq!((quote.text.as_str(), quote.repost_of, quote.repost_gone), ("look", None, true));
        }
        assert_eq!(refused(ann.delete_post(post.id).await), Code::Gone);
        assert_eq!(refused(bob.like(post.id).await), Code::Gone);
        assert_eq!(refused(bob.reply(post.id, "but").await), Code::Gone);
        assert_eq!(refused(bob.repost(post.id, "").await), Code::Gone);
        assert!(bob.notifications(Paging::default()).await.unwrap().items.is_empty());
        let news = ann.notifications(Paging::default()).await.unwrap();
        assert_eq!((news.items.len(), news.unread_count), (2, 2), "the reply and the quote are still there");
        assert_eq!(ann.me().await.unwrap().posts_count, 0);
        assert_eq!(bob.post(reply.id).await.unwrap().reply_to, Some(post.id));
        assert_eq!(ids(&bob.posts_of(bob.id, Paging::default()).await.unwrap().items), [reply.id, quote.id]);
        assert_eq!(bob.me().await.unwrap().posts_count, 2);
        assert_eq!(refused(bob.delete_post(repost.id).await), Code::Gone);
        if round == 0 {
            world.restart(&mut [&mut ann, &mut bob]).await;
        }
    }
    // What quotes nothing any more is a post like others.
    assert_eq!(ann.repost(quote.id, "").await.unwrap().repost_of.unwrap().text, "look");
    bob.delete_post(quote.id).await.unwrap();
    assert_eq!(bob.me().await.unwrap().posts_count, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn very_long_posts_at_once_are_cut_into_several_commits() {
    let world = World::with(|settings| {
        settings.posts.text_max = 100_000;
        settings.http.body_memory_bytes_max = 1 << 30;
    })
    .await;
    let ann = world.person("ann").await;
    let text = "\u{1F600}\"".repeat(45_000);
    let asked: Vec<_> = (0..150)
        .map(|_| {
            let (ann, text) = (ann.clone(), text.clone());
            tokio::spawn(async move { ann.say(&text).await })
        })
        .collect();
    for one in asked {
        one.await.unwrap().unwrap();
    }
    ann.say("and writes go on").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_public_timeline_has_posts_and_quotes_of_everybody() {
    let world = World::new().await;
    let [ann, bob] = world.people(["ann", "bob"]).await;
    let mut expected = Vec::new();
    for number in 0..11 {
        let post = ann.say(&format!("{number}")).await.unwrap();
        bob.reply(post.id, "reply").await.unwrap();
        bob.repost(post.id, "").await.unwrap();
        expected.push(post.id);
        if number % 3 == 0 {
            expected.push(bob.repost(post.id, "quote").await.unwrap().id);
        }
    }
    expected.reverse();
    let read = async |cursor: Option<String>| world.anyone.public_posts(Paging::at(3, cursor.as_deref())).await;
    assert_eq!(ids(&all_pages(read, 3).await), expected);
    bob.mute(ann.id).await.unwrap();
    let carl = world.person("carl").await;
    carl.mute(ann.id).await.unwrap();
    for muter in [&bob, &carl] {
        let quotes = muter.public_posts(Paging::default()).await.unwrap().items;
        assert_eq!(quotes.len(), 4, "quotes of the muted stay, one's own too");
        assert!(quotes.iter().all(|quote| quote.text == "quote" && quote.repost_of.is_none() && quote.repost_hidden));
    }
    for wrong in ["/v1/posts", "/v1/posts?scope=private"] {
        assert_eq!(problem_of(&raw(&world.anyone, "GET", wrong, &[], "").await).errors[0].field, "scope");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeated_key_answers_the_first_result_also_after_a_restart() {
    let mut world = World::new().await;
    let [mut ann, mut bob] = world.people(["ann", "bob"]).await;
    let first = ann.publish(&text("once"), Some("key")).await.unwrap();
    assert!(first.created && !first.replayed);
    bob.like(first.post.id).await.unwrap();
    for round in 0..2 {
        let again = ann.publish(&text("once"), Some("key")).await.unwrap();
        assert!(again.created && again.replayed);
        assert_eq!(again.post, first.post, "the first result");
        assert_eq!(refused_field(ann.publish(&text("twice"), Some("key")).await), "Idempotency-Key");
        assert_eq!(ann.me().await.unwrap().posts_count, 1);
        if round == 0 {
            world.restart(&mut [&mut ann, &mut bob]).await;
        }
    }
    // Keys belong to their caller.
    let other = bob.publish(&text("twice"), Some("key")).await.unwrap();
    assert!(other.created && !other.replayed);
    for key in ["", "tab\tin it", &"k".repeat(256)] {
        let headers = [("idempotency-key", key), ("content-type", "application/json")];
        let answer = raw(&ann, "POST", "/v1/posts", &headers, r#"{"text": "a"}"#).await;
        assert_eq!(problem_of(&answer).errors[0].field, "Idempotency-Key");
    }
    // What was refused is not remembered.
    assert_eq!(refused_field(ann.publish(&text(""), Some("new")).await), "text");
    assert!(ann.publish(&text("now"), Some("new")).await.unwrap().created);
    // A bare repost that was there before has a key too.
    let bare = NewPost { repost_of: Some(first.post.id), ..NewPost::default() };
    let passed_on = bob.publish(&bare, Some("bare")).await.unwrap();
    let again = bob.publish(&bare, Some("bare")).await.unwrap();
    assert_eq!((again.post.id, again.replayed), (passed_on.post.id, true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_forgotten_after_a_day() {
    let clock = fanfare::base::clock::Clock::system();
    let now_ms = clock.now_ms();
    let world = World::at(fanfare::base::clock::Clock::by_hand(now_ms), |_| ()).await;
    let ann = world.person("ann").await;
    let first = ann.publish(&text("once"), Some("key")).await.unwrap().post;
    world.set_clock(now_ms + 86_000_000);
    assert_eq!(ann.publish(&text("once"), Some("key")).await.unwrap().post.id, first.id);
    world.set_clock(now_ms + 87_000_000);
    assert_ne!(ann.publish(&text("once"), Some("key")).await.unwrap().post.id, first.id);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_key_at_once_makes_one_post() {
    let world = World::new().await;
    let ann = world.person("ann").await;
    let mut conflicts = 0;
    for round in 0..20 {
        let key = format!("key {round}");
        let at_once: Vec<_> = (0..8)
            .map(|_| {
                let (ann, key) = (ann.clone(), key.clone());
                tokio::spawn(async move { ann.publish(&text("once"), Some(&key)).await })
            })
            .collect();
        let (mut made, mut fresh) = (Vec::new(), 0);
        for one in at_once {
            match one.await.unwrap() {
                Ok(published) => {
                    fresh += u64::from(!published.replayed);
                    made.push(published.post.id);
                }
                refusal => {
                    assert_eq!(refused(refusal), Code::Conflict);
                    conflicts += 1;
                }
            }
        }
        made.dedup();
        assert_eq!((made.len(), fresh), (1, 1));
    }
    assert_eq!(ann.me().await.unwrap().posts_count, 20);
    assert!(conflicts > 0, "while the first still runs the answer is 409");
}
