//! Families: journal partitions and tables that belong together, apart from all others. Pure.
//!
//! What one family does waits for no other: a durable engine gives each a store, a committer and an fsync of its own.
//! So a batch, and a commit with its rows, stays within one. Which partitions a family has is decided when it is made,
//! and stored: whoever is in a partition stays there.

use std::sync::Arc;

use crate::ports::{Batch, EngineError, Partition, Table};

/// Partitions of all families together, at most. Higher numbers are for ids that are no records.
const PARTITIONS_MAX: u16 = 1_000;
/// Longest name of a family in bytes.
const NAME_BYTES_MAX: usize = 32;

/// Family that data is to be opened with.
#[derive(Debug, Clone, Copy)]
pub struct NewFamily {
    /// Name, 1 to 32 bytes of `a-z 0-9 - _`; stored.
    pub name: &'static str,
    /// Partitions of a family that is made now; a stored one must have as many. `None` is what is stored, or one.
    pub partitions: Option<u16>,
    /// Whether a table is the family's, by its number. The first family of a list is not asked: it has all that no
    /// other has.
    pub tables: fn(u8) -> bool,
    /// Table of few rows that the family's owners keep for themselves, if there is one: it is written as long as the
    /// disk takes anything, for no other write is without it.
    pub own_table: Option<Table>,
}

impl NewFamily {
    /// The family that has every table.
    #[must_use]
    pub const fn of_all(partitions: Option<u16>) -> Self {
        Self { name: "social", partitions, tables: |_| true, own_table: None }
    }
}

/// Family of opened data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FamilyPlace {
    /// Name.
    pub name: &'static str,
    /// The first of its partitions; the others follow.
    pub first: Partition,
    /// Number of its partitions.
    pub count: u16,
    /// Table that its owners keep for themselves.
    pub own_table: Option<Table>,
}

impl FamilyPlace {
    /// Partitions of the family.
    pub fn partitions(&self) -> impl Iterator<Item = Partition> + use<> {
        (self.first.0..self.first.0 + self.count).map(Partition)
    }
}

/// Place of a family as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredFamily {
    /// Name.
    pub name: String,
    /// The first of its partitions.
    pub first: u16,
    /// Number of its partitions.
    pub count: u16,
}

/// Families of opened data, in the order in which they were asked for. Clones share them.
#[derive(Debug, Clone)]
pub struct Families(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    families: Vec<FamilyPlace>,
    partitions: u16,
    /// By number of a table: place of its family in the list.
    of_table: [u8; 256],
}

impl Families {
    /// Families of data in which `stored` are, asked for as `wanted`: those that are new follow behind all others.
    ///
    /// # Errors
    /// [`EngineError::Limit`] when a stored one has another number of partitions than is wanted, or is not wanted; when
    /// there are too many; or when two have the same name or table.
    pub fn settle(stored: &[StoredFamily], wanted: &[NewFamily]) -> Result<Self, EngineError> {
        if let Some(unknown) = stored.iter().find(|one| wanted.iter().all(|new| new.name != one.name)) {
            return Err(refused(format!("the data holds the family {}, which nobody asks for", unknown.name)));
        }
        let mut partitions = stored.iter().map(|one| one.first.saturating_add(one.count)).max().unwrap_or(0);
        let (mut families, mut of_table) = (Vec::with_capacity(wanted.len()), [0; 256]);
        for (place, new) in wanted.iter().enumerate() {
            check_name(new.name)?;
            if wanted[..place].iter().any(|one| one.name == new.name) {
                return Err(refused(format!("two families are called {}", new.name)));
            }
            let (first, count) = match stored.iter().find(|one| one.name == new.name) {
                Some(one) => (one.first, one.count),
                None => (partitions, new.partitions.unwrap_or(1)),
            };
            if let Some(asked) = new.partitions.filter(|asked| *asked != count) {
                return Err(refused(format!(
                    "the family {} has {count} partitions since it was made, which stay as they are: {asked} are \
                     asked for",
                    new.name
                )));
            }
            if count == 0 {
                return Err(refused(format!("the family {} has at least one partition", new.name)));
            }
            partitions = partitions.max(first.saturating_add(count));
            families.push(FamilyPlace { name: new.name, first: Partition(first), count, own_table: new.own_table });
            for table in (0..=u8::MAX).filter(|table| place > 0 && (new.tables)(*table)) {
                if std::mem::replace(&mut of_table[usize::from(table)], place as u8) != 0 {
                    return Err(refused(format!("two families have the table {table}")));
                }
            }
        }
        if families.is_empty() {
            return Err(refused("there is at least one family".to_owned()));
        }
        if partitions > PARTITIONS_MAX {
            return Err(refused(format!("{partitions} partitions; {PARTITIONS_MAX} is the most of all families")));
        }
        Ok(Self(Arc::new(Inner { families, partitions, of_table })))
    }

    /// The families.
    #[must_use]
    pub fn all(&self) -> &[FamilyPlace] {
        &self.0.families
    }

