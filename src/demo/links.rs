//! Short links of the sample world: a few of the newcomer's, which visitors from everywhere follow.

use std::net::{IpAddr, Ipv4Addr};

use axum::http::{HeaderMap, HeaderValue, header};
use fanfare_protocol::{Id, NewLink};

use super::build::Sample;
use crate::app::App;
use crate::base::error::Result;
use crate::base::network::Network;
use crate::links::service::Asked;

/// Aliases and targets, the most followed first.
const LINKS: [(&str, &str); 4] = [
    ("launch", "https://example.com/news/we-are-live"),
    ("photos", "https://example.com/albums/summer"),
    ("recipe", "https://example.org/bread/three-days"),
    ("talk", "https://example.net/talks/fan-out"),
];
/// Browsers and programs of visitors, and where they come from.
const VISITORS: [(&str, &str, &str); 6] = [
    (
        "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
        "https://news.example/",
        "en-GB,en;q=0.8",
    ),
    (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 \
         Mobile/15E148 Safari/604.1",
        "https://social.example/",
        "zh-CN,zh;q=0.9",
    ),
    (
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/137.0.0.0 Safari/537.36",
        "https://search.example/?q=bread",
        "de-DE,de;q=0.9,en;q=0.5",
    ),
    (
        "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/137.0.0.0 Mobile \
         Safari/537.36",
        "",
        "fr-FR,fr;q=0.9",
    ),
    ("Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)", "", ""),
    ("curl/8.14.1", "", ""),
];
/// Network of the visitors: one of those that are kept for documents (RFC 5737).
const FROM: [u8; 3] = [198, 51, 100];

/// Makes the links of `owner`.
///
/// # Errors
/// When storage fails.
pub async fn make(app: &App, owner: Id) -> Result<()> {
    for (alias, url) in LINKS {
        let new = NewLink { alias: Some(alias.to_owned()), ..NewLink::to(url) };
        app.links().create(owner, new, None, Network::from(IpAddr::V4(Ipv4Addr::LOCALHOST))).await?;
    }
    Ok(())
}

/// Lets somebody follow one of them; those that the newcomer deleted are followed by nobody.
///
/// # Errors
/// When storage fails.
pub async fn visit(app: &App, sample: &mut Sample) -> Result<()> {
    let mut any = |count: usize| sample.town.below(count as u64) as usize;
    // Of two the first one is the likelier.
    let (one, other) = (any(LINKS.len()), any(LINKS.len()));
    let (agent, referrer, language) = VISITORS[any(VISITORS.len())];
    let [a, b, c] = FROM;
    let client = IpAddr::V4(Ipv4Addr::new(a, b, c, any(250) as u8));
    let headers = [(header::USER_AGENT, agent), (header::REFERER, referrer), (header::ACCEPT_LANGUAGE, language)];
    let headers: HeaderMap = headers
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| (name, HeaderValue::from_static(value)))
        .collect();
    let asked = Asked { code: LINKS[one.min(other)].0, headers: &headers, client, is_head: false };
    app.links().follow(&asked, None).await.map(drop)
}
