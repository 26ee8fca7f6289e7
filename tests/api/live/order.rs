//! The published example over the API, passes that last, and who sees what.

use std::collections::HashMap;

use fanfare::base::clock::Clock;
use fanfare_client::Paging;
use fanfare_protocol::{Code, Id};

use super::{announce, at, page, word};
use crate::world::{Person, World, json, refused};

/// A minute of the example, which is over within a day.
const MINUTE_MS: u64 = 60_000;

/// History of the example's sessions: minute, session, whether it begins.
const HAPPENS: [(u64, &str, bool); 10] = [
    (10, "3", true),
    (40, "3", false),
    (45, "5", true),
    (61, "1", true),
    (75, "5", false),
    (82, "4", true),
    (95, "4", false),
    (100, "1", false),
    (120, "2", true),
    (140, "2", false),
];

/// A world in which the example goes on.
struct Example {
    world: World,
    start_ms: u64,
    hosts: HashMap<&'static str, Person>,
    sessions: HashMap<&'static str, (&'static str, Id)>,
    reader: Person,
    happened: usize,
}

impl Example {
    async fn new() -> Self {
        let start_ms = Clock::system().now_ms();
        let world = World::at(Clock::by_hand(start_ms), |settings| settings.live.pages_s = 36_000).await;
        let reader = world.person("reader").await;
        let (mut hosts, mut sessions) = (HashMap::new(), HashMap::new());
        for handle in ["a", "b", "c", "d"] {
            let host = world.person(handle).await;
            reader.follow(host.id).await.unwrap();
            hosts.insert(handle, host);
        }
        for (title, host, planned) in [("1", "a", 60), ("2", "a", 120), ("3", "c", 10), ("4", "b", 80), ("5", "d", 45)]
        {
            let made = hosts[host].announce_live(title, at(start_ms, planned * MINUTE_MS), None).await.unwrap();
            sessions.insert(title, (host, made.id));
        }
        Self { world, start_ms, hosts, sessions, reader, happened: 0 }
    }

    /// Goes on to a minute.
    async fn go_to(&mut self, minute: u64) {
        while let Some((when, title, begins)) = HAPPENS.get(self.happened).filter(|(when, ..)| *when <= minute) {
            self.world.set_clock(self.start_ms + when * MINUTE_MS);
            let (host, id) = self.sessions[title];
            match begins {
                true => self.hosts[host].start_live(id).await.unwrap(),
                false => self.hosts[host].end_live(id, None).await.unwrap(),
            };
            self.happened += 1;
        }
        self.world.set_clock(self.start_ms + minute * MINUTE_MS);
    }

