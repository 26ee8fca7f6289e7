//! Logs with a clock of their own: the moment of each append is told, stored, and never asked for again.

use bytes::Bytes;

use super::writer::{P, claimant, read_all};
use super::{TRIES_MAX, sure};
use crate::Engines;
use crate::admission::{APPEND_DRIFT_MS_MAX, ID_BELOW_MS_BITS, ID_EPOCH_MS};
use crate::claim::Claim;
use crate::ports::{Batch, Claimant, EngineError, NewRecord};

const NOW_MS: u64 = 1_800_000_000_000;
const HOUR_MS: u64 = 3_600_000;

async fn take(engines: &Engines, claimant: &Claimant) -> Claim {
    sure(|| Claim::take(engines.journal.clone(), P, claimant.clone())).await
}

/// Appends a record of a moment; answers the log's time, or none when it was refused.
async fn append(claim: &mut Claim, id_ms: u64) -> Option<u64> {
    let id = (id_ms - ID_EPOCH_MS) << ID_BELOW_MS_BITS;
    let record = [NewRecord { id, payload: Bytes::copy_from_slice(&id.to_be_bytes()) }];
    for _ in 0..TRIES_MAX {
        match claim.append(&record, &Batch::default()).await {
            Ok(_) => return claim.heard_ms(),
            Err(EngineError::Fenced) => return None,
            Err(EngineError::Unavailable(_) | EngineError::Unknown(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
    panic!("an append was never answered");
}

async fn stamps(engines: &Engines) -> Vec<u64> {
    read_all(engines).await.iter().map(|record| record.appended_ms).collect()
}

/// `set` sets the log's clock.
pub(super) async fn moments_are_told_and_stored(engines: Engines, set: &dyn Fn(u64)) {
    let owner = claimant("owner");
    set(NOW_MS);
    let mut claim = take(&engines, &owner).await;
    assert_eq!((claim.heard_ms(), claim.heard_ms()), (Some(NOW_MS), None), "a claim tells the time, once");
    assert_eq!(append(&mut claim, NOW_MS - APPEND_DRIFT_MS_MAX).await, Some(NOW_MS));
    set(NOW_MS + 1_000);
    assert_eq!(append(&mut claim, NOW_MS + 1_000 + APPEND_DRIFT_MS_MAX).await, Some(NOW_MS + 1_000));
    assert_eq!(stamps(&engines).await, [NOW_MS, NOW_MS + 1_000]);
    for late_ms in [NOW_MS + HOUR_MS, NOW_MS + 9 * HOUR_MS] {
        set(late_ms);
        assert_eq!(stamps(&engines).await, [NOW_MS, NOW_MS + 1_000], "what counted counts on");
        for other_ms in [late_ms - APPEND_DRIFT_MS_MAX - 1, late_ms + APPEND_DRIFT_MS_MAX + 1] {
            let mut claim = take(&engines, &owner).await;
            assert_eq!(append(&mut claim, other_ms).await, None, "an id of another time");
        }
        assert_eq!(stamps(&engines).await, [NOW_MS, NOW_MS + 1_000], "nobody sees it");
    }
    let import = Claimant { is_import: true, ..claimant("import") };
    let mut claim = take(&engines, &import).await;
    assert!(append(&mut claim, NOW_MS + HOUR_MS).await.is_some(), "an import's ids are of any time");
    assert_eq!(stamps(&engines).await, [NOW_MS, NOW_MS + 1_000, NOW_MS + 9 * HOUR_MS]);
}
