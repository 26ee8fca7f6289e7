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
use super::store::{Store, corrupt, fault};
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
        let (key, value) = entry.into_inner().map_err(fault)?;
        families.push(layout::parse_family(&key, &value).ok_or_else(|| corrupt("a family of partitions"))?);
    }
    if families.is_empty()
        && let Some(stored) = first.meta.get(PARTITIONS_KEY).map_err(fault)?
    {
        let count = stored.as_ref().try_into().map_err(|_| corrupt("the number of partitions"))?;
        let name = settings.families.first().map_or("", |family| family.name);
        families.push(StoredFamily { name: name.to_owned(), first: 0, count: u16::from_be_bytes(count) });
    }
    Ok(families)
}

/// The number by which folders of one whole know each other; a new one where there is none yet.
fn folder_id(store: &Store) -> Result<u64, EngineError> {
    match store.meta.get(FOLDER_ID_KEY).map_err(fault)? {
        Some(id) => layout::number(&id).ok_or_else(|| corrupt("the folder's number")),
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
                "{shown} holds {name} of another data folder, or of a newer backup than the rest: move it away, or \
                 restore all folders from one backup"
            )));
        }
        let mut batch = store.db.batch().durability(Some(PersistMode::SyncAll));
        batch.insert(&store.meta, FOLDER_ID_KEY, id.to_be_bytes());
        batch.commit().map_err(fault)?;
    } else if store.meta.get(FOLDER_ID_KEY).map_err(fault)?.as_deref() != Some(&id.to_be_bytes()[..]) {
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
    batch.commit().map_err(fault)
}

#[cfg(test)]
#[path = "place_tests.rs"]
mod tests;
