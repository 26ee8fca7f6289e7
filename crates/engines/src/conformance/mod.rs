//! Conformance: what every engine must do, as one suite of checks a port. A check that fails panics with what it saw.
//!
//! Checks lean on the ports' words alone. So they repeat a write until it is acknowledged, as callers must; they write
//! an unversioned row with one value only; and they claim again where they do not know. That is why the hostile engine
//! passes the same suite with its faults turned on.

mod claims;
mod ephemeral;
mod families;
mod journal;
mod model;
mod objects;
mod scans;
mod signals;
mod stamps;
mod tables;
mod unique;
mod writer;

use std::future::Future;

use bytes::Bytes;

pub use self::ephemeral::ephemeral;
pub use self::families::OpenAgain;
use crate::ports::{Batch, EngineError, RowKey, Table};
use crate::{Engines, NewFamily};

/// Opens an engine that holds nothing yet; called anew for every check.
pub type Open<'a> = &'a dyn Fn() -> Engines;

/// Answers with an error that a call may get in a row before the suite gives up.
const TRIES_MAX: usize = 1_000;

const TABLE: Table = Table { id: 1, name: "conformance" };
const OTHER_TABLE: Table = Table { id: 2, name: "conformance_other" };

/// Checks the [`Tables`](crate::Tables) of an engine: rows, versions, scans, unique keys, limits, and random histories
/// (from `seed`) against a model.
pub async fn tables(open: Open<'_>, seed: u64) {
    tables::reads_what_was_written(open()).await;
    tables::unversioned_rows_can_be_deleted(open()).await;
    tables::the_highest_version_wins_in_every_order(open()).await;
    tables::later_entries_of_a_batch_win(open()).await;
    tables::tables_and_partitions_are_apart(open()).await;
    tables::a_partition_is_written_as_a_whole(open()).await;
    tables::limits_are_refused(open()).await;
    scans::both_ways_with_limits(open()).await;
    scans::ranges_and_prefixes(open()).await;
    scans::deleted_rows_do_not_shorten_a_scan(open()).await;
    scans::keys_order_bytewise(open()).await;
    tables::forgotten_deletes_stay_deleted(open()).await;
    tables::what_is_not_forgotten_stands_against_older_writes(open()).await;
    unique::one_of_many_wins(open()).await;
    unique::a_retry_is_mine(open()).await;
    unique::only_the_holder_releases(open()).await;
    unique::only_the_holder_is_replaced(open()).await;
    unique::one_of_many_replaces(open()).await;
    unique::no_replacement_is_lost(open()).await;
    model::random_histories(open, seed).await;
}

/// Checks the [`Journal`](crate::Journal) of an engine.
pub async fn journal(open: Open<'_>) {
    journal::records_are_read_in_order(open()).await;
    journal::reads_are_bounded(open()).await;
    journal::a_commit_shows_records_before_rows(open()).await;
    journal::a_commit_may_lack_either_half(open()).await;
    journal::many_tasks_of_one_owner_lose_nothing(open()).await;
    journal::checkpoints_never_move_back(open()).await;
    journal::trimming_keeps_what_is_needed(open()).await;
    journal::limits_are_refused(open()).await;
    claims::a_newer_claim_fences_the_older_term(open()).await;
    claims::a_record_counts_once(open()).await;
    claims::a_missing_call_ends_the_term(open()).await;
    claims::calls_under_way_stand_from_the_first_on(open()).await;
    claims::a_position_is_gone_on_from(open()).await;
    claims::whoever_claims_again_knows(open()).await;
}

/// Checks that data can be opened with more families than before, and keeps them.
pub async fn growth(open: OpenAgain<'_>) {
    families::families_come_and_stay(open).await;
}

/// Checks that what belongs to different families is apart; `open` opens an engine that holds nothing yet.
pub async fn families(open: &dyn Fn(&[NewFamily]) -> Engines) {
    families::a_batch_stays_within_one(open(&families::two())).await;
}

/// Checks the [`Journal`](crate::Journal) of an engine with a clock of its own, which `set` sets (Unix milliseconds).
pub async fn own_clock(engines: Engines, set: &dyn Fn(u64)) {
    stamps::moments_are_told_and_stored(engines, set).await;
}

/// Checks the [`Objects`](crate::Objects) of an engine.
pub async fn objects(open: Open<'_>) {
    objects::come_back_whole_and_in_parts(open()).await;
    objects::are_replaced_and_removed(open()).await;
    objects::are_never_seen_in_part(open()).await;
    objects::bad_keys_are_refused(open()).await;
}

/// Checks the [`Bus`](crate::Bus) of an engine.
pub async fn bus(open: Open<'_>) {
    signals::arrive_in_order_at_every_subscriber(open()).await;
    signals::stay_in_their_topic(open()).await;
    signals::a_slow_subscriber_loses_the_newest(open()).await;
    signals::limits_are_refused(open()).await;
}

/// Repeats a call until it is neither unavailable nor unknown, as the ports tell callers to.
async fn settled<T, F>(mut call: impl FnMut() -> F) -> Result<T, EngineError>
where
    F: Future<Output = Result<T, EngineError>>,
{
    let mut tries = 0;
    loop {
        match call().await {
            Err(EngineError::Unavailable(_) | EngineError::Unknown(_)) if tries < TRIES_MAX => tries += 1,
            settled => return settled,
        }
    }
}

/// Repeats a call until it succeeds.
async fn sure<T, F>(call: impl FnMut() -> F) -> T
where
    F: Future<Output = Result<T, EngineError>>,
{
    match settled(call).await {
        Ok(value) => value,
        Err(error) => panic!("a call that breaks no limit failed: {error}"),
    }
}

/// Checks that a call breaks a limit.
async fn refused<T, F>(what: &str, call: impl FnMut() -> F)
where
    F: Future<Output = Result<T, EngineError>>,
{
    match settled(call).await {
        Err(EngineError::Limit(_)) => {}
        Err(error) => panic!("{what}: {error} instead of a limit"),
        Ok(_) => panic!("{what} was accepted"),
    }
}

async fn write(engines: &Engines, batch: Batch) {
    sure(|| engines.tables.write(batch.clone())).await;
}

async fn get(engines: &Engines, key: &RowKey) -> Option<Bytes> {
    sure(|| engines.tables.get(key)).await
}

fn text(text: impl Into<String>) -> Bytes {
    Bytes::from(text.into())
}
