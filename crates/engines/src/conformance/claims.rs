//! Claims, turns and positions: who may append, and what counts.

use super::writer::{P, Writer, claimant, payloads, read_all, read_from, read_to_end};
use super::{TABLE, TRIES_MAX, get, sure, text};
use crate::Engines;
use crate::admission::unix_ms_of;
use crate::ports::{Appended, Batch, EngineError, NewRecord, NewTerm, Position, RowKey, Term, Turn};

fn record(id: u64) -> NewRecord {
    NewRecord { id, payload: text(format!("record {id}")) }
}

fn row(name: &'static str) -> (RowKey, Batch) {
    let key = RowKey::single(TABLE, name);
    let mut rows = Batch::default();
    rows.put_versioned(key.clone(), name, 1);
    (key, rows)
}

async fn claim(engines: &Engines) -> (Term, Position) {
    let claimant = claimant("owner");
    let NewTerm { term, next, appended_ms } = sure(|| engines.journal.claim(P, &claimant)).await;
    assert_eq!(appended_ms, 0, "a log that reads moments off ids has no time of its own");
    (term, next)
}

async fn commit(engines: &Engines, turn: Turn, ids: &[u64], rows: &Batch) -> Result<Appended, EngineError> {
    let records: Vec<_> = ids.iter().copied().map(record).collect();
    let mut tries = 0;
    loop {
        match engines.journal.commit(P, turn, &records, rows).await {
            Err(EngineError::Unavailable(_)) if tries < TRIES_MAX => tries += 1,
            answer => return answer,
        }
    }
}

/// Asserts that a call is refused, whatever faults come between, and that nobody ever sees any of it.
async fn fenced(engines: &Engines, what: &str, turn: Turn, ids: &[u64]) {
    let (key, rows) = row("fenced");
    let before = read_all(engines).await;
    for tries in 1.. {
        match commit(engines, turn, ids, &rows).await {
            Err(EngineError::Fenced) => break,
            // It may not have come to the log at all: a hole that nobody has seen ends nothing.
            Err(EngineError::Unknown(_)) if tries < TRIES_MAX => {}
            other => panic!("{what}: {other:?}"),
        }
    }
    for _ in 0..150 {
        assert_eq!(get(engines, &key).await, None, "{what}: its row is there");
    }
    assert_eq!(read_all(engines).await, before, "{what}: its records are there");
}

/// A first record under a term of the caller's; faults are waited out.
async fn owner(engines: &Engines, id: u64) -> (Turn, Position) {
    loop {
        let (term, _) = claim(engines).await;
        match commit(engines, Turn::first(term), &[id], &Batch::default()).await {
            Ok(Appended { next, appended_ms }) => {
                assert_eq!((next.term, next.last_id, next.number), (Some(term), id, 1));
                assert_eq!(appended_ms, unix_ms_of(id));
                return (Turn { term, number: 1 }, next);
            }
            Err(EngineError::Fenced | EngineError::Unknown(_)) => {
                if let Some(last) = read_all(engines).await.last()
                    && last.id == Some(id)
                {
                    // It stands all the same: the term of the next claim has nothing yet.
                    let (term, next) = claim(engines).await;
                    return (Turn::first(term), next);
                }
            }
            Err(error) => panic!("{error}"),
        }
    }
}

pub(super) async fn a_newer_claim_fences_the_older_term(engines: Engines) {
    let (old, _) = owner(&engines, 1).await;
    let (new, position) = claim(&engines).await;
    assert!(new > old.term, "terms do not grow");
    assert_eq!((position.last_id, position.number), (1, 0));
    fenced(&engines, "records of an older term", old, &[2, 3]).await;
    fenced(&engines, "rows of an older term", old, &[]).await;
    fenced(&engines, "a term that never was", Turn::first(Term(new.0 + 1_000)), &[2]).await;
    let mut writer = Writer::new(&engines).await;
    writer.append([text("new")]).await;
    assert_eq!(payloads(&read_all(&engines).await), [text("record 1"), text("new")]);
}

pub(super) async fn a_record_counts_once(engines: Engines) {
    let (turn, _) = owner(&engines, 5).await;
    for (what, ids) in [("the last id again", [5, 6]), ("a lower id", [4, 6])] {
        fenced(&engines, what, turn, &ids).await;
    }
    let again = Turn { number: turn.number.saturating_sub(1), ..turn };
    fenced(&engines, "a number that was given before, and its id", again, &[5]).await;
    let mut writer = Writer::new(&engines).await;
    writer.append([text("next")]).await;
    assert_eq!(payloads(&read_all(&engines).await), [text("record 5"), text("next")]);
}

