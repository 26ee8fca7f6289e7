//! `kill -9` between the pages of a pass, and at any step of reminding: nothing is lost, nobody is told twice.

use fanfare::app;
use fanfare::base::clock::Clock;
use fanfare::base::handle::Handle;
use fanfare::base::logging;
use fanfare::data::families::families;
use fanfare::data::tables;
use fanfare::http::OperatorTokens;
use fanfare::live::service::Announced;
use fanfare_client::{Client, Paging};
use fanfare_engines::hostile::{Faults, Hostile};
use fanfare_engines::random::Random;
use fanfare_engines::{KeyRange, Order};
use fanfare_protocol::{Id, NewLiveSession, NewUser, NotificationKind, Timestamp};

use super::word;
use crate::process::Process;
use crate::world::{PASSWORD, eventually, quick, seeds};

async fn register(server: &Process, handle: &str) -> (Id, String) {
    let new = NewUser { handle: handle.to_owned(), password: PASSWORD.to_owned(), display_name: None };
    let session = server.anyone.register(&new).await.unwrap();
    (session.user.id, session.token)
}

async fn page(reader: &Client, cursor: Option<&str>) -> (String, Option<String>) {
    let page = reader.live_feed(Paging::at(2, cursor)).await.unwrap();
    (page.items.iter().map(word).collect::<Vec<_>>().join(" "), page.next_cursor)
}

/// The published example, with its states and without its minutes: a pass that began at T1 goes on at T4, through a
/// kill between all pages.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pass_goes_on_through_kills() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Process::serve(folder.path(), &[]).await;
    let mut hosts = Vec::new();
    for handle in ["a", "b", "c", "d"] {
        hosts.push(register(&server, handle).await);
    }
    let (_, reader) = register(&server, "reader").await;
    for (host, _) in &hosts {
        server.anyone.with_token(&reader).follow(*host).await.unwrap();
    }
    let now_ms = Clock::system().now_ms();
    let mut sessions = Vec::new();
    for (title, host, planned) in [("3", 2, 10), ("5", 3, 45), ("1", 0, 60), ("4", 1, 80), ("2", 0, 120)] {
        let host = server.anyone.with_token(&hosts[host].1);
        let starts_at = Timestamp(now_ms + planned * 60_000);
        sessions.push((host.announce_live(title, starts_at, None).await.unwrap().id, host));
    }
    let tokens: Vec<String> = [2, 3, 0, 1, 0].iter().map(|host: &usize| hosts[*host].1.clone()).collect();
    let act = async |server: &Process, session: usize, begins: bool| {
        let host = server.anyone.with_token(&tokens[session]);
        match begins {
            true => host.start_live(sessions[session].0).await.unwrap(),
            false => host.end_live(sessions[session].0, None).await.unwrap(),
        };
    };
    act(&server, 0, true).await;
    let (first, mut cursor) = page(&server.anyone.with_token(&reader), None).await;
    let mut pages = vec![first];
    // As the minutes have it: 3 ends, 5 begins, 1 begins, 5 ends, 4 begins and ends, 1 ends, 2 begins and ends.
    let happens =
        [(0, false), (1, true), (2, true), (1, false), (3, true), (3, false), (2, false), (4, true), (4, false)];
    for part in [&happens[..5], &happens[5..]] {
        for (session, begins) in part {
            act(&server, *session, *begins).await;
        }
        server.kill();
        server = Process::serve(folder.path(), &[]).await;
        let (next, after) = page(&server.anyone.with_token(&reader), cursor.as_deref()).await;
        pages.push(next);
        cursor = after;
    }
    assert_eq!((pages, cursor), (["3l 5u", "1u 4u", "2u"].map(str::to_owned).to_vec(), None));
    assert_eq!(page(&server.anyone.with_token(&reader), None).await.0, "2r 1r");
}

const SEEDS: u64 = 4;
/// People who want to be reminded: more than two records hold.
const PEOPLE: usize = 600;

async fn start(world: &Hostile, folder: &tempfile::TempDir) -> app::Running {
    let settings = quick();
    let tokens = OperatorTokens::open(folder.path()).unwrap();
    let log = logging::start(&settings.log.level, settings.log.format);
    app::start(&settings, world.engines(), b"secret", tokens, Clock::system(), log).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_person_is_reminded_once_through_crashes_at_any_step() {
    for seed in seeds(SEEDS) {
        let (world, folder) =
            (Hostile::with_families(seed, &families(1), Faults::NONE).unwrap(), tempfile::tempdir().unwrap());
        let mut dice = Random::new(seed ^ 0x4e31);
        let mut running = start(&world, &folder).await;
        let now_ms = running.app.core().clock.now_ms();
        let mut people = Vec::new();
        for number in 0..=PEOPLE {
            let handle = Handle::parse(&format!("p{number}")).unwrap();
            people.push(running.app.users().create(&handle, None, None, now_ms).await.unwrap().row.id);
        }
        let host = people.remove(0);
        let new = NewLiveSession { title: "x".into(), starts_at: Timestamp(now_ms) };
        let Announced::New(session) = running.app.live().announce(host, new, None).await.unwrap() else { panic!() };
        for person in &people {
            running.app.live().remind(*person, session.id).await.unwrap();
        }
        running.app.live().start(host, session.id).await.unwrap();
        let left = async |app: &app::App| {
            let store = &app.core().store;
            let rows = store.scan(tables::LIVE_REMINDING, &tables::ONE, KeyRange::ALL, Order::Ascending, 1).await;
            !rows.unwrap().is_empty()
        };
        for _ in 0..6 {
            for _ in 0..dice.below(400) {
                tokio::task::yield_now().await;
            }
            world.crash();
            running.stop().await;
            world.settle();
            running = start(&world, &folder).await;
        }
        let app = running.app.clone();
        eventually("everybody is reminded", async || (!left(&app).await).then_some(())).await;
        for person in &people {
            let page = app.notifications().page(*person, 10, None).await.unwrap();
            let kinds: Vec<_> = page.items.iter().map(|one| (one.kind, one.actor.id, one.count)).collect();
            assert_eq!(kinds, [(NotificationKind::Live, host, 1)], "seed {seed}");
        }
        assert_eq!(app.core().store.ids_of(tables::LIVE_REMINDERS, session.id, 9).await.unwrap(), []);
        drop(app);
        running.stop().await;
    }
}
