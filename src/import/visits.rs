//! Visits of an access log: every path becomes a link, every `GET` a click at its own time.
//!
//! Clicks go into their log as a source of its own, whose places are the numbers of the lines. So an import that was
//! cut off is begun again from the first line, and what was counted is recognised.

use futures_util::future::BoxFuture;
use std::collections::HashMap;
use std::sync::Arc;

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use fanfare_protocol::{Code, Id, NewLink};
use sha2::{Digest as _, Sha256};

use super::access_log::Hit;
use crate::app::App;
use crate::base::error::{Error, Result};
use crate::base::handle::Handle;
use crate::base::limits::clicks::{IMPORT_CLICKS, RECORD_BYTES_MAX};
use crate::links::clicks::record::RecordWriter;
use crate::links::clicks::rollup::DAY_MS;
use crate::links::clicks::salts::Salts;
use crate::links::clicks::shipper::Blocks as _;
use crate::links::clicks::sink::Reducer;
use crate::links::counting::RawClick;

/// Characters of the codes of imported links.
const CODE_CHARS: usize = 10;
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Fate of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Added {
    /// Counted as a click.
    Click,
    /// A request that is no visit: `HEAD`, `POST` and the like.
    NoVisit,
}

/// Record that is being filled, and a code of its partition.
struct Filling {
    code: String,
    record: RecordWriter,
}

/// Import of visits.
pub struct Visits {
    app: App,
    site: String,
    owner: Id,
    source: u64,
    reducer: Reducer,
    salts: Arc<Salts>,
    /// Links by the target of a request.
    links: HashMap<String, (String, Id)>,
    filling: HashMap<u16, Filling>,
    /// Latest moment so far: records do not go back, though lines do.
    latest_ms: u64,
}

/// Code of an address: always the same, so that an import that is begun again finds its links.
fn code_of(url: &str) -> String {
    let hash = Sha256::digest(url.as_bytes());
    let mut number = Id::from_bytes(&hash).unwrap_or_default().0;
    let mut code = String::with_capacity(CODE_CHARS);
    for _ in 0..CODE_CHARS {
        code.push(char::from(DIGITS[(number % 62) as usize]));
        number /= 62;
    }
    code
}

/// Number of a file's clicks: that of its content, by the digest of its lines.
#[must_use]
pub fn source_of(digest: &str) -> u64 {
    Id::from_bytes(&Sha256::digest(digest.as_bytes())).unwrap_or_default().0
}

impl Visits {
    /// Visits of `site` (an address without a path), whose links belong to the person called `handle`. `source` names
    /// the file.
    ///
    /// # Errors
    /// When the person can be neither found nor made.
    pub fn open<'a>(
        app: App,
        site: &'a str,
        handle: &'a str,
        source: u64,
        first_ms: u64,
    ) -> BoxFuture<'a, Result<Self>> {
        Box::pin(async move {
            let owner = match app.core().store.by_handle(handle).await? {
                Some(account) => account.row.id,
                None => {
                    let handle = Handle::parse(handle).map_err(|error| Error::Setting(format!("--user: {error}")))?;
                    app.users().create(&handle, None, None, first_ms).await?.row.id
                }
            };
            let salts = app.clicks().salts();
            let reducer = app.clicks().reducer(Arc::clone(&salts));
            let site = site.trim_end_matches('/').to_owned();
            let (links, filling) = (HashMap::new(), HashMap::new());
            Ok(Self { app, site, owner, source, reducer, salts, links, filling, latest_ms: first_ms })
        })
    }

    /// Adds a line.
    ///
    /// # Errors
    /// When its address cannot be linked to, or storage fails.
    pub fn add<'a>(&'a mut self, line: u64, hit: &'a Hit) -> BoxFuture<'a, Result<Added>> {
        Box::pin(async move {
            if hit.method != "GET" {
                return Ok(Added::NoVisit);
            }
            self.latest_ms = self.latest_ms.max(hit.at_ms);
            self.app.core().clock.set(self.latest_ms);
            let (code, link) = self.link(&hit.target, hit.at_ms).await?;
            self.salts.know((hit.at_ms / DAY_MS) as u32).await?;
            let headers = headers_of(hit);
            let raw = RawClick { code: &code, link, at_ms: hit.at_ms, client: hit.client, headers: &headers };
            let click = self.reducer.reduce(&raw);
            let partition = self.app.clicks().log()?.partition_of(&code).0;
            let begin =
                || Filling { code: code.clone(), record: RecordWriter::new(self.app.clicks().form(), self.source) };
            let record = &mut self.filling.entry(partition).or_insert_with(begin).record;
            record.add(line, &click).map_err(|error| Error::Internal(error.to_string()))?;
            if record.count() >= IMPORT_CLICKS || record.bytes() >= RECORD_BYTES_MAX {
                self.hand_in(partition).await?;
            }
            Ok(Added::Click)
        })
    }

    async fn hand_in(&mut self, partition: u16) -> Result<()> {
        let Some(Filling { code, record }) = self.filling.remove(&partition) else { return Ok(()) };
        self.app.clicks().log()?.append_at(&code, record.finish().into(), Some(self.latest_ms)).await
    }

    /// Hands in what is left, and waits until all of it is counted.
    ///
    /// # Errors
    /// When storage fails.
    pub fn finish(&mut self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            let partitions: Vec<u16> = self.filling.keys().copied().collect();
            for partition in partitions {
                self.hand_in(partition).await?;
            }
            self.app.clicks().write_all().await;
            Ok(())
        })
    }

    /// Address of a request's target.
    #[must_use]
    pub fn url(&self, target: &str) -> String {
        format!("{}{target}", self.site)
    }

    /// Links by the target of a request: code and id.
    #[must_use]
    pub const fn links(&self) -> &HashMap<String, (String, Id)> {
        &self.links
    }

    async fn link(&mut self, target: &str, at_ms: u64) -> Result<(String, Id)> {
        if let Some(known) = self.links.get(target) {
            return Ok(known.clone());
        }
        let url = self.url(target);
        let code = code_of(&url);
        let links = self.app.links();
        let new = NewLink { alias: Some(code.clone()), expires_at: Some(None), ..NewLink::to(&url) };
        match links.create_at(self.owner, new, at_ms).await {
            Ok(_) => {}
            Err(Error::Refused(problem)) if problem.code == Code::Conflict => {}
            Err(error) => return Err(error),
        }
        // Of an import before this one, or of somebody else, whose link is not touched.
        let link = links.subject(self.owner, &code).await?.link;
        self.links.insert(target.to_owned(), (code.clone(), link));
        Ok((code, link))
    }
}

/// Headers that the line tells of.
fn headers_of(hit: &Hit) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let mut put = |name: HeaderName, text: &str| {
        if text != "-"
            && let Ok(value) = HeaderValue::from_str(text)
        {
            headers.insert(name, value);
        }
    };
    put(header::USER_AGENT, &hit.agent);
    put(header::REFERER, &hit.referrer);
    headers
}
