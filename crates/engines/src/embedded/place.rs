//! Places of stores: one a family, in a folder of its own beside that of the first.
//!
//! The first store knows all families, their partitions, and a number by which the folders know that they belong
//! together. A new family's folder is made before it is entered there, in one commit with the new number of partitions:
//! cut off in between, an empty folder lies there that nobody knows, and is taken. What is known and missing is not
//! made anew, for it held something.

use std::hash::{BuildHasher as _, RandomState};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fjall::PersistMode;

use super::Settings;
use super::forget::Forgotten;
use super::keeper::Keeper;
use super::layout::{self, FOLDER_ID_KEY, PARTITIONS_KEY};
use super::store::{Store, named};
use crate::families::StoredFamily;
use crate::ports::{EngineError, Table};
use crate::{DiskRoom, Families, FamilyPlace, Scans};

/// Folder of the first family's store.
const FIRST_FOLDER: &str = "store";
/// Part of the cache that each of the other families has.
const CACHE_SHARE: u64 = 4;

/// Things that the stores of all families have together, and that outlive each opening of them.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) forgotten: Arc<Forgotten>,
    pub(super) scans: Arc<Scans>,
    pub(super) room: Arc<DiskRoom>,
}

impl Shared {
    pub(super) fn new(path: &Path, settings: &Settings) -> Self {
        let folders = settings.families.iter().enumerate().map(|(place, family)| folder_of(path, place, family.name));
        // A folder may be a disk of its own; one that is still to be made is on that of the whole.
        let folders = folders.chain([path.to_owned()]).collect();
        let room = Arc::new(DiskRoom::of_disks(folders, settings.free_bytes_min));
        Self { forgotten: Arc::default(), scans: Arc::default(), room }
    }
}

/// Place of a family's store.
#[derive(Clone)]
pub(super) struct Place {
    /// Folder of the engine.
    pub(super) path: PathBuf,
    /// Folder of the store.
    pub(super) folder: PathBuf,
    /// Name of the committer's thread.
    pub(super) thread: String,
    /// Numbers of the journal's partitions that are kept there.
    pub(super) partitions: Range<u16>,
    pub(super) own_table: Option<Table>,
    pub(super) settings: Settings,
    pub(super) shared: Shared,
}

impl Place {
    /// Place of the first family, whose partitions only its store knows.
    pub(super) fn first(path: &Path, settings: &Settings, shared: &Shared) -> Self {
        Self {
            path: path.to_owned(),
            folder: path.join(FIRST_FOLDER),
            thread: "committer".to_owned(),
            partitions: 0..0,
            own_table: settings.families.first().and_then(|family| family.own_table),
            settings: settings.clone(),
            shared: shared.clone(),
        }
    }

    /// Place of another family.
    fn other(&self, family: &FamilyPlace) -> Self {
        let mut place = self.clone();
        place.settings.cache_bytes /= CACHE_SHARE;
        place.folder = folder_of(&self.path, 1, family.name);
        place.thread = format!("commits-{}", family.name);
        place.own_table = family.own_table;
        place.of(family)
    }

    fn of(self, family: &FamilyPlace) -> Self {
        Self { partitions: family.first.0..family.first.0 + family.count, ..self }
    }
}

fn folder_of(path: &Path, place: usize, name: &str) -> PathBuf {
    if place == 0 { path.join(FIRST_FOLDER) } else { path.join(format!("store-{name}")) }
}

/// Opens the stores of all families, of which some may be new; the folder is locked.
pub(super) fn open_all(
    path: &Path,
    settings: &Settings,
    shared: &Shared,
) -> Result<(Families, Vec<Keeper>), EngineError> {
    let place = Place::first(path, settings, shared);
    let mut first = Store::open(&place)?;
    let stored = stored_families(&first, settings)?;
    let families = Families::settle(&stored, &settings.families)?;
    let is_new = |family: &FamilyPlace| stored.iter().all(|one| one.name != family.name);
    let id = folder_id(&first)?;
    let mut others = Vec::new();
    for family in families.all().iter().skip(1) {
        let place = place.other(family);
        let store = open_other(&place, family, is_new(family), id)?;
        others.push((place, store));
    }
    if families.all().iter().any(is_new) {
        enter(&first, &families, id)?;
    }
    let place = place.of(&families.all()[0]);
    first.find_tails(place.partitions.clone())?;
    let stores = std::iter::once((place, first)).chain(others);
    let keepers = stores.map(|(place, store)| Keeper::of(place, store)).collect::<Result<_, _>>()?;
    Ok((families, keepers))
}

