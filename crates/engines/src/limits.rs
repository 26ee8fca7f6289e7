//! Bounds of the ports and the checks that every engine makes before it touches anything.
//!
//! One place, so that no engine is laxer than the weakest and code that works on one works on all.

use std::time::Duration;

use crate::ports::{Batch, Claimant, EngineError, NewRecord, Partition, RowKey};

/// Longest partition key in bytes; the shortest is 1.
pub const PARTITION_KEY_BYTES_MAX: usize = 255;
/// Longest clustering key in bytes.
pub const CLUSTERING_KEY_BYTES_MAX: usize = 512;
/// Largest value of a row and largest payload of a journal record, in bytes.
pub const VALUE_BYTES_MAX: usize = 1024 * 1024;
/// Most bytes (keys, values and payloads) of one write or commit.
pub const WRITE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Most payload bytes of one [`Journal::read`](crate::Journal::read), unless its first record is larger.
pub const READ_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Longest name of a consumer or a claimant in bytes.
pub const CONSUMER_BYTES_MAX: usize = 64;
/// Longest object key in bytes.
pub const OBJECT_KEY_BYTES_MAX: usize = 200;
/// Largest object in bytes.
pub const OBJECT_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Longest topic in bytes.
pub const TOPIC_BYTES_MAX: usize = 256;
/// Largest message of the bus in bytes.
pub const MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// Longest key of the ephemeral store in bytes.
pub const EPHEMERAL_KEY_BYTES_MAX: usize = 256;
/// Largest value of the ephemeral store in bytes.
pub const EPHEMERAL_VALUE_BYTES_MAX: usize = 64 * 1024;
/// Longest time to live of the ephemeral store.
pub const EPHEMERAL_TTL_MAX: Duration = Duration::from_hours(24);

fn limit(broken: bool, what: impl FnOnce() -> String) -> Result<(), EngineError> {
    if broken { Err(EngineError::Limit(what())) } else { Ok(()) }
}

/// Checks a partition key alone, as scans take it.
pub(crate) fn check_partition_key(partition: &[u8]) -> Result<(), EngineError> {
    limit(partition.is_empty() || partition.len() > PARTITION_KEY_BYTES_MAX, || {
        format!("a partition key has 1 to {PARTITION_KEY_BYTES_MAX} bytes, this one {}", partition.len())
    })
}

/// Checks both halves of a row's key.
pub(crate) fn check_row_key(key: &RowKey) -> Result<(), EngineError> {
    check_partition_key(&key.partition)?;
    limit(key.clustering.len() > CLUSTERING_KEY_BYTES_MAX, || {
        format!("a clustering key has at most {CLUSTERING_KEY_BYTES_MAX} bytes, this one {}", key.clustering.len())
    })
}

/// Checks one value or payload.
pub(crate) fn check_value(value: &[u8]) -> Result<(), EngineError> {
    limit(value.len() > VALUE_BYTES_MAX, || {
        format!("a value has at most {VALUE_BYTES_MAX} bytes, this one {}", value.len())
    })
}

/// Checks records and rows that are to be written together; answers their size in bytes.
pub(crate) fn check_write(records: &[NewRecord], batch: &Batch) -> Result<usize, EngineError> {
    let rows_max = Batch::ROWS_MAX;
    limit(batch.rows.len() > rows_max, || {
        format!("a batch has at most {rows_max} rows, this one {}", batch.rows.len())
    })?;
    limit(records.len() > rows_max, || format!("a commit has at most {rows_max} records, this one {}", records.len()))?;
    let mut bytes = 0;
    for record in records {
        check_value(&record.payload)?;
        bytes += record.payload.len();
    }
    for row in &batch.rows {
        check_row_key(&row.key)?;
        let value = row.value.as_deref().unwrap_or_default();
        check_value(value)?;
        bytes += row.key.partition.len() + row.key.clustering.len() + value.len();
    }
    limit(bytes > WRITE_BYTES_MAX, || format!("one write has at most {WRITE_BYTES_MAX} bytes, this one {bytes}"))?;
    Ok(bytes)
}

