//! Import of an access log by the command, compared with a recount of the file.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Output;

use fanfare_engines::random::Random;

use crate::process::fanfare;

fn import(folder: &Path, log: &Path) -> Output {
    fanfare()
        .args(["import", "--site", "http://semicomplete.com", "--verify", "--access-log"])
        .arg(log)
        .arg("--data-dir")
        .arg(folder)
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    said
}

/// A log of four days that goes back and forth, with what is no visit in it.
fn written(path: &Path) {
    let (mut random, mut log) = (Random::new(7), String::new());
    for number in 0..2_000_u64 {
        let (day, hour, minute) = (17 + number / 500, (number / 22 % 24), random.below(60));
        let method = ["GET", "GET", "GET", "GET", "HEAD", "POST"][random.index(6)];
        let referrer = [r#"http://news.example/x"#, "-", r#"https://a\"b.example/"#, "https://Other.example:8443/"]
            [random.index(4)];
        let agent = ["Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0", "curl/8.5.0", "-"]
            [random.index(3)];
        let _ = writeln!(
            log,
            r#"192.0.2.{} - - [{day}/May/2015:{hour:02}:{minute:02}:03 +0000] "{method} /p{} HTTP/1.1" 200 5 "{referrer}" "{agent}""#,
            random.below(200),
            random.below(30),
        );
    }
    log.push_str("192.0.2.1 - - [20/May/2015:12:05:17 +0000] \"GET /cut HTTP/1.1\" 200 235 \"-\" \"Mozilla/5.0\n");
    std::fs::write(path, log).unwrap();
}

#[test]
fn a_log_is_imported_once_however_often_and_every_number_is_that_of_a_recount() {
    let folder = tempfile::tempdir().unwrap();
    let (log, data) = (folder.path().join("access.log"), folder.path().join("data"));
    written(&log);
    let first = said(&import(&data, &log));
    assert!(first.contains("access.log:2001: skipped: has no user agent in quotes"), "{first}");
    assert!(first.contains("0 differ"), "{first}");
    let again = said(&import(&data, &log));
    assert!(again.contains("0 differ"), "begun again, it counts nothing twice: {again}");
}

#[test]
fn the_real_log_is_imported_and_every_minute_referrer_and_browser_agrees() {
    let log = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/access.log.gz");
    if !log.exists() {
        eprintln!("skipped: there is no {}", log.display());
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let said = said(&import(&folder.path().join("data"), &log));
    assert!(said.contains("9951 clicks") && said.contains("0 differ"), "{said}");
}
