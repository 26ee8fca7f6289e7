//! Large immutable bytes.

use bytes::Bytes;

use super::{refused, sure, text};
use crate::Engines;

async fn get(engines: &Engines, key: &str, range: Option<(u64, u64)>) -> Option<(u64, Bytes)> {
    let object = sure(|| engines.objects.get(key, range)).await;
    object.map(|object| (object.bytes_total, object.data))
}

pub(super) async fn come_back_whole_and_in_parts(engines: Engines) {
    assert_eq!(get(&engines, "absent", None).await, None);
    assert!(sure(|| engines.objects.head("absent")).await.is_none());
    for (key, data) in [("empty", Bytes::new()), ("a/b/c.jpg", text("0123456789")), ("a/b", text("file and folder"))] {
        sure(|| engines.objects.put(key, data.clone())).await;
    }
    let large = Bytes::from((0..3_000_000_u32).map(|byte| byte as u8).collect::<Vec<_>>());
    sure(|| engines.objects.put("large", large.clone())).await;
    assert_eq!(get(&engines, "empty", None).await, Some((0, Bytes::new())));
    assert_eq!(get(&engines, "a/b", None).await, Some((15, text("file and folder"))));
    assert!(get(&engines, "large", None).await == Some((3_000_000, large.clone())));
    assert!(
        get(&engines, "large", Some((1_000_000, 2_000_000)))
            .await
            .is_some_and(|(_, part)| part == large[1_000_000..2_000_000])
    );
    for (range, part) in
        [((0, 10), "0123456789"), ((2, 5), "234"), ((5, u64::MAX), "56789"), ((10, 20), ""), ((5, 2), ""), ((3, 3), "")]
    {
        assert_eq!(get(&engines, "a/b/c.jpg", Some(range)).await, Some((10, text(part))), "{range:?}");
    }
    assert_eq!(sure(|| engines.objects.head("a/b/c.jpg")).await.map(|meta| meta.bytes), Some(10));
}

pub(super) async fn are_replaced_and_removed(engines: Engines) {
    sure(|| engines.objects.put("key", text("first and longer"))).await;
    sure(|| engines.objects.put("key", text("second"))).await;
    assert_eq!(get(&engines, "key", None).await, Some((6, text("second"))));
    sure(|| engines.objects.delete("key")).await;
    sure(|| engines.objects.delete("key")).await;
    assert_eq!(get(&engines, "key", None).await, None);
}

pub(super) async fn are_never_seen_in_part(engines: Engines) {
    let versions: Vec<Bytes> = (1..=2_u8).map(|fill| Bytes::from(vec![fill; 100_000 * usize::from(fill)])).collect();
    let (writer, written) = (engines.clone(), versions.clone());
    let writing = tokio::spawn(async move {
        for round in 0..20 {
            sure(|| writer.objects.put("key", written[round % 2].clone())).await;
        }
    });
    while !writing.is_finished() {
        let whole = get(&engines, "key", None).await.is_none_or(|(_, data)| versions.contains(&data));
        assert!(whole, "an object was seen in part");
        tokio::task::yield_now().await;
    }
    assert!(get(&engines, "key", None).await.is_some_and(|(_, data)| data == versions[1]));
}

pub(super) async fn bad_keys_are_refused(engines: Engines) {
    for key in ["", "/etc/passwd", "../up", "a/../../up", "a//b", "a/", ".", "Upper", "a b", "a\\b", "a\0b", "a+b"] {
        refused("putting a bad key", || engines.objects.put(key, Bytes::new())).await;
        refused("getting a bad key", || engines.objects.get(key, None)).await;
        refused("asking for a bad key", || engines.objects.head(key)).await;
        refused("deleting a bad key", || engines.objects.delete(key)).await;
    }
    let longest = format!("{}{}", "a/".repeat(99), "ab");
    sure(|| engines.objects.put(&longest, text("kept"))).await;
    assert_eq!(get(&engines, &longest, None).await, Some((4, text("kept"))));
}