    async fn restart(&mut self) {
        let mut people: Vec<&mut Person> = self.hosts.values_mut().chain([&mut self.reader]).collect();
        self.world.restart(&mut people).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn first_pages_of_the_published_example() {
    let mut example = Example::new().await;
    for (minute, order) in
        [(20, "3l 5u 1u 4u 2u"), (50, "5l 1u 4u 2u 3r"), (90, "4l 1l 2u 5r 3r"), (150, "2r 1r 4r 5r 3r")]
    {
        example.go_to(minute).await;
        assert_eq!(page(&example.reader, 10, None).await, (order.to_owned(), None), "minute {minute}");
        let hosts = &example.hosts;
        let of_a = hosts["b"].live_of(hosts["a"].id, Paging::first(10)).await.unwrap();
        let expected: Vec<_> = order.split(' ').filter(|word| word.starts_with(['1', '2'])).collect();
        assert_eq!(of_a.items.iter().map(word).collect::<Vec<_>>(), expected, "one host's, without following");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_agree_with_the_first_one_whatever_happens_between_and_through_a_restart() {
    let mut example = Example::new().await;
    example.go_to(20).await;
    let (one, mut cursor) = page(&example.reader, 2, None).await;
    example.go_to(90).await;
    let (other_one, other_cursor) = page(&example.reader, 2, None).await;
    example.go_to(150).await;
    example.restart().await;
    let mut pages = vec![one];
    while let Some(at) = cursor {
        let (next, after) = page(&example.reader, 2, Some(&at)).await;
        pages.push(next);
        cursor = after;
    }
    assert_eq!(pages, ["3l 5u", "1u 4u", "2u"], "no session twice, none missing, none as a replay");
    let (other_two, other_cursor) = page(&example.reader, 2, other_cursor.as_deref()).await;
    let (other_three, end) = page(&example.reader, 2, other_cursor.as_deref()).await;
    assert_eq!([other_one, other_two, other_three], ["4l 1l", "2u 5r", "3r"], "a second device's own pass");
    assert_eq!(end, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pass_may_last_so_long_and_not_a_second_longer() {
    let now_ms = Clock::system().now_ms();
    let world = World::at(Clock::by_hand(now_ms), |settings| settings.live.pages_s = 600).await;
    let [ann, ben] = world.people(["ann", "ben"]).await;
    ben.follow(ann.id).await.unwrap();
    for title in ["1", "2", "3"] {
        announce(&ann, title, now_ms).await;
    }
    let ended = announce(&ann, "4", now_ms).await;
    ann.start_live(ended).await.unwrap();
    let (_, cursor) = page(&ben, 2, None).await;
    let cursor = cursor.unwrap();
    ann.end_live(ended, None).await.unwrap();
    world.set_clock(now_ms + 600_000);
    assert_eq!(page(&ben, 9, Some(&cursor)).await.0, "2u 1u");
    world.set_clock(now_ms + 601_000);
    let late = ben.live_feed(Paging::at(9, Some(&cursor))).await;
    assert_eq!(refused(late), Code::SnapshotExpired);
    // What has ended leaves memory, and stays a replay; of an hour nothing is left in a queue.
    let feed = world.app().live().view().feed().clone();
    tokio::task::spawn_blocking(move || feed.quiesce()).await.unwrap();
    world.set_clock(now_ms + 700_000);
    world.app().live().do_due().await.unwrap();
    assert_eq!(world.app().live().view().queues().count(), 3);
    assert_eq!(page(&ben, 9, None).await.0, "3u 2u 1u 4r");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cursors_of_others_of_another_list_and_forged_ones_are_refused() {
    let world = World::new().await;
    let [ann, ben] = world.people(["ann", "ben"]).await;
    ben.follow(ann.id).await.unwrap();
    let now_ms = Clock::system().now_ms();
    for title in ["1", "2", "3"] {
        announce(&ann, title, now_ms).await;
    }
    let cursor = page(&ben, 1, None).await.1.unwrap();
    let of_host = ben.live_of(ann.id, Paging::first(1)).await.unwrap().next_cursor.unwrap();
    for (reader, forged) in [(&ann, cursor.as_str()), (&ben, of_host.as_str()), (&ben, "AAAA"), (&ben, "Zm9yZ2Vk")] {
        assert_eq!(refused(reader.live_feed(Paging::at(1, Some(forged))).await), Code::BadRequest);
    }
    assert_eq!(refused(ben.live_of(ben.id, Paging::at(1, Some(&of_host))).await), Code::BadRequest);
    assert_eq!(json(&ben, "GET", "/v1/live/feed?limit=0", "").await.status, 422);
    assert_eq!(json(&world.anyone, "GET", "/v1/live/feed", "").await.status, 401);
    let path = format!("/v1/users/{}/live", ann.id);
    assert_eq!(json(&world.anyone, "GET", &path, "").await.status, 200, "as posts are");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blocks_mutes_and_ended_follows_act_on_the_next_page() {
    let world = World::new().await;
    let [reader, a, b, c, d] = world.people(["reader", "a", "b", "c", "d"]).await;
    let now_ms = Clock::system().now_ms();
    for (minutes, host) in [&a, &b, &c, &d].into_iter().enumerate() {
        reader.follow(host.id).await.unwrap();
        let planned = at(now_ms, (60 + minutes as u64) * MINUTE_MS);
        host.announce_live(&host.handle, planned, None).await.unwrap();
    }
    let own = announce(&reader, "own", now_ms - 30 * MINUTE_MS).await;
    assert_eq!(page(&reader, 9, None).await.0, "ownu au bu cu du");
    let cursor = page(&reader, 1, None).await.1.unwrap();
    reader.block(a.id).await.unwrap();
    reader.mute(b.id).await.unwrap();
    reader.unfollow(c.id).await.unwrap();
    assert_eq!(page(&reader, 9, Some(&cursor)).await, ("du".to_owned(), None));
    assert_eq!(page(&reader, 9, None).await.0, "ownu du");
    reader.unmute(b.id).await.unwrap();
    assert_eq!(page(&reader, 9, None).await.0, "ownu bu du");
    // As with posts: whoever blocks sees that somebody is there, and nothing of theirs.
    let blocked = reader.live_of(a.id, Paging::first(9)).await.unwrap();
    assert_eq!((blocked.items, blocked.next_cursor), (vec![], None));
    assert_eq!(refused(a.live_of(reader.id, Paging::first(9)).await), Code::NotFound);
    assert_eq!(refused(a.live_session(own).await), Code::NotFound, "blocked");
    b.delete_account().await.unwrap();
    assert_eq!(page(&reader, 9, None).await.0, "ownu du");
}
