//! Codes: aliases and those that the server gives, through restarts and restored copies.

use std::collections::HashSet;
use std::sync::Arc;

use fanfare::base::clock::Clock;
use fanfare::data::tables;
use fanfare::links::code::Codes;
use fanfare::links::keeper::Keeper;
use fanfare::links::unclaimed::Unclaimed;
use fanfare_engines::random::Random;
use fanfare_protocol::{Code, NewLink};
use futures_util::FutureExt as _;
use futures_util::future::join_all;

use super::{follow, led, made, named};
use crate::world::{Person, World, refused, refused_field};

const URL: &str = "https://example.com/page";

/// Codes of a server, by its key.
async fn codes_of(world: &World) -> Codes {
    let row = tables::link_keeper_row(b"key");
    let key = world.app().core().store.get(&row).await.unwrap().unwrap();
    Codes::new(&key[..].try_into().unwrap())
}

async fn many(person: &Person, count: usize) -> Vec<String> {
    let mut codes = Vec::with_capacity(count);
    while codes.len() < count {
        let some = join_all((0..50.min(count - codes.len())).map(|_| person.shorten(URL))).await;
        codes.extend(some.into_iter().map(|link| link.unwrap().code));
    }
    codes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alias_is_what_was_asked_for_or_nothing() {
    let world = World::new().await;
    let [ann, bob] = world.people(["ann", "bob"]).await;
    for alias in ["rest", "Rest", "-", "_", "a", "v2", &"x".repeat(64)] {
        assert_eq!(made(&ann, &named(URL, alias)).await.code, alias);
        assert_eq!(led(&follow(&bob, alias).await), (302, URL), "{alias}");
        assert_eq!(refused(bob.make_link(&named(URL, alias), None).await), Code::Conflict, "{alias}");
    }
    for alias in ["", "a b", "ä", "a/b", "a.b", "v1", "V1", "s", "healthz", "docs", &"x".repeat(65)] {
        assert_eq!(refused_field(ann.make_link(&named(URL, alias), None).await), "alias", "{alias}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_skips_codes_that_are_aliases_and_finds_those_that_it_never_gave() {
    let mut world = World::new().await;
    let mut ann = world.person("ann").await;
    let codes = codes_of(&world).await;
    let last = codes.number(&ann.shorten(URL).await.unwrap().code).unwrap();
    // Those that come next, and some that come much later.
    let ahead: Vec<u64> = (last + 1..last + 8).chain([last + 5_000_000, 900_000_000]).collect();
    for number in &ahead {
        made(&ann, &named(URL, &codes.code(*number).unwrap())).await;
    }
    let given: Vec<u64> = many(&ann, 20).await.iter().map(|code| codes.number(code).unwrap()).collect();
    assert!(given.iter().all(|number| !ahead.contains(number)), "{given:?}");
    assert!(given.contains(&(last + 8)) && given.iter().max() < Some(&(last + 60)), "{given:?}");
    for round in 0..2 {
        for number in &ahead {
            assert_eq!(led(&follow(&ann, &codes.code(*number).unwrap()).await), (302, URL), "{number} in {round}");
        }
        for number in [last + 5_000_001, 900_000_001] {
            assert_eq!(follow(&ann, &codes.code(number).unwrap()).await.status, 404);
        }
        world.restart(&mut [&mut ann]).await;
    }
}

/// The handle of an alias that was left by a crash goes to whoever asks next, and the crashed one comes too late.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alias_that_was_taken_for_no_link_is_given_to_whoever_asks_next() {
    let world = World::new().await;
    let [ann, bob] = world.people(["ann", "bob"]).await;
    let core = world.app().core();
    let claim = core.log.mint().await.unwrap();
    let value = fanfare::data::rows::claim_value(claim, ann.id);
    core.store.insert_unique(tables::link_claim_row("left"), value, claim.0).await.unwrap();
    made(&bob, &named(URL, "left")).await;
    let row = fanfare::data::rows::LinkRow { owner: ann.id, url: URL.to_owned(), ..Default::default() };
    let (code, claim) = ("left".to_owned(), Some(claim));
    let event = fanfare::log::events::Event::LinkCreated { code, claim, link: row, number: None };
    let guard = core.log.decide(ann.id, &[]).await.unwrap();
    assert!(core.log.commit(&guard, event).await.is_err(), "it was given to somebody else");
    assert_eq!(bob.link("left").await.unwrap().url, URL);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_code_is_given_out_twice_through_restarts_and_a_copy_that_is_put_back() {
    let mut world = World::new().await;
    let mut ann = world.person("ann").await;
    let mut given: HashSet<String> = HashSet::new();
    let mut add = |codes: Vec<String>| {
        for code in codes {
            assert!(given.insert(code.clone()), "{code} comes again");
        }
    };
    add(many(&ann, 150).await);
    world.restart(&mut [&mut ann]).await;
    add(many(&ann, 150).await);
    world.stop().await;
    let (folder, copy) = (world.folder().to_owned(), tempfile::tempdir().unwrap());
    let copied = |from: &std::path::Path, to: &std::path::Path| {
        let done = std::process::Command::new("cp").arg("-a").arg(from.join(".")).arg(to).status().unwrap();
        assert!(done.success());
    };
    copied(&folder, copy.path());
    world.start_at(Clock::system(), &mut [&mut ann]).await;
    add(many(&ann, 400).await);
    for _ in 0..3 {
        world.restart(&mut [&mut ann]).await;
        add(many(&ann, 50).await);
    }
    world.stop().await;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { std::fs::remove_dir_all(path).unwrap() } else { std::fs::remove_file(path).unwrap() }
    }
    copied(copy.path(), &folder);
    world.start_at(Clock::system(), &mut [&mut ann]).await;
    add(many(&ann, 400).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reserved_aliases_are_the_first_segments_of_all_routes() {
    let world = World::new().await;
    let document = world.anyone.openapi().await.unwrap();
    let paths = document["paths"].as_object().unwrap().keys();
    let firsts: HashSet<&str> = paths.filter_map(|path| path.split('/').nth(1)).collect();
    assert!(firsts.len() >= 5, "{firsts:?}");
    let ann = world.person("ann").await;
    for first in firsts.iter().filter(|first| !first.contains(['.', '{'])).chain(&["docs", "demo"]) {
        assert_eq!(refused_field(ann.make_link(&named(URL, first), None).await), "alias", "{first}");
    }
    drop(made(&ann, &NewLink::to(URL)).await);
}

/// Codes of five characters that were given out, a bit each.
struct Given(Vec<u64>);

impl Given {
    fn take(&mut self, code: &str) {
        let value = |digit: u8| match digit {
            b'0'..=b'9' => digit - b'0',
            b'A'..=b'Z' => digit - b'A' + 10,
            _ => digit - b'a' + 36,
        };
        assert_eq!(code.len(), 5, "{code}");
        let place = code.bytes().fold(0, |place, digit| place * 62 + usize::from(value(digit)));
        let (word, bit) = (&mut self.0[place / 64], 1 << (place % 64));
        assert!(*word & bit == 0, "{code} comes again");
        *word |= bit;
    }
}

/// Waits for `asked` while a second passes with every tick: numbers are given out no faster than so many a second.
async fn while_time_passes<T>(clock: &Clock, asked: impl Future<Output = T>) -> T {
    let mut asked = std::pin::pin!(asked);
    // Nearly always it is there: a timer of its own would take a millisecond each.
    if let Some(answer) = asked.as_mut().now_or_never() {
        return answer;
    }
    let mut tick = tokio::time::interval(std::time::Duration::from_millis(1));
    tick.tick().await;
    loop {
        tokio::select! {
            biased;
            answer = &mut asked => return answer,
            _ = tick.tick() => clock.pass(1_000),
        }
    }
}

/// Four nodes over the same rows take turns of random length; now and then one is killed, its block with it, and
/// begins anew.
async fn nodes_give_out(count: usize, turn_max: u64) {
    let clock = Clock::stand_in(Clock::system().now_ms());
    let world = World::at(clock.clone(), |_| ()).await;
    let node = async || Keeper::open(world.app().core().clone(), Arc::new(Unclaimed::default()), false).await.unwrap();
    let mut nodes = Vec::new();
    for _ in 0..4 {
        nodes.push(node().await);
    }
    let (mut random, mut given) = (Random::new(1), Given(vec![0; 62_usize.pow(5).div_ceil(64)]));
    let (mut made, mut starts, mut told) = (0, 0, 0);
    while made < count {
        if made >= told + 1_000_000 {
            told = made;
            eprintln!("{made} of {count} codes, {starts} starts");
        }
        let number = random.below(4) as usize;
        if random.below(20) == 0 {
            nodes[number] = node().await;
            starts += 1;
        }
        for _ in 0..random.below(turn_max) + 1 {
            given.take(&while_time_passes(&clock, nodes[number].next()).await.unwrap());
            made += 1;
        }
    }
    assert!(starts > 0, "no node was killed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_nodes_never_give_out_the_same_code() {
    nodes_give_out(100_000, 1_000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes a while: make soak runs it"]
async fn long_ten_million_codes_of_several_nodes_are_all_different() {
    nodes_give_out(10_000_000, 20_000).await;
}
