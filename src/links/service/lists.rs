//! Lists of a person's links: pages, all of them as CSV, and what goes with an account.

use bytes::Bytes;
use fanfare_engines::{Row, RowKey};
use fanfare_protocol::{Id, Link, Page};
use futures_util::{Stream, stream};

use super::Links;
use crate::base::cursor::Scope;
use crate::base::error::Result;
use crate::base::limits::links::LINKS_STEP;
use crate::data::rows::{LinkRow, from_json};
use crate::data::tables;
use crate::links::csv::{self, Cell};

/// Columns of the CSV.
const COLUMNS: &str = "code,short_url,url,redirect,created_at,expires_at,max_visits,has_password,visits\r\n";

/// Place in the list of a person's links.
#[derive(Debug, Clone, Copy)]
enum Place {
    Start,
    Before(Id),
    End,
}

impl Links {
    /// Links of `owner`, newest first.
    ///
    /// # Errors
    /// 400 for a foreign cursor.
    pub async fn page(&self, owner: Id, limit: usize, cursor: Option<&str>) -> Result<Page<Link>> {
        let scope = Scope { list: "links", caller: owner, subject: Id(0) };
        let cursors = &self.0.core.cursors;
        let mut place = Place::Before(cursors.open_id(scope, cursor)?.unwrap_or(Id(u64::MAX)));
        let mut found = Vec::new();
        // What is deleted while this is read makes no page short.
        while let (Place::Before(before), true) = (place, found.len() <= limit) {
            let (some, next) = self.newest(owner, before, limit + 1 - found.len()).await?;
            found.extend(some);
            place = next;
        }
        let more = found.len() > limit;
        found.truncate(limit);
        let last = found.last().filter(|_| more);
        let next_cursor = last.map(|(id, _)| cursors.seal_id(scope, *id));
        Ok(Page { items: found.into_iter().map(|(_, link)| link).collect(), next_cursor })
    }

    /// At most `limit` links of `owner` with ids below `before`, newest first, and where the next ones begin.
    async fn newest(&self, owner: Id, before: Id, limit: usize) -> Result<(Vec<(Id, Link)>, Place)> {
        let store = &self.0.core.store;
        let rows = store.newest_bucketed(tables::LINKS_OF, owner, before, limit).await?;
        let last = rows.last().filter(|_| rows.len() == limit).and_then(|row| Id::from_bytes(&row.clustering));
        let codes: Vec<(Id, String)> = rows.iter().filter_map(listed).collect();
        let keys: Vec<RowKey> = codes.iter().map(|(_, code)| tables::link_row(code)).collect();
        let mut links = Vec::with_capacity(codes.len());
        for ((id, code), bytes) in codes.into_iter().zip(store.get_many(&keys).await?) {
            // Deleted while this was read.
            let row: Option<LinkRow> = bytes.map(|bytes| from_json(&bytes)).transpose()?;
            links.extend(row.filter(|row| !row.deleted).map(|row| (id, code, row)));
        }
        let named: Vec<(&str, Id)> = links.iter().map(|(id, code, _)| (code.as_str(), *id)).collect();
        let visits = self.0.parts.totals.visits(&named).await?;
        let rendered =
            |((id, code, row), visits): ((Id, String, LinkRow), u64)| (id, self.rendered(&code, &row, visits));
        Ok((links.into_iter().zip(visits).map(rendered).collect(), last.map_or(Place::End, Place::Before)))
    }

    /// All links of `owner` as CSV (RFC 4180), newest first, in pieces.
    pub fn csv(&self, owner: Id) -> impl Stream<Item = Result<Bytes>> + Send + 'static {
        let links = self.clone();
        stream::unfold(Place::Start, move |place| {
            let links = links.clone();
            async move {
                let (mut text, before) = match place {
                    Place::Start => (COLUMNS.to_owned(), Id(u64::MAX)),
                    Place::Before(id) => (String::new(), id),
                    Place::End => return None,
                };
                let (found, next) = match links.newest(owner, before, LINKS_STEP).await {
                    Ok(found) => found,
                    Err(error) => return Some((Err(error), Place::End)),
                };
                found.iter().for_each(|(_, link)| line(link, &mut text));
                Some((Ok(Bytes::from(text)), next))
            }
        })
    }

    /// Deletes those of `rows`, which are of the list of `owner`; answers whether there were any. One that fails does
    /// not keep the others.
    ///
    /// # Errors
    /// When something cannot be removed.
    pub async fn purge(&self, rows: &[Row]) -> Result<bool> {
        let mut outcome = Ok(());
        let mut any = false;
        for (_, code) in rows.iter().filter_map(listed) {
            match self.remove(&code, None).await {
                Ok(()) => any = true,
                Err(error) if error.is_gone() => {}
                Err(error) if error.is_of_storage() => return Err(error),
                Err(error) => outcome = Err(error),
            }
        }
        outcome.map(|()| any)
    }
}

/// Link and code of a row of a list.
fn listed(row: &Row) -> Option<(Id, String)> {
    Some((Id::from_bytes(&row.clustering)?, String::from_utf8(row.value.to_vec()).ok()?))
}

fn line(link: &Link, text: &mut String) {
    let optional = |moment: Option<String>| moment.unwrap_or_default();
    csv::line(
        text,
        &[
            Cell::Text(&link.code),
            Cell::Text(&link.short_url),
            Cell::Text(&link.url),
            Cell::Number(link.redirect.status().into()),
            Cell::Text(&link.created_at.to_string()),
            Cell::Text(&optional(link.expires_at.map(|at| at.to_string()))),
            Cell::Text(&optional(link.max_visits.map(|max| max.to_string()))),
            Cell::Text(if link.has_password { "true" } else { "false" }),
            Cell::Number(link.visits),
        ],
    );
}
