//! Rows of one partition, in order.

use bytes::Bytes;

use super::{TABLE, sure, write};
use crate::Engines;
use crate::ports::{Batch, KeyRange, Order, Row, RowKey};

const PARTITION: &[u8] = b"scanned";

async fn fill(engines: &Engines, keys: impl IntoIterator<Item = Vec<u8>>) {
    let mut batch = Batch::default();
    for key in keys {
        batch.put(RowKey::new(TABLE, PARTITION, key.clone()), key);
    }
    write(engines, batch).await;
}

async fn scan(engines: &Engines, range: KeyRange, order: Order, limit: usize) -> Vec<Vec<u8>> {
    let rows = sure(|| engines.tables.scan(TABLE, PARTITION, range.clone(), order, limit)).await;
    rows.into_iter().map(|Row { clustering, .. }| clustering.to_vec()).collect()
}

pub(super) async fn both_ways_with_limits(engines: Engines) {
    fill(&engines, (0..100).map(|key| vec![key])).await;
    let ascending: Vec<Vec<u8>> = (0..100).map(|key| vec![key]).collect();
    let descending: Vec<Vec<u8>> = ascending.iter().rev().cloned().collect();
    for limit in [0, 1, 99, 100, 101, usize::MAX] {
        let kept = limit.min(100);
        assert_eq!(scan(&engines, KeyRange::ALL, Order::Ascending, limit).await, ascending[..kept]);
        assert_eq!(scan(&engines, KeyRange::ALL, Order::Descending, limit).await, descending[..kept]);
    }
}

pub(super) async fn ranges_and_prefixes(engines: Engines) {
    let keys: [&[u8]; 8] = [b"", b"a", b"a\0", b"ab", b"b", b"\xfe\xff", b"\xff", b"\xff\xff"];
    fill(&engines, keys.map(<[u8]>::to_vec)).await;
    let ends: [Option<&[u8]>; 8] =
        [None, Some(b""), Some(b"a"), Some(b"aa"), Some(b"b"), Some(b"\xff"), Some(b"\xff\xff"), Some(b"\xff\xff\xff")];
    for from in ends {
        for to in ends {
            let fits = |key: &[u8]| from.is_none_or(|from| key >= from) && to.is_none_or(|to| key < to);
            let mut expected: Vec<&[u8]> = keys.into_iter().filter(|key| fits(key)).collect();
            let range = KeyRange { from: from.map(Bytes::copy_from_slice), to: to.map(Bytes::copy_from_slice) };
            assert_eq!(scan(&engines, range.clone(), Order::Ascending, 10).await, expected, "{range:?}");
            expected.reverse();
            assert_eq!(scan(&engines, range.clone(), Order::Descending, 10).await, expected, "{range:?}");
        }
    }
    for prefix in [b"".as_slice(), b"a", b"ab", b"abc", b"\xfe", b"\xff", b"\xff\xff"] {
        let expected: Vec<&[u8]> = keys.into_iter().filter(|key| key.starts_with(prefix)).collect();
        assert_eq!(scan(&engines, KeyRange::prefix(prefix), Order::Ascending, 10).await, expected, "{prefix:?}");
    }
}

pub(super) async fn deleted_rows_do_not_shorten_a_scan(engines: Engines) {
    let key = |key: u16| RowKey::new(TABLE, PARTITION, key.to_be_bytes().to_vec());
    let mut batch = Batch::default();
    for number in 0..1_000 {
        batch.put_versioned(key(number), "", 1);
    }
    write(&engines, batch).await;
    let mut batch = Batch::default();
    for number in 10..990 {
        batch.delete_versioned(key(number), 2);
    }
    write(&engines, batch).await;
    let expected: Vec<Vec<u8>> = (0..10_u16).chain(990..1_000).map(|key| key.to_be_bytes().to_vec()).collect();
    assert_eq!(scan(&engines, KeyRange::ALL, Order::Ascending, 20).await, expected);
    assert_eq!(scan(&engines, KeyRange::ALL, Order::Ascending, 15).await, expected[..15]);
    let middle = KeyRange { from: Some(Bytes::from_static(&[0, 50])), to: None };
    assert_eq!(scan(&engines, middle, Order::Ascending, 1).await, expected[10..11]);
}

/// Ids as big endian bytes, empty keys, and bytes above 0x7f order as unsigned bytes do.
pub(super) async fn keys_order_bytewise(engines: Engines) {
    let mut keys: Vec<Vec<u8>> =
        [1, 255, 256, u64::MAX / 2, u64::MAX].iter().map(|id: &u64| id.to_be_bytes().to_vec()).collect();
    keys.extend([vec![], vec![0], vec![0x7f], vec![0x80], vec![0x80, 0]]);
    fill(&engines, keys.clone()).await;
    keys.sort();
    assert_eq!(scan(&engines, KeyRange::ALL, Order::Ascending, 100).await, keys);
}
