//! The store's files, seen from outside.

use std::fs::{self, File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// The newest write-ahead log and its used bytes; the rest of the file is zeros.
pub fn newest_log(folder: &Path) -> (PathBuf, Vec<u8>) {
    let logs = fs::read_dir(folder.join("store")).unwrap().map(|entry| entry.unwrap().path());
    let number = |path: &PathBuf| path.file_stem().unwrap().to_str().unwrap().parse::<u64>().unwrap();
    let newest = logs.filter(|path| path.extension().is_some_and(|extension| extension == "jnl")).max_by_key(number);
    let newest = newest.unwrap();
    let mut bytes = fs::read(&newest).unwrap();
    let used = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    bytes.truncate(used);
    (newest, bytes)
}

/// Copies a folder; files keep their length, and their zeros at the end take no space.
pub fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            let bytes = fs::read(entry.path()).unwrap();
            write_file(&target, &bytes);
        }
    }
}

/// Writes a file that is `bytes` long, leaving its zeros at the end unwritten.
pub fn write_file(path: &Path, bytes: &[u8]) {
    let used = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    let mut file = File::create(path).unwrap();
    file.write_all(&bytes[..used]).unwrap();
    file.set_len(bytes.len() as u64).unwrap();
}

/// Overwrites bytes within a file.
pub fn overwrite(path: &Path, at: usize, bytes: &[u8]) {
    let mut file = OpenOptions::new().write(true).open(path).unwrap();
    file.seek(SeekFrom::Start(at as u64)).unwrap();
    file.write_all(bytes).unwrap();
}
