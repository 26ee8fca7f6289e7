//! Takeovers from heads of long ago: rows that were removed since are written again, and none of them stays.

use std::net::{IpAddr, Ipv4Addr};

use fanfare::base::clock::Clock;
use fanfare::base::handle::Handle;
use fanfare::data::audit::{Actor, Operator};
use fanfare::data::tables;
use fanfare::log::events::IdempotencyKey;
use fanfare::posts::service::Publication;
use fanfare_engines::{Position, RowKey};
use fanfare_protocol::{Id, NewPost, NewSuspension, Timestamp};

use super::{Ground, Life};

const START_MS: u64 = 1_893_456_000_000;
const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 60 * MINUTE_MS;
/// Everything that expires has, lines of the audit too.
const LATER_MS: u64 = 450 * 24 * HOUR_MS;
const OPERATOR: Operator = Operator { actor: Actor::Token, address: IpAddr::V4(Ipv4Addr::LOCALHOST) };

async fn person(life: &Life, name: &str) -> Id {
    let now_ms = life.app.core().clock.now_ms();
    life.app.users().create(&Handle::parse(name).unwrap(), None, None, now_ms).await.unwrap().row.id
}

async fn say(life: &Life, author: Id, new: NewPost) -> Id {
    let said = life.app.posts().publish(author, new, None).await.unwrap();
    let Publication::New(post) = said else { panic!("it was said before: {said:?}") };
    post.id
}

fn text(text: &str) -> NewPost {
    NewPost { text: text.to_owned(), ..NewPost::default() }
}

/// Some of everything that leaves rows which are removed later.
async fn story(life: &Life, clock: &Clock) {
    let (app, mut people) = (&life.app, Vec::new());
    for name in ["ann", "bob", "cid"] {
        people.push(person(life, name).await);
    }
    let [ann, bob, cid] = people[..] else { unreachable!() };
    for (from, to) in [(bob, ann), (ann, cid), (bob, cid), (cid, ann)] {
        app.follows().follow(from, to).await.unwrap();
    }
    for round in 0..2 {
        let post = say(life, ann, text(&format!("hello @bob, {round}"))).await;
        let kept = say(life, bob, NewPost { reply_to: Some(post), ..text("yes") }).await;
        let again = say(life, cid, NewPost { reply_to: Some(kept), ..text("no") }).await;
        say(life, bob, NewPost { repost_of: Some(post), ..NewPost::default() }).await;
        for fan in [bob, cid] {
            app.posts().like(fan, post).await.unwrap();
        }
        // Less than storage waits before it forgets.
        clock.pass(4 * MINUTE_MS);
        app.posts().delete(cid, again).await.unwrap();
        app.posts().delete(ann, post).await.unwrap();
        let key = IdempotencyKey {
            caller: ann,
            route: "POST /v1/posts".to_owned(),
            key: round.to_string(),
            body_hash: "ab".to_owned(),
        };
        app.posts().publish(ann, text(&format!("once, {round}")), Some(key)).await.unwrap();
        app.posts().like(cid, kept).await.unwrap();
        life.clean().await;
    }
    let until = Some(Timestamp(clock.now_ms() + 2 * HOUR_MS));
    app.acts().suspend(&OPERATOR, bob, NewSuspension { reason: "spam".to_owned(), until }).await.unwrap();
    app.users().delete(cid).await.unwrap();
    life.clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_takeover_from_any_earlier_head_leaves_nothing_behind() {
    let (ground, clock) = (Ground::new(|_| ()), Clock::by_hand(START_MS));
    let life = ground.start(clock.clone()).await;
    story(&life, &clock).await;
    let left = ground.rows().await;
    for table in [tables::EXPIRY, tables::AUTHOR_DELETIONS, tables::DELETERS, tables::DEPARTURES, tables::IDEMPOTENCY] {
        assert!(left.keys().any(|key| key.table == table), "the story leaves rows in {}", table.name);
    }
    let heads = ground.positions().await;
    assert!(heads.len() > 30, "{}", heads.len());
    clock.pass(LATER_MS);
    life.clean().await;
    life.clean().await;
    life.stop().await;
    let expected = ground.rows().await;
    assert!(expected.keys().all(|key| key.table != tables::EXPIRY && key.table != tables::AUTHOR_DELETIONS));
    for (times, head) in (0..).zip(heads.iter().step_by(5)) {
        let again = taken_over(&ground, &clock, *head, times).await;
        let more: Vec<&RowKey> = again.keys().filter(|key| !expected.contains_key(*key)).collect();
        assert!(again == expected, "from {head:?}: {more:?}");
    }
}

/// Rows after a takeover from `head` and a while.
async fn taken_over(
    ground: &Ground,
    clock: &Clock,
    head: Position,
    times: u64,
) -> std::collections::BTreeMap<RowKey, bytes::Bytes> {
    ground.put_head_back(head, times).await;
    let life = ground.start(clock.clone()).await;
    clock.pass(5 * HOUR_MS);
    life.clean().await;
    life.stop().await;
    ground.rows().await
}
