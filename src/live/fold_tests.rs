//! The fold against the pure state: whatever is proposed, in whatever order and however often.

use std::collections::HashMap;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::log::events::{LiveEdit, Policy};
use crate::log::fold::Folds;

/// Rows as the tables hold them, and the sessions as they should be.
struct World {
    folds: Folds,
    rows: HashMap<RowKey, Bytes>,
    sessions: HashMap<Id, LiveRow>,
    last: u64,
}

impl World {
    fn new() -> Self {
        let folds = std::iter::once(Arc::new(LiveFold) as Arc<dyn Fold>).collect();
        Self { folds, rows: HashMap::new(), sessions: HashMap::new(), last: 1 << 40 }
    }

    /// Commits a record; answers whether it changed its session.
    fn commit(&mut self, event: Event) -> bool {
        self.last += 1;
        let record = Record { id: Id(self.last), event, idempotency: None, import_line: None, audit: None };
        let (mut keys, mut state, mut batch) = (Keys::default(), State::default(), Batch::default());
        self.folds.keys(&record, &mut keys);
        for (key, own) in keys {
            let value = self.rows.get(&key).cloned();
            state.load(key, value, own);
        }
        let outcome = self.folds.fold(&record, &mut state, &mut batch).unwrap();
        for row in batch.rows {
            match row.value {
                Some(value) => drop(self.rows.insert(row.key, value)),
                None => drop(self.rows.remove(&row.key)),
            }
        }
        let expected = match &record.event {
            Event::LiveAnnounced { host, title, starts_at_ms } => {
                Some(LiveRow::announced(record.id, *host, title.clone(), *starts_at_ms))
            }
            event => {
                deed_of(event).and_then(|(session, deed)| match self.sessions.get(&session)?.decide(deed, record.id) {
                    Decision::Becomes(after) => Some(after),
                    _ => None,
                })
            }
        };
        assert_eq!(outcome.part::<LiveOutcome>().map(|part| &*part.0), expected.as_ref());
        if let Some(after) = &expected {
            self.sessions.insert(after.id, after.clone());
        }
        expected.is_some()
    }

    fn has(&self, key: &RowKey) -> bool {
        self.rows.contains_key(key)
    }

    fn check(&self) {
        for row in self.sessions.values() {
            let stored: LiveRow = from_json(&self.rows[&tables::by_id(tables::LIVE, row.id)]).unwrap();
            assert_eq!(stored, *row);
            let (is_there, ended) = (row.removed.is_none(), row.ended.filter(|_| row.removed.is_none()));
            assert_eq!(self.has(&tables::pair(tables::LIVE_OF_HOST, row.host, row.id)), is_there);
            // Whatever ended leaves it after a while, which is not the fold's.
            assert_eq!(self.has(&tables::live_open_row(row.host, row.id)), is_there);
            if let Some(at) = row.ended {
                assert_eq!(self.has(&tables::bucketed_row(tables::LIVE_REPLAYS, row.host, at)), ended.is_some());
                assert_eq!(self.has(&tables::by_id(tables::LIVE_ENDS, at)), ended.is_some());
                assert_eq!(self.has(&tables::live_timeline_row(at)), ended.is_some());
            }
            let is_reminding = row.started.is_some() || row.removed.is_some();
            assert_eq!(self.has(&tables::live_reminding_row(row.id)), is_reminding);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_proposed_the_rows_are_those_of_the_state(
        acts in vec((0_u8..8, 0_usize..4, any::<bool>()), 0..60),
    ) {
        let mut world = World::new();
        for (deed, nth, again) in acts {
            let mut sessions: Vec<(Id, Id, Option<Id>)> =
                world.sessions.values().map(|row| (row.id, row.host, row.ended)).collect();
            sessions.sort_unstable();
            let host = Id(7 + nth as u64 % 2);
            let announced = Event::LiveAnnounced { host, title: "chess".into(), starts_at_ms: 9_000 };
            let Some((session, host, ended)) = sessions.get(nth % sessions.len().max(1)).copied() else {
                world.commit(announced);
                continue;
            };
            let edit = LiveEdit { starts_at_ms: Some(nth as u64), ..LiveEdit::default() };
            let event = match deed {
                0 => announced,
                1 => Event::LiveEdited { session, host, edit },
                2 | 3 => Event::LiveStarted { session, host },
                4 | 5 => Event::LiveEnded { session, host, replay_url: None, policy: Policy::Push },
                6 => Event::LiveRemoved { session, host, ended },
                // Of a session that there is not.
                _ => Event::LiveStarted { session: Id(1), host },
            };
            let is_new = matches!(event, Event::LiveAnnounced { .. });
            let changed = world.commit(event.clone());
            if again && changed && !is_new {
                prop_assert!(!world.commit(event), "proposed twice it changes nothing");
            }
            world.check();
        }
    }
}

#[test]
fn an_outcome_reads_back_as_it_was_written() {
    let row = LiveRow { started: Some(Id(5)), ..LiveRow::announced(Id(4), Id(1), "chess".into(), 9) };
    let outcome = LiveOutcome(Arc::new(row));
    let mut json = Vec::new();
    outcome.write(&mut json).unwrap();
    let event = Event::LiveStarted { session: Id(4), host: Id(1) };
    let record = Record { id: Id(5), event, idempotency: None, import_line: None, audit: None };
    let read = LiveFold.read(&record, std::str::from_utf8(&json).unwrap()).unwrap();
    let read: &dyn std::any::Any = &*read;
    assert_eq!(read.downcast_ref::<LiveOutcome>(), Some(&outcome));
    assert!(LiveFold.read(&record, "{}").is_err());
}