pub(super) async fn a_missing_call_ends_the_term(engines: Engines) {
    let (turn, _) = owner(&engines, 1).await;
    let hole = Turn { number: turn.number + 1, ..turn };
    fenced(&engines, "a call behind a missing one", hole, &[3]).await;
    fenced(&engines, "the missing call, after that", turn, &[2]).await;
    fenced(&engines, "rows of the term that is over", turn, &[]).await;
    let mut writer = Writer::new(&engines).await;
    writer.append([text("next")]).await;
    assert_eq!(payloads(&read_all(&engines).await), [text("record 1"), text("next")]);
}

/// Calls of one term that are under way together: none stands without those before it.
pub(super) async fn calls_under_way_stand_from_the_first_on(engines: Engines) {
    let mut last_id = 0;
    for _ in 0..20 {
        let (term, position) = claim(&engines).await;
        let first = last_id + 1;
        let call = |number: u64| {
            let ids = [first + 2 * number, first + 2 * number + 1];
            let engines = &engines;
            async move { commit(engines, Turn { term, number: 2 * number }, &ids, &Batch::default()).await }
        };
        let (one, two, three) = tokio::join!(call(0), call(1), call(2));
        last_id += 6;
        // Nothing more of the term can come now.
        claim(&engines).await;
        let (records, _) = read_to_end(&engines, position).await;
        let ids: Vec<u64> = records.iter().filter_map(|record| record.id).collect();
        let expected: Vec<u64> = (first..).take(ids.len()).collect();
        assert_eq!(ids, expected, "a call stands without the one before");
        for (answer, end) in [(one, 2), (two, 4), (three, 6)] {
            assert!(answer.is_err() || ids.len() >= end, "{answer:?}, and {} records stand", ids.len());
        }
    }
}

pub(super) async fn a_position_is_gone_on_from(engines: Engines) {
    let mut writer = Writer::new(&engines).await;
    let mut positions = vec![Position::START];
    for number in 0..30 {
        if number % 7 == 6 {
            writer = Writer::new(&engines).await;
        }
        positions.push(writer.append([text(format!("{number}"))]).await);
    }
    let (all, end) = read_to_end(&engines, Position::START).await;
    let ids: Vec<_> = all.iter().map(|record| record.id.unwrap_or_default()).collect();
    assert!(ids.is_sorted_by(|earlier, later| earlier < later));
    assert!(all.iter().all(|record| record.appended_ms == unix_ms_of(record.id.unwrap_or_default())));
    for (number, from) in positions.into_iter().enumerate() {
        // Claims of before may come late, so ends differ; records and ids do not.
        let (found, found_end) = read_to_end(&engines, from).await;
        assert_eq!((found, found_end.last_id), (all[number..].to_vec(), end.last_id), "from {from:?}");
    }
    let mut next = Position::START;
    for record in &all {
        let (found, after) = read_from(&engines, next, 1).await;
        assert_eq!(found, std::slice::from_ref(record));
        assert!(after.offset > record.offset && after.last_id == record.id.unwrap_or_default());
        next = after;
    }
}

/// A call is given up while nobody knows of it, and its owner goes on to know.
pub(super) async fn whoever_claims_again_knows(engines: Engines) {
    let mut stands = Vec::new();
    let mut last_id = 0;
    for round in 0..60 {
        let (term, position) = claim(&engines).await;
        let (key, rows) = row(["a", "b", "c"][round % 3]);
        let ids = [last_id + 1, last_id + 2, last_id + 3];
        last_id += 3;
        let answer = commit(&engines, Turn::first(term), &ids, &rows).await;
        claim(&engines).await;
        let found = read_to_end(&engines, position).await.0;
        assert!(answer.is_err() || found.len() == 3, "acknowledged and lost");
        assert!(!matches!(answer, Err(EngineError::Fenced)) || found.is_empty(), "fenced and there");
        assert!(answer.is_err() || get(&engines, &key).await.is_some());
        stands.extend(found);
    }
    assert_eq!(read_all(&engines).await, stands, "what was known changed");
}
