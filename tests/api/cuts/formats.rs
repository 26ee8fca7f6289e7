//! A folder of format 1 that is brought up, cut off at each write: the next start does it again, to no effect.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use fanfare::app;
use fanfare::log::events::Record;
use fanfare::log::head::Head;
use fanfare::log::legacy;
use fanfare_engines::{Batch, Claimant, Engines, NewRecord, Partition, RowKey, Turn, memory};
use parking_lot::Mutex;

use super::End;
use super::engines::{Blade, Written, cut};

/// Records of format 1: a post, and people who like it, take that back, and like it again.
fn lines() -> Vec<Bytes> {
    const POST: u64 = 2_119_395_237_167_108_096;
    let post = format!(r#"{{"id":"{POST}","author":"7"}}"#);
    let mut lines = vec![format!(
        r#"{{"id":"{POST}","type":"posted","post":{{"id":"{POST}","author":"7","text":"x","policy":"push"}},"notify":[]}}"#
    )];
    let mut since = [0; 9];
    for number in 1..=600_u64 {
        let (id, person) = (POST + number * 20_000_000_000, (number % 9) as usize);
        let user = 100 + person;
        lines.push(match std::mem::take(&mut since[person]) {
            0 => {
                since[person] = id;
                format!(r#"{{"id":"{id}","type":"liked","user":"{user}","post":{post}}}"#)
            }
            since => format!(r#"{{"id":"{id}","type":"unliked","user":"{user}","post":{post},"since":"{since}"}}"#),
        });
    }
    lines.into_iter().map(Bytes::from).collect()
}

async fn stored() -> Engines {
    let engines = memory::open(1).unwrap();
    let claimant = Claimant { node: "before".to_owned(), is_import: false };
    let term = engines.journal.claim(Partition(0), &claimant).await.unwrap().term;
    let id = |line: &Bytes| serde_json::from_slice::<Record>(line).unwrap().id.0;
    let records: Vec<_> = lines().into_iter().map(|payload| NewRecord { id: id(&payload), payload }).collect();
    engines.journal.commit(Partition(0), Turn::first(term), &records, &Batch::default()).await.unwrap();
    engines
}

/// Every row that was ever put, as it is.
async fn rows(engines: &Engines, written: &Mutex<Written>) -> BTreeMap<RowKey, Option<Bytes>> {
    let keys: Vec<RowKey> = written.lock().0.iter().cloned().collect();
    let values = engines.tables.get_many(&keys).await.unwrap();
    keys.into_iter().zip(values).collect()
}

#[tokio::test]
async fn what_is_cut_off_while_it_is_brought_up_is_done_again() {
    let written: Arc<Mutex<Written>> = Arc::default();
    let engines = stored().await;
    let (products, _) = app::products(3);
    legacy::bring_up(&cut(engines.clone(), &Arc::new(Blade::noting(&written))), &products).await.unwrap();
    let expected = rows(&engines, &written).await;
    assert!(expected.len() > 600, "{}", expected.len());
    let head = Head::read(&*engines.tables, Partition(0)).await.unwrap();
    assert_eq!(head.position().offset.0, 602, "600 likes, a post and a claim");
    for end in [End::KilledBefore, End::KilledAfter] {
        let mut steps = 0;
        loop {
            let engines = stored().await;
            let blade = Arc::new(Blade::default());
            blade.arm(end, steps);
            let cut_off = legacy::bring_up(&cut(engines.clone(), &blade), &products).await;
            if !blade.disarm() {
                break;
            }
            assert!(cut_off.is_err());
            legacy::bring_up(&engines, &products).await.unwrap();
            assert_eq!(rows(&engines, &written).await, expected, "{end:?} at {steps}");
            steps += 1;
        }
        assert!(steps >= 4, "{steps}: rows in three steps, and the head");
    }
}
