//! The judge judged: a sound history passes, and every way of breaking it is named.

use fanfare_protocol::{Gap, Id, NotificationKind, Reset, ResetReason, Stream, Transport};

use crate::checker::check;
use crate::history::{Act, Heard, History, Listed, Target};

const ALICE: usize = 0;
const BOB: usize = 1;
const CARL: usize = 2;

fn plain() -> Act {
    Act::Post { reply_to: None, repost_of: None }
}

fn did(history: &mut History, who: usize, act: Act, made: Option<u64>) {
    let op = history.begin(who, act);
    history.end(op, true, made.map(Id));
}

fn post(id: u64) -> Heard {
    Heard::Post { id: Id(id), pushed: true }
}

fn like(id: u64) -> Heard {
    let (kind, actor, post) = (NotificationKind::Like, Id(101), Some(Id(5)));
    Heard::Notice { id: Id(id), kind, actor, post, pushed: true }
}

/// Alice's device; she follows Bob, not Carl. Bob posts 10, 11, 12, deletes 11, likes her post 5 (13, then 16); Carl
/// posts 14.
fn sound() -> History {
    let mut history = History { people: vec![Id(100), Id(101), Id(102)], owners: vec![ALICE], ..History::default() };
    did(&mut history, ALICE, Act::Follow(BOB, true), None);
    did(&mut history, ALICE, plain(), Some(5));
    history.hear(0, Heard::Before(vec![]));
    history.hear(0, Heard::Opened { transport: Transport::Sse, resumed: false });
    for id in 10..13 {
        did(&mut history, BOB, plain(), Some(id));
    }
    did(&mut history, CARL, plain(), Some(14));
    did(&mut history, BOB, Act::Like(Target { post: Id(5), author: ALICE }, true), None);
    did(&mut history, BOB, Act::Like(Target { post: Id(5), author: ALICE }, true), None);
    history.hear(0, like(13));
    history.hear(0, post(10));
    history.hear(0, post(11));
    history.hear(0, Heard::Opened { transport: Transport::Websocket, resumed: true });
    history.hear(0, post(12));
    did(&mut history, BOB, Act::Delete(Id(11)), None);
    history.hear(0, Heard::Deleted { key: "15".into(), post: Id(11) });
    history.hear(0, like(16));
    history.notifications =
        vec![Some(vec![Listed { id: Id(16), actor: Id(101) }, Listed { id: Id(13), actor: Id(101) }])];
    history.feeds = vec![Some(vec![Id(12), Id(10), Id(5)])];
    history
}

/// Verdict of the judge when the device heard this in another way.
fn verdict(change: impl FnOnce(&mut Vec<Heard>)) -> String {
    let mut history = sound();
    let mut heard: Vec<Heard> = history.heard.iter().map(|entry| entry.heard.clone()).collect();
    let ticks: Vec<u64> = history.heard.iter().map(|entry| entry.tick).collect();
    change(&mut heard);
    let first = history.heard[0].clone();
    let last = ticks[ticks.len() - 1];
    history.heard = heard
        .into_iter()
        .enumerate()
        .map(|(at, heard)| crate::history::Entry {
            tick: ticks.get(at).copied().unwrap_or(last + at as u64),
            heard,
            ..first.clone()
        })
        .collect();
    check(&history).join("\n")
}

fn at(heard: &[Heard], wanted: &Heard) -> usize {
    heard.iter().position(|one| one == wanted).unwrap()
}

#[test]
fn a_sound_history_passes() {
    assert_eq!(check(&sound()), Vec::<String>::new());
    assert_eq!(verdict(|_| ()), "");
}

#[test]
fn every_lost_item_is_named() {
    for lost in [10, 12] {
        let said = verdict(|heard| heard.retain(|one| *one != post(lost)));
        assert!(said.contains(&format!("lost post {lost} ")), "{lost}: {said}");
    }
    let said = verdict(|heard| heard.retain(|one| !matches!(one, Heard::Deleted { .. })));
    assert!(said.contains("lost the deletion of post 11"), "{said}");
    for lost in [13, 16] {
        let said = verdict(|heard| heard.retain(|one| *one != like(lost)));
        assert!(said.contains(&format!("lost notification {lost}")), "{said}");
    }
}

#[test]
fn every_doubled_item_is_named_unless_the_application_forgot() {
    for double in [post(10), like(13), Heard::Deleted { key: "15".into(), post: Id(11) }] {
        assert!(verdict(|heard| heard.push(double.clone())).contains("is doubled"), "{double:?}");
    }
    assert_eq!(verdict(|heard| heard.extend([Heard::Restarted, post(12)])), "");
}

