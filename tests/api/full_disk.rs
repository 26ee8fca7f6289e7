//! The binary on a disk that fills up under it. Disks are mounted, which only root may: elsewhere this says that it was
//! left out.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use fanfare_client::{ClientError, Paging};
use fanfare_protocol::{Code, NewPost, NewUser};

use crate::process::Process;
use crate::world::{PASSWORD, eventually, ids, refused};

/// Something mounted; dropping it unmounts.
struct Mounted(PathBuf);

impl Mounted {
    /// `None`, said, where that is not allowed.
    fn new(size: &str, at: &Path) -> Option<Self> {
        fs::create_dir_all(at).unwrap();
        let options = format!("size={size}");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &options, "none"]).arg(at).stderr(Stdio::null());
        if mount.status().is_ok_and(|status| status.success()) {
            return Some(Self(at.to_owned()));
        }
        // Not println, which the test harness would swallow.
        let _ = writeln!(std::io::stderr(), "left out: a disk that fills up is mounted, which only root may");
        None
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

fn fill(folder: &Path) -> PathBuf {
    let filler = folder.join("filler");
    let mut file = File::create(&filler).unwrap();
    while file.write_all(&[7; 4 * 1024]).is_ok() {}
    filler
}

/// The first write that failed ended storage until a restart.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_was_full_is_written_again_without_a_restart_and_keeps_what_was_told() {
    let scratch = tempfile::tempdir().unwrap();
    let Some(disk) = Mounted::new("48m", &scratch.path().join("disk")) else { return };
    let data = disk.0.join("data");
    let settings = [("FANFARE__STORAGE__FREE_BYTES_MIN", "0"), ("FANFARE__HTTP__REQUEST_TIMEOUT_S", "1")];
    let server = Process::serve(&data, &settings).await;
    let new = NewUser { handle: "ann".to_owned(), password: PASSWORD.to_owned(), display_name: None };
    let session = server.anyone.register(&new).await.unwrap();
    let ann = server.anyone.with_token(&session.token);
    let post = |number: usize| NewPost { text: format!("post {number} {}", "x".repeat(400)), ..NewPost::default() };
    let mut told = Vec::new();
    for round in 0..2 {
        for number in 0..20 {
            told.push(ann.publish(&post(number), Some(&format!("{round} {number}"))).await.unwrap().post.id);
        }
        let filler = fill(&disk.0);
        // What is left of the last block takes some.
        let mut number = 20;
        let failed = loop {
            match ann.publish(&post(number), Some(&format!("{round} {number}"))).await {
                Ok(published) => told.push(published.post.id),
                Err(ClientError::Problem(problem)) => break problem.code,
                Err(other) => panic!("{other}"),
            }
            number += 1;
        };
        // The client asks again with the same key by itself, and hears that the first is still at work.
        assert!(matches!(failed, Code::OutcomeUnknown | Code::Conflict), "{failed:?}");
        assert_eq!(refused(server.anyone.readyz().await), Code::Overloaded);
        assert_eq!(refused(ann.publish(&post(0), Some("other")).await), Code::Overloaded, "at the door");
        fs::remove_file(filler).unwrap();
        eventually("storage is back", async || server.anyone.readyz().await.ok()).await;
        // The same key gives the post that was on its way, once.
        let key = format!("{round} {number}");
        let again = eventually("it is told", async || ann.publish(&post(number), Some(&key)).await.ok()).await;
        told.push(again.post.id);
    }
    server.kill();
    let server = Process::serve(&data, &settings).await;
    let mut kept = ids(&server.anyone.posts_of(session.user.id, Paging::first(100)).await.unwrap().items);
    kept.reverse();
    kept.retain(|id| told.contains(id));
    assert_eq!(kept, told, "what was told, in its order");
    assert_eq!(server.anyone.user("@ann").await.unwrap().posts_count as usize, told.len());
}

/// Bytes that are free for those who are not root.
fn free_bytes(folder: &Path) -> u64 {
    let told = Command::new("df").args(["-B1", "--output=avail"]).arg(folder).output().unwrap().stdout;
    String::from_utf8(told).unwrap().lines().last().unwrap().trim().parse().unwrap()
}

/// A server that was restarted on such a disk did not come up: nothing could be read, nor deleted to make room.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_starts_on_a_disk_that_is_as_good_as_full() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::serve(folder.path(), &[]).await;
    let new = NewUser { handle: "ann".to_owned(), password: PASSWORD.to_owned(), display_name: None };
    let token = server.anyone.register(&new).await.unwrap().token;
    let post = server.anyone.with_token(&token).say("before").await.unwrap();
    server.kill();
    // Of the disk far less is free than half of what is to stay free, and then a little less than all of that.
    let much_more = (1_u64 << 50).to_string();
    let a_little_more = (free_bytes(folder.path()) / 4 * 5).to_string();
    for (free_bytes_min, takes_deletes) in [(much_more, false), (a_little_more, true)] {
        let server = Process::serve(folder.path(), &[("FANFARE__STORAGE__FREE_BYTES_MIN", &free_bytes_min)]).await;
        let ann = server.anyone.with_token(&token);
        assert_eq!(ann.post(post.id).await.unwrap().text, "before");
        assert_eq!(refused(ann.say("more").await), Code::Overloaded);
        let deleted = ann.delete_post(post.id).await;
        assert_eq!(deleted.is_ok(), takes_deletes, "{deleted:?}");
        server.kill();
    }
}
