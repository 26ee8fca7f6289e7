//! Commands that the documents give to copy work when pasted into a terminal beside a demo, and when pasted again.
//!
//! Every fenced block of `sh` is looked at. Those that call the API are pasted as they stand, all of a document in one
//! shell, in order; addresses and the data folder are those of the demo that the test starts. The first words of the
//! others are known here, with who tries them.

#![allow(clippy::unwrap_used, reason = "what cannot be started is a failed test")]

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The address that documents name.
const ADDRESS: &str = "127.0.0.1:7070";
/// The data folder that documents name.
const FOLDER: &str = "/var/lib/fanfare";
/// The secret that docs/api.md signs with.
const SECRET: &str = "thirty-two bytes or more, as random as can be";
/// Documents whose calls are pasted, in this order: a later one may count on accounts of an earlier one.
const PASTED: [&str; 5] = ["README.md", "README.zh-CN.md", "docs/api.md", "docs/links.md", "docs/operations.md"];
/// Beginnings of lines in blocks that call no API, and who tries those instead.
const ELSEWHERE: [(&str, &str); 13] = [
    ("cargo", "the tests' own build; `tidy` knows the commands"),
    ("make", "`tidy` knows the targets"),
    ("fanfare", "`tidy` knows commands and options; tests/commands.rs runs them"),
    ("target/release/fanfare", "the same"),
    ("scripts/", "`tidy` knows the files; the image's are run by scripts/image/test"),
    ("docker", "nothing: docs/operations.md says so"),
    ("useradd", "scripts/image/test, in the image"),
    ("install", "scripts/unit-test reads the file that is installed"),
    ("systemctl", "nothing: tests start no units"),
    ("cd", "scripts/sdk-test"),
    ("npm", "scripts/sdk-test"),
    ("npx", "scripts/openapi-test"),
    ("openapi-python-client", "scripts/openapi-test"),
];
/// Answers beside those of success that are as they should be: statuses and what paths begin with.
const REFUSED: [(&str, &str); 5] = [
    // A short link leads on.
    ("302", "/s/"),
    // The account is there already.
    ("409", "/v1/users"),
    // What the document cannot know: a session, a post, somebody who deserves it.
    ("404", "/v1/admin/realtime/sessions/"),
    ("404", "/v1/admin/posts/"),
    ("404", "/v1/admin/users/@mallory"),
];

/// In front of what is pasted: every call tells its status and path on standard error, and a stream that would go on
/// for ever ends after its first frame, which is what Ctrl-C is for.
const TERMINAL: &str = r#"
curl() {
    local told='%{stderr}CALL %{http_code} %{url_effective}\n' heard
    case " $* " in
    *" -sN "*)
        heard=$(mktemp)
        command curl "$@" >"$heard" &
        until grep -q '"type":"hello"' "$heard"; do kill -0 $! || { echo "CALL 000 $*" >&2; break; }; command sleep 0.02; done
        kill $! && wait $! 2>/dev/null
        cat "$heard"
        rm "$heard"
        ;;
    *) command curl --max-time 60 -w "$told" "$@" ;;
    esac
}
"#;

/// A fenced block of a document.
struct Block {
    line: usize,
    text: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The blocks of `sh` in a document.
fn blocks(document: &str) -> Vec<Block> {
    let mut found = Vec::new();
    let mut open: Option<Block> = None;
    for (number, line) in std::fs::read_to_string(root().join(document)).unwrap().lines().enumerate() {
        match (&mut open, line.trim()) {
            (None, "```sh" | "```bash" | "```shell") => open = Some(Block { line: number + 1, text: String::new() }),
            (Some(_), "```") => found.extend(open.take()),
            (Some(block), _) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
            (None, _) => {}
        }
    }
    found
}

fn calls_the_api(block: &Block) -> bool {
    block.text.contains("curl ")
}

/// A demo in a folder of its own; dropping it ends it.
struct Demo {
    process: Child,
    address: String,
    folder: PathBuf,
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Demo {
    fn start(folder: PathBuf) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fanfare"));
        command.env_remove("FANFARE_CONFIG").env("FANFARE__AUTH__JWT_HS256_SECRET", SECRET);
        command.args(["demo", "--listen", "127.0.0.1:0", "--data-dir", folder.to_str().unwrap()]);
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut said = BufReader::new(process.stdout.take().unwrap()).lines().map_while(Result::ok);
        let line = said.find(|line| line.contains("See it live")).unwrap();
        // The calls that it prints come after; who reads them all keeps the pipe from filling.
        said.find(|line| line.contains("Ctrl-C")).unwrap();
        let address = line.split("http://").nth(1).unwrap().trim_end_matches('/').to_owned();
        Self { process, address, folder }
    }