#[test]
fn what_comes_out_of_order_is_named() {
    let said = verdict(|heard| {
        let (one, other) = (at(heard, &post(10)), at(heard, &post(12)));
        heard.swap(one, other);
    });
    assert!(said.contains("post 11 comes after 12") && said.contains("post 10 comes after 12"), "{said}");
    let said = verdict(|heard| {
        let (one, other) = (at(heard, &like(13)), at(heard, &like(16)));
        heard.swap(one, other);
    });
    assert!(said.contains("notification 13 comes after 16"), "{said}");
    let (from_before, older) = ([Heard::Restarted, post(12), post(10)], [Heard::Restarted, post(99), post(14)]);
    assert_eq!(verdict(|heard| heard.extend(from_before)), "", "it has them stored");
    assert!(verdict(|heard| heard.extend(older)).contains("post 14 comes after 99"));
    let said = verdict(|heard| {
        let deletion = heard.remove(heard.len() - 2);
        heard.insert(at(heard, &post(11)), deletion);
    });
    assert!(said.contains("post 11 comes after its deletion"), "{said}");
}

#[test]
fn what_is_not_for_the_reader_is_named() {
    assert!(verdict(|heard| heard.push(post(14))).contains("post 14 is not for this reader"));
    assert!(verdict(|heard| heard.push(post(99))).contains("post 99 is nobody's"));
    let other = Heard::Deleted { key: "20".into(), post: Id(10) };
    assert!(verdict(|heard| heard.push(other)).contains("post 10 is said to be deleted and is not"));
    let (kind, actor, post) = (NotificationKind::Follow, Id(101), None);
    let follow = Heard::Notice { id: Id(20), kind, actor, post, pushed: true };
    assert!(verdict(|heard| heard.push(follow)).contains("is of nothing that happened"));
}

#[test]
fn who_shows_an_account_that_is_gone_is_named_and_so_is_who_hears_of_a_strangers() {
    let judge = |heard: &[Heard], leaver: usize| {
        let mut history = sound();
        did(&mut history, leaver, Act::Leave, None);
        heard.iter().for_each(|one| history.hear(0, one.clone()));
        history.feeds = vec![];
        check(&history).join("\n")
    };
    let gone = |user: u64| Heard::Departed { key: "20".into(), user: Id(user) };
    assert_eq!(judge(&[gone(101)], BOB), "");
    let said = judge(&[], BOB);
    assert!(said.contains("shows post 10 of 1") && said.contains("shows post 12 of 1"), "{said}");
    assert!(judge(&[gone(101), gone(101)], BOB).contains("departure 20 is doubled"));
    assert!(judge(&[gone(101), post(12)], BOB).contains("post 12 comes after its author left"));
    assert!(judge(&[gone(102)], CARL).contains("that 2 left is not for this reader"));
    assert!(verdict(|heard| heard.push(gone(101))).contains("101 is said to have left and has not"));
}

#[test]
fn gaps_and_resets_need_a_reason_and_the_refetch_must_make_them_whole() {
    let gap = Gap { stream: Stream::Posts, after: Id(10), before: Id(12), count: 1 };
    let said = verdict(|heard| heard.push(Heard::Gap(gap.clone())));
    assert!(said.contains("a gap without a reason"), "{said}");
    let said = verdict(|heard| heard.extend([Heard::MayGap(Stream::Posts), Heard::Gap(gap.clone())]));
    assert_eq!(said, "");
    let reset = Reset { streams: Stream::ALL.to_vec(), reason: ResetReason::Slow };
    let said = verdict(|heard| heard.push(Heard::Reset(reset.clone())));
    assert!(said.contains("a reset without a reason") && said.contains("lost post 10"), "{said}");
    let refetched = |id| Heard::Post { id: Id(id), pushed: false };
    let whole = [Heard::MayReset, Heard::Reset(reset), refetched(10), refetched(12), like(13), like(16)];
    assert_eq!(verdict(|heard| heard.extend(whole)), "");
    let closed = Heard::Opened { transport: Transport::Sse, resumed: false };
    assert!(verdict(|heard| heard.push(closed)).contains("did not resume"));
}

#[test]
fn the_oracle_is_held_against_the_feed_of_the_server() {
    let mut history = sound();
    history.feeds = vec![Some(vec![Id(14), Id(12), Id(5)])];
    let said = check(&history).join("\n");
    assert!(said.contains("10 expected true") && said.contains("14 expected false"), "{said}");
}
