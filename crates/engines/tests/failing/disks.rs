//! Disks that are full, and disks whose syncs fail. They are mounted, which only root may: elsewhere these tests say
//! that they were left out.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use fanfare_engines::claim::Claim;
use fanfare_engines::{Batch, Claimant, EngineError, NewRecord, Partition, RowKey, Table};

use crate::life::{Life, until};
use crate::workload;

const MIB: u64 = 1 << 20;

/// Something mounted; dropping it unmounts.
struct Mounted(PathBuf);

impl Mounted {
    /// `None`, said, where that is not allowed.
    fn new(arguments: &[&str], at: &Path) -> Option<Self> {
        fs::create_dir_all(at).unwrap();
        let mount = Command::new("mount").args(arguments).arg(at).stderr(Stdio::null()).status();
        if mount.is_ok_and(|status| status.success()) {
            return Some(Self(at.to_owned()));
        }
        // Not println, which the test harness would swallow.
        let _ = writeln!(std::io::stderr(), "left out: a disk that fails is mounted, which only root may");
        None
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

/// Fills the disk that holds `folder`, but for about `but` bytes.
fn fill(folder: &Path, but: u64) -> PathBuf {
    let filler = folder.join("filler");
    let mut file = File::create(&filler).unwrap();
    while free(folder) > but && file.write_all(&[7; 16 * 1024]).is_ok() {}
    filler
}

fn free(folder: &Path) -> u64 {
    let disk = rustix::fs::statvfs(folder).unwrap();
    disk.f_bavail * disk.f_frsize
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_is_full_in_the_middle_of_a_write_is_written_again_when_there_is_room() {
    let scratch = tempfile::tempdir().unwrap();
    let Some(disk) = Mounted::new(&["-t", "tmpfs", "-o", "size=96m", "none"], &scratch.path().join("disk")) else {
        return;
    };
    let folder = disk.0.join("data");
    let life = Life::begin(&folder, 0, |_| ()).await;
    for _ in 0..2 {
        life.goes_on(20).await;
        let before = life.failed();
        let filler = fill(&disk.0, 0);
        until("a write fails", || life.failed() > before).await;
        fs::remove_file(filler).unwrap();
    }
    life.goes_on(20).await;
    let acknowledged = life.end().await;
    workload::check_kept(&workload::open(&folder).unwrap(), &acknowledged).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_is_as_good_as_full_refuses_what_adds_and_takes_what_frees() {
    let scratch = tempfile::tempdir().unwrap();
    let Some(disk) = Mounted::new(&["-t", "tmpfs", "-o", "size=64m", "none"], &scratch.path().join("disk")) else {
        return;
    };
    let opened = workload::open_with(&disk.0.join("data"), |settings| settings.free_bytes_min = 32 * MIB).unwrap();
    let engines = opened.engines;
    let (p, claimant) = (Partition(0), Claimant { node: "one".to_owned(), is_import: false });
    let mut log = Claim::take(engines.journal.clone(), p, claimant).await.unwrap();
    let record = |id| [NewRecord { id, payload: "record".into() }];
    let key = RowKey::single(Table { id: 7, name: "test" }, "row");
    let (mut put, mut delete) = (Batch::default(), Batch::default());
    put.put_versioned(key.clone(), "v", 1);
    delete.delete_versioned(key.clone(), 2);
    let appended = log.append(&record(1), &put).await.unwrap();
    let filler = fill(&disk.0, 8 * MIB);
    assert!(matches!(engines.tables.write(put.clone()).await, Err(EngineError::Full(_))));
    assert!(matches!(log.append(&record(2), &put).await, Err(EngineError::Full(_))));
    let unique = engines.tables.insert_unique(RowKey::single(Table { id: 7, name: "test" }, "u"), "v".into(), 1).await;
    assert!(matches!(unique, Err(EngineError::Full(_))));
    assert!(!engines.room.has(0));
    // Reads, deletes and what lets go of the log.
    assert!(engines.tables.get(&key).await.unwrap().is_some());
    engines.tables.write(delete).await.unwrap();
    assert!(engines.tables.get(&key).await.unwrap().is_none());
    engines.journal.checkpoint("consumer", p, appended).await.unwrap();
    assert_eq!(engines.journal.trim(p, 0, &["consumer"]).await.unwrap().records, 1);
    fs::remove_file(filler).unwrap();
    log.append(&record(2), &put).await.unwrap();
}

/// After a failed sync the kernel shows pages that are on no disk, and another sync of them says that all is well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_whose_syncs_fail_has_what_was_acknowledged_when_it_is_mounted_again() {
    let scratch = tempfile::tempdir().unwrap();
    let Some(below) = Mounted::new(&["-t", "tmpfs", "-o", "size=48m", "none"], &scratch.path().join("below")) else {
        return;
    };
    // The image believes in room that the disk below it does not have.
    let image = below.0.join("image");
    File::create(&image).unwrap().set_len(512 * MIB).unwrap();
    let image = image.to_str().unwrap();
    let made = Command::new("mkfs.ext2").args(["-q", "-E", "lazy_itable_init=0", image]).status();
    if !made.is_ok_and(|status| status.success()) {
        let _ = writeln!(std::io::stderr(), "left out: there is no mkfs.ext2");
        return;
    }
    let at = scratch.path().join("disk");
    let options = ["-o", "loop,errors=continue", image];
    let Some(disk) = Mounted::new(&options, &at) else { return };
    let folder = disk.0.join("data");
    let life = Life::begin(&folder, 0, |_| ()).await;
    for _ in 0..2 {
        life.goes_on(20).await;
        let before = life.failed();
        let filler = fill(&below.0, 0);
        until("a sync fails", || life.failed() > before).await;
        fs::remove_file(filler).unwrap();
    }
    life.goes_on(20).await;
    let acknowledged = life.end().await;
    drop(disk);
    let disk = Mounted::new(&options, &at).unwrap();
    workload::check_kept(&workload::open(&folder).unwrap(), &acknowledged).await;
    drop(disk);
}