    /// Pastes all that a document gives to copy; answers what went wrong.
    fn paste(&self, document: &str) -> Vec<String> {
        let mut script = TERMINAL.to_owned();
        for block in blocks(document).iter().filter(|block| calls_the_api(block)) {
            script.push_str(&format!("echo 'BLOCK {document}:{}' >&2\n{}", block.line, block.text));
        }
        let folder = self.folder.to_str().unwrap();
        let script = script.replace(ADDRESS, &self.address).replace(FOLDER, folder);
        let mut shell = Command::new("timeout");
        shell.args(["180", "bash", "-u", "-c", &script]).current_dir(root());
        let shell = shell.stdin(Stdio::null()).output().unwrap();
        let told = String::from_utf8_lossy(&shell.stderr).into_owned();
        let (mut place, mut calls, mut wrong) = ("", 0, Vec::new());
        for line in told.lines() {
            let call = line.strip_prefix("CALL ").and_then(|call| call.split_once(' '));
            if let Some(block) = line.strip_prefix("BLOCK ") {
                place = block;
            } else if let Some((status, url)) = call {
                calls += 1;
                let path = url.split(&self.address).nth(1).unwrap_or(url);
                let refused = |(code, begin): &(&str, &str)| *code == status && path.starts_with(begin);
                if !status.starts_with('2') && !REFUSED.iter().any(refused) {
                    wrong.push(format!("{place}: {status} {path}"));
                }
            } else {
                wrong.push(format!("{place}: {line}"));
            }
        }
        if !shell.status.success() {
            wrong.push(format!("{document}: the shell ended with {:?}", shell.status.code()));
        }
        if !wrong.is_empty() {
            wrong.push(String::from_utf8_lossy(&shell.stdout).chars().take(4_000).collect());
        }
        assert!(calls >= 6, "{document}: only {calls} calls were made: {told}");
        wrong
    }
}

#[test]
fn what_is_pasted_works_and_works_when_it_is_pasted_again() {
    let temporary = tempfile::tempdir().unwrap();
    let demo = Demo::start(temporary.path().join("world"));
    for time in ["pasted", "pasted again"] {
        for document in PASTED {
            let wrong = demo.paste(document);
            assert!(wrong.is_empty(), "{time}:\n{}", wrong.join("\n"));
        }
    }
}

#[test]
fn every_block_of_the_documents_is_pasted_or_known_to_be_tried_elsewhere() {
    let docs = std::fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().file_name());
    let docs = docs.map(|name| format!("docs/{}", name.to_string_lossy())).filter(|name| name.ends_with(".md"));
    let top = ["README.md", "README.zh-CN.md", "CONTRIBUTING.md"].map(str::to_owned);
    let mut unknown = Vec::new();
    for document in docs.chain(top) {
        for block in blocks(&document) {
            let place = format!("{document}:{}", block.line);
            if calls_the_api(&block) {
                if !PASTED.contains(&document.as_str()) {
                    unknown.push(format!("{place} calls the API; add the document to PASTED"));
                }
                continue;
            }
            let text = block.text.replace("\\\n", " ");
            let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
            let words = |line: &str| {
                let word = line.split_whitespace().find(|word| !word.contains('=')).unwrap_or_default().to_owned();
                ELSEWHERE.iter().any(|(known, _)| word == *known || (known.ends_with('/') && word.starts_with(known)))
            };
            unknown.extend(lines.filter(|line| !words(line)).map(|line| format!("{place}: who tries `{line}`?")));
        }
    }
    assert!(unknown.is_empty(), "\n{}\n", unknown.join("\n"));
}

/// In an interactive shell `!` within double quotes is history, and an ellipsis is nothing that can be run.
#[test]
fn what_is_pasted_means_the_same_in_a_terminal() {
    let mut wrong = Vec::new();
    for document in PASTED {
        for block in blocks(document) {
            for (number, line) in block.text.lines().enumerate() {
                let place = format!("{document}:{}", block.line + number + 1);
                let command = line.split(" #").next().unwrap_or_default();
                if command.trim_start().starts_with('#') {
                    continue;
                }
                if command.contains('…') || command.contains("...") {
                    wrong.push(format!("{place} leaves something out: {command}"));
                }
                if command.split('"').skip(1).step_by(2).any(|quoted| quoted.contains('!')) && !command.contains('\'') {
                    wrong.push(format!("{place} has a `!` within double quotes: {command}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}