/// Checks that a journal partition exists.
pub(crate) fn check_partition(partition: Partition, partitions: u16) -> Result<(), EngineError> {
    limit(partition.0 >= partitions, || {
        format!("there are {partitions} journal partitions; there is no number {}", partition.0)
    })
}

/// Checks who claims.
pub(crate) fn check_claimant(claimant: &Claimant) -> Result<(), EngineError> {
    check_consumer(&claimant.node)
}

/// Checks the name of a consumer.
pub(crate) fn check_consumer(consumer: &str) -> Result<(), EngineError> {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_';
    let good = (1..=CONSUMER_BYTES_MAX).contains(&consumer.len()) && consumer.bytes().all(fits);
    limit(!good, || format!("a name has 1 to {CONSUMER_BYTES_MAX} bytes of a-z 0-9 - _, not {consumer:?}"))
}

/// Checks an object's key: it can never name anything outside its folder.
pub(crate) fn check_object_key(key: &str) -> Result<(), EngineError> {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_./".contains(&byte);
    let segments = key.split('/').all(|segment| !matches!(segment, "" | "." | ".."));
    let good = (1..=OBJECT_KEY_BYTES_MAX).contains(&key.len()) && key.bytes().all(fits) && segments;
    limit(!good, || {
        format!("an object's key has 1 to {OBJECT_KEY_BYTES_MAX} bytes of a-z 0-9 - _ / . and no empty or dot segments")
    })
}

/// Checks an object's size.
pub(crate) fn check_object(data: &[u8]) -> Result<(), EngineError> {
    limit(data.len() > OBJECT_BYTES_MAX, || {
        format!("an object has at most {OBJECT_BYTES_MAX} bytes, this one {}", data.len())
    })
}

/// Checks a topic of the bus.
pub(crate) fn check_topic(topic: &str) -> Result<(), EngineError> {
    limit(topic.is_empty() || topic.len() > TOPIC_BYTES_MAX, || {
        format!("a topic has 1 to {TOPIC_BYTES_MAX} bytes, this one {}", topic.len())
    })
}

/// Checks a message of the bus.
pub(crate) fn check_message(message: &[u8]) -> Result<(), EngineError> {
    limit(message.len() > MESSAGE_BYTES_MAX, || {
        format!("a message has at most {MESSAGE_BYTES_MAX} bytes, this one {}", message.len())
    })
}

/// Checks a key of the ephemeral store.
pub(crate) fn check_ephemeral_key(key: &[u8]) -> Result<(), EngineError> {
    limit(key.is_empty() || key.len() > EPHEMERAL_KEY_BYTES_MAX, || {
        format!("an ephemeral key has 1 to {EPHEMERAL_KEY_BYTES_MAX} bytes, this one {}", key.len())
    })
}

/// Checks an entry of the ephemeral store.
pub(crate) fn check_ephemeral(key: &[u8], value: &[u8], ttl: Duration) -> Result<(), EngineError> {
    check_ephemeral_key(key)?;
    limit(value.len() > EPHEMERAL_VALUE_BYTES_MAX, || {
        format!("an ephemeral value has at most {EPHEMERAL_VALUE_BYTES_MAX} bytes, this one {}", value.len())
    })?;
    limit(ttl.is_zero() || ttl > EPHEMERAL_TTL_MAX, || {
        format!("a time to live is above 0 and at most {EPHEMERAL_TTL_MAX:?}, not {ttl:?}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_key_cannot_leave_its_folder() {
        for bad in ["", "/a", "a/", "a//b", "..", "a/../b", "./a", "A", "a\\b", "a\0", "ü", &"a".repeat(201)] {
            assert!(check_object_key(bad).is_err(), "{bad:?} passed");
        }
        for good in ["a", "a/b/c.jpg", "..a", "a..b/.c", "0-_9"] {
            assert!(check_object_key(good).is_ok(), "{good:?} was refused");
        }
    }

    #[test]
    fn a_consumer_has_a_plain_name() {
        for bad in ["", "A", "a b", "a/b", &"a".repeat(65)] {
            assert!(check_consumer(bad).is_err(), "{bad:?} passed");
        }
        assert!(check_consumer("feed-rows_2").is_ok());
    }
}
