//! Licences of the dependencies must ask only for what a project under Apache-2.0 can give.

use super::assert_none;
use super::manifests::{metadata, used_packages};

/// SPDX names of licences that may come in: permissive ones, and MPL-2.0, which binds only its own files.
const ALLOWED: [&str; 17] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-1-Clause",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "MPL-2.0",
    "Unicode-3.0",
    "Unicode-DFS-2016",
    "Unlicense",
    "Zlib",
];

/// Whether an SPDX expression can be met by [`ALLOWED`] alone. The old `/` means OR.
fn is_allowed(expression: &str) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let tokens: Vec<&str> = spaced.split_whitespace().collect();
    let mut at = 0;
    let allowed = any(&tokens, &mut at);
    allowed && at == tokens.len()
}

fn any(tokens: &[&str], at: &mut usize) -> bool {
    let mut allowed = all(tokens, at);
    while tokens.get(*at) == Some(&"OR") {
        *at += 1;
        allowed |= all(tokens, at);
    }
    allowed
}

fn all(tokens: &[&str], at: &mut usize) -> bool {
    let mut allowed = one(tokens, at);
    while tokens.get(*at) == Some(&"AND") {
        *at += 1;
        allowed &= one(tokens, at);
    }
    allowed
}

fn one(tokens: &[&str], at: &mut usize) -> bool {
    let token = tokens.get(*at);
    // Also where there is none: past the end is no end that a whole expression has.
    *at += 1;
    let Some(token) = token else { return false };
    if *token == "(" {
        let allowed = any(tokens, at);
        *at += 1;
        return allowed;
    }
    let mut name = (*token).to_owned();
    if tokens.get(*at) == Some(&"WITH") {
        name = format!("{name} WITH {}", tokens.get(*at + 1).unwrap_or(&""));
        *at += 2;
    }
    ALLOWED.contains(&&*name)
}

#[test]
fn licence_expressions_are_read_as_spdx_means_them() {
    for good in [
        "MIT",
        "MIT/Apache-2.0",
        "GPL-2.0-only OR MIT",
        "(MIT OR GPL-3.0) AND Unicode-3.0",
        "Apache-2.0 WITH LLVM-exception",
    ] {
        assert!(is_allowed(good), "{good}");
    }
    for bad in [
        "",
        "GPL-3.0-only",
        "MIT AND GPL-3.0-only",
        "(MIT OR ISC) AND AGPL-3.0",
        "Apache-2.0 WITH Commons-Clause",
        "MIT OR",
    ] {
        assert!(!is_allowed(bad), "{bad}");
    }
}

#[test]
fn licences_of_all_dependencies_are_allowed() {
    let metadata = metadata();
    let mut broken = Vec::new();
    for package in used_packages(&metadata) {
        let licence = package["license"].as_str().unwrap_or_default();
        if !is_allowed(licence) {
            broken.push(format!(
                "{} {} is under \"{licence}\", which is not allowed",
                package["name"], package["version"]
            ));
        }
    }
    assert_none(&broken);
}
