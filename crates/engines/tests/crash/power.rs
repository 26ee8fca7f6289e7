//! Power is lost for real: what the kernel had not yet written is gone.
//!
//! The store lies on an ext4 image. While a child writes to it the image file is copied: the copy holds what reached
//! the "disk", and nothing of what waits in the page cache of the mounted image. Mounting the copy is the restart. A
//! file that nobody synced shows that pages were lost indeed.
//!
//! Mounting needs root, so this runs only when asked for:
//! `cargo test -p fanfare-engines --test crash power -- --ignored`.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::killed::{parse_acknowledgement, start_child};
use crate::workload;

const IMAGE_BYTES: u64 = 1024 * 1024 * 1024;
const LOSSES: usize = 6;
const CANARY: &str = "never-synced";
const CANARY_BYTES: usize = 1024 * 1024;

fn run(program: &str, arguments: &[&str]) {
    let status = Command::new(program).args(arguments).status().unwrap();
    assert!(status.success(), "{program} {arguments:?}: {status}");
}

/// A mounted image; dropping it unmounts.
struct Mounted(PathBuf);

impl Mounted {
    fn new(image: &Path, folder: &Path) -> Self {
        fs::create_dir_all(folder).unwrap();
        // The longest commit interval: ext4 writes what is synced and hardly anything else.
        let (image, at) = (image.to_str().unwrap(), folder.to_str().unwrap());
        run("mount", &["-o", "loop,commit=300", image, at]);
        Self(folder.to_owned())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root, to mount an image"]
async fn nothing_acknowledged_is_lost_when_power_is_lost() {
    let scratch = tempfile::tempdir().unwrap();
    let mut disk = scratch.path().join("disk-0.img");
    File::create(&disk).unwrap().set_len(IMAGE_BYTES).unwrap();
    run("mkfs.ext4", &["-q", disk.to_str().unwrap()]);
    let mut acknowledged = BTreeSet::new();
    for loss in 0..LOSSES {
        let next_disk = scratch.path().join(format!("disk-{}.img", loss + 1));
        {
            let mounted = Mounted::new(&disk, &scratch.path().join("mounted"));
            let (mut child, output) = start_child(&mounted.0.join("data"));
            let mut lines = output.lines();
            let mut patience = 20 + loss * loss * 60;
            for line in lines.by_ref() {
                acknowledged.extend(parse_acknowledgement(&line.unwrap()));
                patience -= 1;
                if patience == 10 {
                    fs::write(mounted.0.join(CANARY), vec![7; CANARY_BYTES]).unwrap();
                }
                if patience == 0 {
                    break;
                }
            }
            assert_eq!(patience, 0, "the child ended by itself");
            run("kill", &["-STOP", &child.id().to_string()]);
            run("cp", &["--sparse=always", disk.to_str().unwrap(), next_disk.to_str().unwrap()]);
            child.kill().unwrap();
            child.wait().unwrap();
        }
        fs::remove_file(&disk).unwrap();
        disk = next_disk;
        let mounted = Mounted::new(&disk, &scratch.path().join("mounted"));
        let canary = fs::read(mounted.0.join(CANARY)).unwrap_or_default();
        assert!(canary != vec![7; CANARY_BYTES], "no page was lost: this tests nothing");
        let _ = fs::remove_file(mounted.0.join(CANARY));
        let engines = workload::open(&mounted.0.join("data")).unwrap();
        workload::check_kept(&engines, &acknowledged).await;
    }
}