/// Families that the first store knows. A folder of before there were families has one.
fn stored_families(first: &Store, settings: &Settings) -> Result<Vec<StoredFamily>, EngineError> {
    let mut families = Vec::new();
    for entry in first.meta.prefix(layout::FAMILY_PREFIX) {
        let (key, value) = entry.into_inner().map_err(|error| first.fault(error))?;
        families.push(layout::parse_family(&key, &value).ok_or_else(|| first.corrupt("a family of partitions"))?);
    }
    let Some(stored) = first.meta_value(PARTITIONS_KEY)? else {
        return if families.is_empty() { Ok(families) } else { Err(first.corrupt("the number of partitions")) };
    };
    let count = stored.as_ref().try_into().map_err(|_| first.corrupt("the number of partitions"))?;
    let count = u16::from_be_bytes(count);
    if families.is_empty() {
        let name = settings.families.first().map_or("", |family| family.name);
        families.push(StoredFamily { name: name.to_owned(), first: 0, count });
    }
    check_places(first.folder(), &families, count)?;
    Ok(families)
}

/// Refuses families that do not lie one behind the other, or are not all of the `count` partitions.
fn check_places(folder: &Path, families: &[StoredFamily], count: u16) -> Result<(), EngineError> {
    let mut in_order: Vec<&StoredFamily> = families.iter().collect();
    in_order.sort_unstable_by_key(|family| family.first);
    let mut next = 0;
    for family in &in_order {
        let is_in_its_place = family.first == next && family.count > 0;
        next = if is_in_its_place { family.first.saturating_add(family.count) } else { u16::MAX };
    }
    if next == count {
        return Ok(());
    }
    let told = in_order.iter().map(|one| format!("{} has {} from {} on", one.name, one.count, one.first));
    let told = told.collect::<Vec<_>>().join(", ");
    let what = format!("the families of its {count} partitions do not fit together ({told})");
    Err(named(folder, EngineError::Corrupt(what)))
}

/// The number by which folders of one whole know each other; a new one where there is none yet.
fn folder_id(store: &Store) -> Result<u64, EngineError> {
    match store.meta_value(FOLDER_ID_KEY)? {
        Some(id) => layout::number(&id).ok_or_else(|| store.corrupt("the folder's number")),
        None => Ok(RandomState::new().hash_one(store.folder())),
    }
}

fn open_other(place: &Place, family: &FamilyPlace, is_new: bool, id: u64) -> Result<Store, EngineError> {
    let (shown, name) = (place.folder.display(), family.name);
    if !is_new && !Store::is_there(&place.folder)? {
        return Err(EngineError::Corrupt(format!(
            "{shown}, the folder of {name}, is missing: restore it from the same backup as the rest"
        )));
    }
    let mut store = Store::open(place)?;
    if is_new {
        if !store.is_empty()? {
            return Err(EngineError::Corrupt(format!(
                "{shown} holds {name}, of which {} knows nothing: one of them is of another data folder or of another \
                 backup, or files of the latter are missing (its write-ahead log, *.jnl): restore all folders from one \
                 backup, or move {shown} away if it is foreign",
                place.path.join(FIRST_FOLDER).display()
            )));
        }
        let mut batch = store.db.batch().durability(Some(PersistMode::SyncAll));
        batch.insert(&store.meta, FOLDER_ID_KEY, id.to_be_bytes());
        batch.commit().map_err(|error| store.fault(error))?;
    } else if store.meta_value(FOLDER_ID_KEY)?.as_deref() != Some(&id.to_be_bytes()[..]) {
        return Err(EngineError::Corrupt(format!(
            "{shown} is of another data folder: restore all folders from one backup"
        )));
    }
    store.find_tails(place.partitions.clone())?;
    Ok(store)
}

/// Enters all families in the first store: in one commit, whichever of them are new.
fn enter(first: &Store, families: &Families, id: u64) -> Result<(), EngineError> {
    let mut batch = first.db.batch().durability(Some(PersistMode::SyncAll));
    batch.insert(&first.meta, PARTITIONS_KEY, families.partitions().to_be_bytes());
    batch.insert(&first.meta, FOLDER_ID_KEY, id.to_be_bytes());
    for family in families.all() {
        let (key, value) = layout::family_entry(family);
        batch.insert(&first.meta, key, value);
    }
    batch.commit().map_err(|error| first.fault(error))
}

#[cfg(test)]
#[path = "place_tests.rs"]
mod tests;
