//! Random histories, whose every read and every answer about who holds a key is compared with a map.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{OTHER_TABLE, Open, TABLE, get, sure, text, write};
use crate::Engines;
use crate::ports::{Batch, KeyRange, Order, Replaced, Row, RowKey, RowWrite, Unique};
use crate::random::Random;

const HISTORIES: u64 = 4;
const STEPS: u64 = 300;
/// Few enough that keys meet again and again.
const PARTITIONS: u64 = 3;
const KEYS: u64 = 12;
const VERSIONS: u64 = 40;

/// The highest write to each versioned key.
type Model = BTreeMap<(Bytes, Bytes), RowWrite>;

pub(super) async fn random_histories(open: Open<'_>, seed: u64) {
    for history in 0..HISTORIES {
        let seed = seed.wrapping_add(history);
        replay(open(), seed).await;
    }
}

async fn replay(engines: Engines, seed: u64) {
    let mut random = Random::new(seed);
    let mut model = Model::new();
    let mut holders = BTreeMap::new();
    for step in 0..STEPS {
        if random.percent(50) {
            let rows: Vec<RowWrite> = (0..=random.below(8)).map(|_| random_write(&mut random)).collect();
            for row in &rows {
                let place = (row.key.partition.clone(), row.key.clustering.clone());
                let kept = model.entry(place).or_insert_with(|| row.clone());
                if row.version > kept.version {
                    *kept = row.clone();
                }
            }
            write(&engines, Batch { rows }).await;
        }
        let when = format!("seed {seed:#x}, step {step}");
        hold(&engines, &mut holders, &mut random, 1 + step, &when).await;
        compare_scan(&engines, &model, &mut random, &when).await;
    }
    compare_all(&engines, &model, seed).await;
}

/// Inserts or replaces one of few keys, and compares the answer and the row with who holds it by the model. Nobody
/// releases a key here: what a call did that was answered with an error could then come late and take it.
async fn hold(engines: &Engines, holders: &mut BTreeMap<u64, u64>, random: &mut Random, token: u64, when: &str) {
    let number = random.below(KEYS / 2);
    let key = RowKey::single(OTHER_TABLE, vec![number as u8]);
    let value = |token: u64| text(format!("held by {token}"));
    let holder = holders.get(&number).copied();
    if random.percent(30) {
        let expected = holder.map_or(Unique::Mine, |holder| Unique::Taken(value(holder)));
        let found = sure(|| engines.tables.insert_unique(key.clone(), value(token), token)).await;
        assert_eq!(found, expected, "{when}: {token} takes {number}");
        holders.entry(number).or_insert(token);
    } else {
        // The holder, or one that has it no more, or never had it.
        let held = holder.filter(|_| random.percent(60)).unwrap_or_else(|| random.below(token));
        let expected = match holder {
            Some(holder) if holder == held => Replaced::Mine,
            Some(holder) => Replaced::Taken(value(holder)),
            None => Replaced::Free,
        };
        let found = sure(|| engines.tables.replace_unique(key.clone(), value(token), held, token)).await;
        assert_eq!(found, expected, "{when}: {token} replaces {held} at {number}");
        if found == Replaced::Mine {
            holders.insert(number, token);
        }
    }
    let row = holders.get(&number).map(|holder| value(*holder));
    assert_eq!(get(engines, &key).await, row, "{when}: the row of {number}");
}

fn random_key(random: &mut Random) -> RowKey {
    let partition = vec![b'p'; 1 + random.below(PARTITIONS) as usize];
    RowKey::new(TABLE, partition, vec![random.below(KEYS) as u8; random.below(3) as usize])
}

/// A write that is the same whenever its version is: every third version deletes.
fn random_write(random: &mut Random) -> RowWrite {
    let key = random_key(random);
    let version = 1 + random.below(VERSIONS);
    let value = (!version.is_multiple_of(3)).then(|| text(format!("{version}")));
    RowWrite { key, value, version }
}

async fn compare_scan(engines: &Engines, model: &Model, random: &mut Random, when: &str) {
    let partition = random_key(random).partition;
    let end = |random: &mut Random| random.percent(60).then(|| random_key(random).clustering);
    let range = KeyRange { from: end(random), to: end(random) };
    let order = if random.percent(50) { Order::Ascending } else { Order::Descending };
    let limit = random.below(2 * KEYS) as usize;
    let fits =
        |key: &Bytes| range.from.as_ref().is_none_or(|from| key >= from) && range.to.as_ref().is_none_or(|to| key < to);
    let mut expected: Vec<Row> = model
        .iter()
        .filter(|((at, key), _)| *at == partition && fits(key))
        .filter_map(|((_, key), row)| Some(Row { clustering: key.clone(), value: row.value.clone()? }))
        .collect();
    if order == Order::Descending {
        expected.reverse();
    }
    expected.truncate(limit);
    let found = sure(|| engines.tables.scan(TABLE, &partition, range.clone(), order, limit)).await;
    assert_eq!(found, expected, "{when}: {partition:?} {range:?} {order:?} {limit}");
}

async fn compare_all(engines: &Engines, model: &Model, seed: u64) {
    let keys: Vec<RowKey> = model.values().map(|row| row.key.clone()).collect();
    let expected: Vec<_> = model.values().map(|row| row.value.clone()).collect();
    let found = sure(|| engines.tables.get_many(&keys)).await;
    assert_eq!(found, expected, "seed {seed:#x}");
}