    /// The family called `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&FamilyPlace> {
        self.0.families.iter().find(|family| family.name == name)
    }

    /// Number of all partitions.
    #[must_use]
    pub fn partitions(&self) -> u16 {
        self.0.partitions
    }

    /// Family of a partition, by its place in the list; the first for one that is nobody's.
    pub(crate) fn of_partition(&self, partition: Partition) -> usize {
        let is_its = |family: &FamilyPlace| (family.first.0..family.first.0 + family.count).contains(&partition.0);
        self.0.families.iter().position(is_its).unwrap_or(0)
    }

    /// Family of a table, by its place in the list.
    pub(crate) fn of_table(&self, table: Table) -> usize {
        usize::from(self.0.of_table[usize::from(table.id)])
    }

    /// The one family that has all rows of `batch`, by its place in the list; the first for an empty one.
    ///
    /// # Errors
    /// [`EngineError::Limit`] when there are several.
    pub(crate) fn of_batch(&self, batch: &Batch) -> Result<usize, EngineError> {
        let Some(first) = batch.rows.first() else { return Ok(0) };
        let family = self.of_table(first.key.table);
        self.check_rows(family, batch)?;
        Ok(family)
    }

    /// The family of `partition`, by its place in the list, which has all rows of `batch` too.
    ///
    /// # Errors
    /// As [`of_batch`](Self::of_batch).
    pub(crate) fn of_commit(&self, partition: Partition, batch: &Batch) -> Result<usize, EngineError> {
        let family = self.of_partition(partition);
        self.check_rows(family, batch)?;
        Ok(family)
    }

    fn check_rows(&self, family: usize, batch: &Batch) -> Result<(), EngineError> {
        match batch.rows.iter().map(|row| row.key.table).find(|table| self.of_table(*table) != family) {
            None => Ok(()),
            Some(other) => Err(refused(format!(
                "a batch never spans families: it is of {}, and the table {} is of {}",
                self.0.families[family].name,
                other.name,
                self.0.families[self.of_table(other)].name
            ))),
        }
    }
}

fn refused(what: String) -> EngineError {
    EngineError::Limit(what)
}

fn check_name(name: &str) -> Result<(), EngineError> {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_';
    if (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(fits) {
        return Ok(());
    }
    Err(refused(format!("a family's name has 1 to {NAME_BYTES_MAX} bytes of a-z 0-9 - _, not {name:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::RowKey;

    const fn new(name: &'static str, partitions: Option<u16>, tables: fn(u8) -> bool) -> NewFamily {
        NewFamily { name, partitions, tables, own_table: None }
    }

    fn stored(name: &str, first: u16, count: u16) -> StoredFamily {
        StoredFamily { name: name.to_owned(), first, count }
    }

    fn refusal(stored: &[StoredFamily], wanted: &[NewFamily]) -> String {
        Families::settle(stored, wanted).unwrap_err().to_string()
    }

    #[test]
    fn a_new_family_follows_behind_all_others_and_a_stored_one_stays() {
        let wanted = [
            new("social", Some(3), |_| true),
            new("chat", None, |id| (100..=139).contains(&id)),
            new("clicks", Some(2), |id| (90..=99).contains(&id)),
        ];
        let fresh = Families::settle(&[], &wanted).unwrap();
        let places = |families: &Families| -> Vec<(u16, u16)> {
            families.all().iter().map(|one| (one.first.0, one.count)).collect()
        };
        assert_eq!((places(&fresh), fresh.partitions()), (vec![(0, 3), (3, 1), (4, 2)], 6));
        let later = Families::settle(&[stored("clicks", 3, 2), stored("social", 0, 3)], &wanted).unwrap();
        assert_eq!((places(&later), later.partitions()), (vec![(0, 3), (5, 1), (3, 2)], 6));
        assert_eq!((0..6).map(|one| later.of_partition(Partition(one))).collect::<Vec<_>>(), [0, 0, 0, 2, 2, 1]);
        let table = |id| Table { id, name: "table" };
        assert_eq!([0, 89, 90, 99, 100, 140].map(|id| later.of_table(table(id))), [0, 0, 2, 2, 1, 0]);
        let following = Families::settle(&[stored("social", 0, 7)], &[new("social", None, |_| true)]).unwrap();
        assert_eq!(following.partitions(), 7, "whoever asks for no number takes what is there");
    }

    #[test]
    fn what_does_not_fit_is_refused_by_name() {
        let social = || new("social", Some(1), |_| true);
        let other = refusal(&[stored("social", 0, 3)], &[social()]);
        assert!(other.contains("social has 3 partitions") && other.contains('1'), "{other}");
        assert!(refusal(&[stored("teleports", 0, 1)], &[social()]).contains("teleports"));
        assert!(refusal(&[], &[social(), social()]).contains("two families"));
        assert!(
            refusal(&[], &[social(), new("chat", None, |id| id == 6), new("clicks", None, |id| id == 6)])
                .contains("table 6")
        );
        assert!(
            refusal(&[], &[new("social", Some(PARTITIONS_MAX), |_| true), new("chat", None, |id| id == 6)])
                .contains("1001")
        );
        assert!(refusal(&[], &[new("social", Some(0), |_| true)]).contains("at least one"));
        for name in ["", "A", "a/b", "..", &"a".repeat(33)] {
            assert!(check_name(name).is_err(), "{name:?}");
        }
        assert!(Families::settle(&[], &[]).is_err());
    }

    #[test]
    fn a_batch_is_of_one_family() {
        let families = Families::settle(
            &[],
            &[new("social", Some(1), |_| true), new("chat", None, |id| (100..=139).contains(&id))],
        )
        .unwrap();
        let batch = |tables: &[u8]| {
            let mut batch = Batch::default();
            tables.iter().for_each(|&id| batch.put(RowKey::single(Table { id, name: "some" }, "p"), "v"));
            batch
        };
        assert_eq!(families.of_batch(&batch(&[])).unwrap(), 0);
        assert_eq!(families.of_batch(&batch(&[100, 139])).unwrap(), 1);
        assert!(matches!(families.of_batch(&batch(&[100, 1])), Err(EngineError::Limit(_))));
        assert_eq!(families.of_commit(Partition(1), &batch(&[120])).unwrap(), 1);
        assert!(families.of_commit(Partition(0), &batch(&[120])).is_err());
    }
}
