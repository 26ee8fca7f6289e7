//! The store's files, seen from outside.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Logs are made long and filled later: after so many zeros nothing more was written.
const ZEROS: &[u8] = &[0; 256 * 1024];

/// The newest write-ahead log and its used bytes; the rest of the file is zeros.
pub fn newest_log(folder: &Path) -> (PathBuf, Vec<u8>) {
    let logs = fs::read_dir(folder.join("store")).unwrap().map(|entry| entry.unwrap().path());
    let number = |path: &PathBuf| path.file_stem().unwrap().to_str().unwrap().parse::<u64>().unwrap();
    let newest = logs.filter(|path| path.extension().is_some_and(|extension| extension == "jnl")).max_by_key(number);
    let newest = newest.unwrap();
    let used = used_bytes(&newest);
    (newest, used)
}

/// A file's bytes without the zeros at its end.
fn used_bytes(path: &Path) -> Vec<u8> {
    let mut file = File::open(path).unwrap();
    let mut bytes = Vec::new();
    loop {
        let read = (&mut file).take(ZEROS.len() as u64).read_to_end(&mut bytes).unwrap();
        if read == 0 || bytes.ends_with(ZEROS) {
            break;
        }
    }
    let used = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    bytes.truncate(used);
    bytes
}

/// Copies a folder; files keep their length.
pub fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else if target.extension().is_some_and(|extension| extension == "jnl") {
            write_file(&target, &used_bytes(&entry.path()), entry.metadata().unwrap().len());
        } else {
            fs::copy(entry.path(), &target).unwrap();
        }
    }
}

/// Writes a file of `length`: `bytes`, then zeros.
pub fn write_file(path: &Path, bytes: &[u8], length: u64) {
    let mut file = File::create(path).unwrap();
    file.write_all(bytes).unwrap();
    file.set_len(length).unwrap();
}

/// Overwrites bytes within a file.
pub fn overwrite(path: &Path, at: usize, bytes: &[u8]) {
    let mut file = OpenOptions::new().write(true).open(path).unwrap();
    file.seek(SeekFrom::Start(at as u64)).unwrap();
    file.write_all(bytes).unwrap();
}
