//! Deeds and refusals: what may be done when, and by whom; time alone; deleted accounts.

use fanfare::base::clock::Clock;
use fanfare::base::limits::live::{OPEN_MAX, STARTS_AT_CHANGES_MAX};
use fanfare::data::tables;
use fanfare_client::{ClientError, Paging};
use fanfare_engines::{KeyRange, Order};
use fanfare_protocol::{Code, Id, LiveSession, LiveState, PatchLiveSession, Timestamp};

use super::{announce, at, page};
use crate::world::{Person, World, eventually, json, problem_of, raw, refused, refused_field};

const HOUR_MS: u64 = 3_600_000;

fn title(title: &str) -> PatchLiveSession {
    PatchLiveSession { title: Some(title.to_owned()), ..PatchLiveSession::default() }
}

fn starts_at(at: Timestamp) -> PatchLiveSession {
    PatchLiveSession { starts_at: Some(at), ..PatchLiveSession::default() }
}

fn replay_url(url: &str) -> PatchLiveSession {
    PatchLiveSession { replay_url: Some(Some(url.to_owned())), ..PatchLiveSession::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_is_announced_begins_is_over_and_goes() {
    let world = World::new().await;
    let [ann, ben] = world.people(["ann", "ben"]).await;
    let now_ms = Clock::system().now_ms();
    let planned = at(now_ms, HOUR_MS);
    let made = ann.announce_live("  An evening of chess ", planned, None).await.unwrap();
    assert_eq!(
        (made.title.as_str(), made.state, made.starts_at),
        ("An evening of chess", LiveState::Upcoming, planned)
    );
    assert_eq!((made.host.id, made.started_at, made.ended_at, made.reminder), (ann.id, None, None, Some(false)));
    assert_eq!(world.anyone.live_session(made.id).await.unwrap(), LiveSession { reminder: None, ..made.clone() });
    let id = made.id;
    assert_eq!(refused(ann.end_live(id, None).await), Code::Conflict, "it has not begun");
    let live = ann.start_live(id).await.unwrap();
    assert!(live.state == LiveState::Live && live.started_at.is_some_and(|at| at.0 + 1_000 >= now_ms));
    assert_eq!(ann.start_live(id).await.unwrap(), live, "again it changes nothing");
    assert_eq!(refused(ann.remove_live(id).await), Code::Conflict, "it is live");
    let over = ann.end_live(id, Some("https://example.org/r/1")).await.unwrap();
    assert_eq!((over.state, over.replay_url.as_deref()), (LiveState::Replay, Some("https://example.org/r/1")));
    assert_eq!(ann.end_live(id, Some("https://example.org/r/2")).await.unwrap(), over, "that is what PATCH is for");
    assert_eq!(refused(ann.start_live(id).await), Code::Conflict, "it is over");
    let ready = ann.patch_live(id, &replay_url("https://example.org/r/3")).await.unwrap();
    assert_eq!(ready.replay_url.as_deref(), Some("https://example.org/r/3"));
    assert_eq!(ben.live_session(id).await.unwrap(), ready);
    assert_eq!(ann.remove_live(id).await.unwrap(), ready);
    assert_eq!(ann.remove_live(id).await.unwrap(), ready, "again it changes nothing");
    for gone in [ben.live_session(id).await, ann.patch_live(id, &title("x")).await] {
        assert_eq!(refused(gone), Code::Gone);
    }
    assert_eq!(refused(ann.start_live(id).await), Code::Conflict, "it was removed");
    assert_eq!(page(&ann, 9, None).await.0, "");
    let cancelled = announce(&ann, "Go", now_ms).await;
    ann.remove_live(cancelled).await.unwrap();
    assert_eq!(refused(ben.live_session(cancelled).await), Code::Gone);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_makes_one_session() {
    let world = World::new().await;
    let ann = world.person("ann").await;
    let planned = at(Clock::system().now_ms(), HOUR_MS);
    let first = ann.announce_live("chess", planned, Some("k1")).await.unwrap();
    ann.start_live(first.id).await.unwrap();
    assert_eq!(ann.announce_live("chess", planned, Some("k1")).await.unwrap(), first, "as it was then");
    let body = format!("{{\"title\":\"chess\",\"starts_at\":\"{planned}\"}}");
    let headers = [("content-type", "application/json"), ("idempotency-key", "k1")];
    let again = raw(&ann, "POST", "/v1/live", &headers, &body).await;
    assert_eq!((again.status.as_u16(), again.header("idempotency-replayed")), (201, "true"));
    assert_eq!(again.header("location"), format!("/v1/live/{}", first.id));
    assert_eq!(refused_field(ann.announce_live("go", planned, Some("k1")).await), "Idempotency-Key");
    assert_eq!(ann.live_of(ann.id, Paging::first(9)).await.unwrap().items.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_is_refused_with_its_field() {
    let world = World::new().await;
    let [ann, ben, cy] = world.people(["ann", "ben", "cy"]).await;
    let now_ms = Clock::system().now_ms();
    let planned = at(now_ms, HOUR_MS);
    let long = "x".repeat(141);
    for (words, planned, field) in [
        ("", planned, "title"),
        ("  ", planned, "title"),
        ("two\nlines", planned, "title"),
        (long.as_str(), planned, "title"),
        ("x", Timestamp(now_ms - 70_000), "starts_at"),
        ("x", at(now_ms, 367 * 24 * HOUR_MS), "starts_at"),
    ] {
        assert_eq!(refused_field(ann.announce_live(words, planned, None).await), field);
    }
    for (body, status) in [
        (r#"{"title":"x","starts_at":"2030-01-01T00:00:00"}"#, 422),
        (r#"{"title":"x","starts_at":"tomorrow"}"#, 422),
        (r#"{"title":"x"}"#, 422),
        (r#"{"title":"x","starts_at":"2030-01-01T00:00:00Z","state":"live"}"#, 422),
        ("{", 400),
    ] {
        let answer = json(&ann, "POST", "/v1/live", body).await;
        assert_eq!(problem_of(&answer).status, status, "{body}");
    }
    let id = announce(&ann, "chess", now_ms).await;
    assert_eq!(refused(ann.live_session(Id(7)).await), Code::NotFound);
    for another in [ben.start_live(id).await, ben.patch_live(id, &title("mine")).await, ben.remove_live(id).await] {
        assert_eq!(refused(another), Code::Forbidden);
    }
    cy.block(ann.id).await.unwrap();
    ann.block(ben.id).await.unwrap();
    assert_eq!(refused(ben.start_live(id).await), Code::NotFound, "the host blocks the caller");
    assert_eq!(refused(cy.end_live(id, None).await), Code::NotFound, "the caller blocks the host");
    let early = ann.patch_live(id, &replay_url("https://example.org/")).await;
    assert!(
        matches!(&early, Err(ClientError::Problem(why)) if why.code == Code::Conflict
        && why.errors[0].field == "replay_url"),
        "{early:?}"
    );
    for change in 1..=STARTS_AT_CHANGES_MAX as u64 {
        ann.patch_live(id, &starts_at(at(now_ms, HOUR_MS + change))).await.unwrap();
    }
    assert_eq!(refused_field(ann.patch_live(id, &starts_at(at(now_ms, 9))).await), "starts_at");
    assert_eq!(ann.start_live(id).await.unwrap().starts_at, at(now_ms, HOUR_MS + STARTS_AT_CHANGES_MAX as u64));
    let late = ann.patch_live(id, &starts_at(at(now_ms, 5 * HOUR_MS))).await;
    assert!(
        matches!(&late, Err(ClientError::Problem(why)) if why.code == Code::Conflict
        && why.errors[0].field == "starts_at"),
        "{late:?}"
    );
    for url in ["javascript:alert(1)", "http://127.0.0.1/", "not a url", "https://a:b@example.org/"] {
        assert_eq!(refused_field(ann.end_live(id, Some(url)).await), "replay_url", "{url}");
    }
    assert_eq!(ann.live_session(id).await.unwrap().state, LiveState::Live);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_has_so_many_open_sessions_at_once() {
    let world = World::new().await;
    let ann = world.person("ann").await;
    let now_ms = Clock::system().now_ms();
    let mut ids = Vec::new();
    for number in 0..OPEN_MAX {
        ids.push(announce(&ann, &number.to_string(), now_ms).await);
    }
    let planned = at(now_ms, HOUR_MS);
    assert_eq!(refused(ann.announce_live("one more", planned, None).await), Code::Conflict);
    ann.start_live(ids[0]).await.unwrap();
    ann.start_live(ids[1]).await.unwrap();
    assert_eq!(refused(ann.announce_live("one more", planned, None).await), Code::Conflict, "two are live");
    ann.end_live(ids[0], None).await.unwrap();
    ann.announce_live("one more", planned, None).await.unwrap();
}

/// Each of `calls` as often as there are callers, all at once; answers the statuses.
async fn race(ann: &Person, calls: &[(&'static str, String)]) -> Vec<u16> {
    let mut asked = tokio::task::JoinSet::new();
    for number in 0..32 {
        let ((method, path), ann) = (calls[number % calls.len()].clone(), ann.clone());
        asked.spawn(async move { raw(&ann, method, &path, &[], "").await.status.as_u16() });
    }
    asked.join_all().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_who_do_the_same_at_once_one_does_it() {
    let world = World::new().await;
    let ann = world.person("ann").await;
    let now_ms = Clock::system().now_ms();
    for round in 0..4 {
        let id = announce(&ann, &round.to_string(), now_ms).await;
        let call = |method, what: &str| (method, format!("/v1/live/{id}{what}"));
        let (start, end, remove) = (call("POST", "/start"), call("POST", "/end"), call("DELETE", ""));
        let statuses = race(&ann, &[start.clone(), remove.clone()]).await;
        assert!(statuses.iter().all(|status| [200, 409].contains(status)), "{statuses:?}");
        let is_live = ann.live_session(id).await.is_ok();
        // Whoever was first: the others did the same, or came too late.
        assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 16, "{statuses:?}");
        if is_live {
            let statuses = race(&ann, &[end, start, remove]).await;
            assert!(statuses.iter().all(|status| [200, 409].contains(status)), "{statuses:?}");
        }
        // One transition each: as many records of it as there can be.
        let stored = world.app().core().store.get(&tables::by_id(tables::LIVE, id)).await.unwrap().unwrap();
        let row: serde_json::Value = serde_json::from_slice(&stored).unwrap();
        assert!(
            row["started"].is_string() == is_live && row["removed"].is_string() != (is_live && row["ended"].is_null())
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_starts_is_cancelled_and_what_nobody_ends_is_ended() {
    let now_ms = Clock::system().now_ms();
    let world = World::at(Clock::by_hand(now_ms), |_| ()).await;
    let ann = world.person("ann").await;
    let forgotten = announce(&ann, "forgotten", now_ms).await;
    let endless = announce(&ann, "endless", now_ms).await;
    ann.start_live(endless).await.unwrap();
    let due = async || world.app().live().do_due().await.unwrap();
    world.set_clock(now_ms + 12 * HOUR_MS - 1_000);
    due().await;
    assert_eq!(ann.live_session(endless).await.unwrap().state, LiveState::Live);
    world.set_clock(now_ms + 12 * HOUR_MS + 1_000);
    due().await;
    let ended = ann.live_session(endless).await.unwrap();
    assert_eq!((ended.state, ended.replay_url), (LiveState::Replay, None));
    assert_eq!(ann.live_session(forgotten).await.unwrap().state, LiveState::Upcoming);
    world.set_clock(now_ms + 25 * HOUR_MS + 1_000);
    due().await;
    due().await;
    assert_eq!(refused(ann.live_session(forgotten).await), Code::Gone);
}

/// Every row of the tables of live sessions, but for what they were.
async fn rows_of(world: &World, host: Id) -> usize {
    let store = &world.app().core().store;
    let mut rows = store.ids_of(tables::LIVE_OF_HOST, host, 100).await.unwrap().len();
    rows += store.ids_of(tables::LIVE_REMINDERS_OF, host, 100).await.unwrap().len();
    let before = Id(i64::MAX as u64);
    rows += store.newest_bucketed(tables::LIVE_REPLAYS, host, before, 100).await.unwrap().len();
    let partition = tables::live_open_key(tables::live_open_partition(host));
    let open = store.scan(tables::LIVE_OPEN, &partition, KeyRange::ALL, Order::Ascending, 100).await.unwrap();
    rows + open.iter().filter(|row| row.clustering.starts_with(&host.to_bytes())).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_of_a_deleted_account_go_with_it() {
    let world = World::new().await;
    let [ann, ben] = world.people(["ann", "ben"]).await;
    ben.follow(ann.id).await.unwrap();
    let now_ms = Clock::system().now_ms();
    let [_, live, over] =
        [announce(&ann, "u", now_ms).await, announce(&ann, "l", now_ms).await, announce(&ann, "r", now_ms).await];
    for session in [live, over] {
        ann.start_live(session).await.unwrap();
    }
    ann.end_live(over, None).await.unwrap();
    let of_ben = announce(&ben, "b", now_ms).await;
    ann.remind_of_live(of_ben, true).await.unwrap();
    assert_eq!(page(&ben, 9, None).await.0, "ll bu uu rr");
    assert_eq!(rows_of(&world, ann.id).await, 8);
    ann.delete_account().await.unwrap();
    assert_eq!(page(&ben, 9, None).await.0, "bu", "at once");
    eventually("all of it is removed", async || (rows_of(&world, ann.id).await == 0).then_some(())).await;
    let reminders = world.app().core().store.ids_of(tables::LIVE_REMINDERS, of_ben, 9).await.unwrap();
    assert_eq!(reminders, []);
    assert_eq!(refused(ben.live_session(live).await), Code::NotFound);
}
