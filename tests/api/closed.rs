//! The data folder is its owner's: it holds password hashes.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use fanfare_protocol::NewUser;

use crate::process::{Process, fanfare};
use crate::world::PASSWORD;

const NOBODY_ELSE: u32 = 0o077;

/// Calls `see` for everything below `folder`.
fn below(folder: &Path, see: &mut impl FnMut(&Path, u32)) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let found = fs::symlink_metadata(&path).unwrap();
        see(&path, found.mode());
        if found.is_dir() {
            below(&path, see);
        }
    }
}

/// Threads that had begun panicked when the start was refused later, for their runtime was gone.
#[test]
fn a_start_that_is_refused_says_that_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    // An open one is warned of.
    fs::set_permissions(folder.path(), Permissions::from_mode(0o700)).unwrap();
    let serve = || {
        let mut serve = fanfare();
        serve.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(folder.path());
        let output = serve.output().unwrap();
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    // It is opened when people and talk have their threads.
    let spool = folder.path().join("spool");
    fs::write(&spool, "no folder").unwrap();
    for _ in 0..5 {
        let told = serve();
        assert_eq!(told.lines().count(), 1, "{told}");
        assert!(told.contains(&spool.display().to_string()), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_else_reads_what_a_server_writes_into_an_open_folder() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    fs::set_permissions(&data, Permissions::from_mode(0o755)).unwrap();
    let log = folder.path().join("log");
    let process = Process::serve_telling(&data, &[], File::create(&log).unwrap().into()).await;
    let ann = NewUser { handle: "ann".to_owned(), password: PASSWORD.to_owned(), display_name: None };
    process.anyone.register(&ann).await.unwrap();
    below(&data, &mut |path, mode| assert_eq!(mode & NOBODY_ELSE, 0, "{} is {mode:o}", path.display()));
    let told = fs::read_to_string(&log).unwrap();
    assert!(told.contains(&format!("chmod 700 {}", data.display())), "{told}");
    process.kill();

    // A folder of an earlier version, whose files were everybody's to read.
    below(&data, &mut |path, mode| {
        let open = if mode & 0o100 == 0 { 0o644 } else { 0o755 };
        fs::set_permissions(path, Permissions::from_mode(open)).unwrap();
    });
    let process = Process::serve(&data, &[]).await;
    let mut closed = 0;
    for entry in fs::read_dir(&data).unwrap().map(|entry| entry.unwrap()) {
        let mode = entry.metadata().unwrap().mode();
        if entry.file_name() != "format" {
            assert_eq!(mode & 0o007, 0, "{} is {mode:o}", entry.path().display());
            closed += 1;
        }
    }
    assert!(closed >= 3, "the store, its secret and the tokens: {closed}");
    process.kill();
}
