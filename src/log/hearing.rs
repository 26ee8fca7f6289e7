//! Hearing: how far the partitions of a family are settled, as nodes tell each other.
//!
//! An owner says how far its partition is settled: rows of every record below are written. Who hears it reads the log
//! up to there, and tells its own views. What is said stays true, whoever says it and however late, for rows of records
//! that count are never unwritten; so a sign that is lost costs no more than the time until the next. A node that is
//! alone has none of this.

use std::sync::Arc;
use std::time::Duration;

use fanfare_engines::{Partition, Position};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, watch};

/// Pause after which whoever owns nothing looks at the roster again, if it hears nothing.
pub(super) const ROSTER_PAUSE: Duration = Duration::from_millis(50);

/// End of what is settled in a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SettledEnd {
    /// Offset below which every record has its rows.
    pub offset: u64,
    /// The term of the newest claim below it.
    pub term: u64,
}

/// Sign of an owner: a partition, and where it is settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettledSign {
    /// The partition.
    pub partition: u16,
    /// End of what is settled.
    pub end: SettledEnd,
}

/// Ears and mouth of a family's partitions on a node; clones are the same.
#[derive(Debug, Clone)]
pub struct Hearing(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    first: u16,
    /// Ends that others said, by partition.
    heard: Vec<watch::Sender<Option<SettledEnd>>>,
    /// Ends to be said of partitions that are owned here.
    says: Mutex<Vec<Option<SettledEnd>>>,
    said: Notify,
    /// Takes what the log holds for settled: for a test that must notice.
    #[cfg(test)]
    believes_the_log: std::sync::atomic::AtomicBool,
}

impl Hearing {
    /// Of the partitions of a family, `count` from `first` on.
    #[must_use]
    pub fn new(Partition(first): Partition, count: u16) -> Self {
        let heard = (0..count).map(|_| watch::Sender::new(None)).collect();
        let says = Mutex::new(vec![None; usize::from(count)]);
        Self(Arc::new(Shared {
            first,
            heard,
            says,
            said: Notify::new(),
            #[cfg(test)]
            believes_the_log: std::sync::atomic::AtomicBool::default(),
        }))
    }

    fn place(&self, Partition(partition): Partition) -> Option<usize> {
        let place = usize::from(partition.checked_sub(self.0.first)?);
        (place < self.0.heard.len()).then_some(place)
    }

    /// Takes in that another node says where a partition is settled; nothing of one that is none of the family's.
    pub fn hear(&self, SettledSign { partition, end }: SettledSign) {
        let Some(place) = self.place(Partition(partition)) else { return };
        self.0.heard[place].send_if_modified(|heard| {
            let is_later = heard.is_none_or(|heard| heard < end);
            if is_later {
                *heard = Some(end);
            }
            is_later
        });
    }

    /// Ends of `partition`, as others say them.
    pub(super) fn ends_of(&self, partition: Partition) -> Option<watch::Receiver<Option<SettledEnd>>> {
        Some(self.0.heard[self.place(partition)?].subscribe())
    }

    /// The owner of `partition` has settled it up to `position`.
    pub(crate) fn say(&self, partition: Partition, position: Position) {
        let (Some(place), Some(term)) = (self.place(partition), position.term) else { return };
        self.0.says.lock()[place] = Some(SettledEnd { offset: position.offset.0, term: term.0 });
        self.0.said.notify_one();
    }

    /// Says nothing of `partition` any more, which this node does not own.
    pub(super) fn be_silent(&self, partition: Partition) {
        if let Some(place) = self.place(partition) {
            self.0.says.lock()[place] = None;
        }
    }

    /// Signs of everything that is owned here.
    #[must_use]
    pub fn signs(&self) -> Vec<SettledSign> {
        let says = self.0.says.lock();
        let sign = |(place, end): (usize, &Option<SettledEnd>)| {
            end.map(|end| SettledSign { partition: self.0.first + place as u16, end })
        };
        says.iter().enumerate().filter_map(sign).collect()
    }

    /// Takes what the log holds for settled.
    #[cfg(test)]
    pub(super) fn believe_the_log(&self) {
        self.0.believes_the_log.store(true, std::sync::atomic::Ordering::Relaxed);
    }

    /// The end of what is settled, as it was heard.
    #[cfg(test)]
    pub(super) fn believed(&self, heard: Option<SettledEnd>) -> Option<SettledEnd> {
        let believes = self.0.believes_the_log.load(std::sync::atomic::Ordering::Relaxed);
        if believes { Some(SettledEnd { offset: u64::MAX, term: heard.map_or(0, |end| end.term) }) } else { heard }
    }

    /// Waits until there is something new to say.
    pub async fn has_news(&self) {
        self.0.said.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fanfare_engines::{Offset, Term};

    #[test]
    fn the_latest_end_is_heard_whatever_order_signs_come_in() {
        let hearing = Hearing::new(Partition(4), 2);
        let ends = hearing.ends_of(Partition(5)).unwrap();
        let sign = |offset, term| SettledSign { partition: 5, end: SettledEnd { offset, term } };
        for (sign, heard) in [(sign(7, 1), 7), (sign(6, 1), 7), (sign(9, 8), 9), (sign(7, 1), 9)] {
            hearing.hear(sign);
            assert_eq!(ends.borrow().map(|end| end.offset), Some(heard));
        }
        hearing.hear(SettledSign { partition: 6, ..sign(1, 1) });
        hearing.hear(SettledSign { partition: 3, ..sign(1, 1) });
        assert!(hearing.ends_of(Partition(3)).is_none() && hearing.ends_of(Partition(6)).is_none());
    }

    #[test]
    fn an_owner_says_where_it_is_and_nothing_once_it_is_none() {
        let hearing = Hearing::new(Partition(4), 2);
        let at = |offset| Position { offset: Offset(offset), term: Some(Term(3)), ..Position::START };
        hearing.say(Partition(5), at(8));
        hearing.say(Partition(5), at(9));
        let end = SettledEnd { offset: 9, term: 3 };
        assert_eq!(hearing.signs(), [SettledSign { partition: 5, end }]);
        hearing.be_silent(Partition(5));
        assert!(hearing.signs().is_empty());
    }
}
