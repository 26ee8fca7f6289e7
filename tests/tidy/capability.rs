//! The made-up capability of `docs/adding-a-capability.md`: a patch that fits the source, and touches few files.

use std::process::Command;

use super::{assert_none, root};

const PATCH: &str = "docs/adding-a-capability.patch";
/// Folder of the capability.
const ITS_OWN: &str = "src/waves/";
/// Files of others that it adds lines to: the catalogue of tables, rows, the enum of events, the list of products.
const CODE: &[&str] = &[
    "src/data/tables/mod.rs",
    "src/data/rows/mod.rs",
    "src/data/rows/waves.rs",
    "src/log/effects.rs",
    "src/log/events.rs",
    "src/app/products.rs",
];
/// Files that say or prove that it is there: the map of the code, its floor, its golden pair.
const MAPS: &[&str] = &["src/lib.rs", "tests/tidy/layers.rs", "tests/fixtures/golden/waves.golden"];

#[test]
fn a_made_up_capability_touches_its_folder_and_the_lists() {
    let patch = std::fs::read_to_string(root().join(PATCH)).unwrap();
    let touched: Vec<&str> = patch.lines().filter_map(|line| line.strip_prefix("+++ b/")).collect();
    assert!(touched.iter().any(|file| file.starts_with(ITS_OWN)), "{touched:?}");
    let other = |file: &&str| !file.starts_with(ITS_OWN) && !CODE.contains(file) && !MAPS.contains(file);
    assert_none(
        &touched.iter().filter(|file| other(file)).map(|file| format!("{file} is touched")).collect::<Vec<_>>(),
    );
    let removed = patch.lines().filter(|line| line.starts_with('-') && !line.starts_with("---")).count();
    assert_eq!(removed, 0, "lines of others are taken away or changed");
}

#[test]
fn the_made_up_capability_fits_the_source() {
    let check = Command::new("git").args(["apply", "--check", PATCH]).current_dir(root()).output().unwrap();
    assert!(
        check.status.success(),
        "{PATCH} does not fit any more: make the change by hand and write `git diff` there\n{}",
        String::from_utf8_lossy(&check.stderr)
    );
}
