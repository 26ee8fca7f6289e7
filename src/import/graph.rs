//! People and follows of an import.
//!
//! Lines are loaded in blocks, many at once; after a block its last line is remembered. A block that a kill cut off is
//! loaded again, to no effect: making somebody who exists and following twice change nothing.

use futures_util::future::BoxFuture;
use std::collections::HashMap;

use bytes::Bytes;
use fanfare_engines::{Batch, RowKey};
use fanfare_protocol::Id;
use futures_util::stream::{self, StreamExt as _};

use super::lines::Follow;
use crate::app::App;
use crate::base::error::{Error, Result};
use crate::base::handle::Handle;
use crate::data::tables;

/// Calls that are under way at once: they share commits.
const AT_ONCE: usize = 512;
/// Key of the last line of the follows that was loaded, in the `meta` table.
const META_GRAPH_LINE: Bytes = Bytes::from_static(b"import_graph_line");

/// People by their external ids.
pub struct People {
    app: App,
    known: HashMap<u64, Id>,
    /// Moment at which accounts are made and edges drawn: before the first act.
    at_ms: u64,
}

/// Edges of a block that were not drawn, with the line and why.
pub type Refused = Vec<(u64, String)>;

impl People {
    /// Nobody known yet; accounts are made as of `at_ms`.
    #[must_use]
    pub fn new(app: App, at_ms: u64) -> Self {
        Self { app, known: HashMap::new(), at_ms }
    }

    /// Everybody known so far.
    pub fn all(&self) -> impl Iterator<Item = (u64, Id)> {
        self.known.iter().map(|(external, id)| (*external, *id))
    }

    /// Number of people known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether nobody is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// The account of an external id, if it is known.
    #[must_use]
    pub fn get(&self, external: u64) -> Option<Id> {
        self.known.get(&external).copied()
    }

    /// The account `u<external>`, made without a password if there is none.
    ///
    /// # Errors
    /// When storage fails.
    pub fn find_or_make(&mut self, external: u64, at_ms: u64) -> BoxFuture<'_, Result<Id>> {
        Box::pin(async move {
            if let Some(id) = self.get(external) {
                return Ok(id);
            }
            let id = make(&self.app, external, at_ms).await?;
            self.known.insert(external, id);
            Ok(id)
        })
    }

    /// Finds or makes everybody in `externals`, many at once.
    ///
    /// # Errors
    /// When storage fails.
    pub async fn find_or_make_all(&mut self, externals: impl Iterator<Item = u64>) -> Result<()> {
        self.find_or_make_all_at(self.at_ms, externals).await
    }

    /// Finds or makes everybody in `externals`, many at once, as of the moment `at_ms`.
    ///
    /// # Errors
    /// When storage fails.
    pub async fn find_or_make_all_at(&mut self, at_ms: u64, externals: impl Iterator<Item = u64>) -> Result<()> {
        let mut missing: Vec<u64> = externals.filter(|external| !self.known.contains_key(external)).collect();
        missing.sort_unstable();
        missing.dedup();
        let app = self.app.clone();
        let mut made = stream::iter(missing)
            .map(|external| {
                let app = app.clone();
                async move { (external, make(&app, external, at_ms).await) }
            })
            .buffer_unordered(AT_ONCE);
        while let Some((external, id)) = made.next().await {
            self.known.insert(external, id?);
        }
        Ok(())
    }

    /// Draws the edges of a block whose last line is `last`, and remembers that line.
    ///
    /// # Errors
    /// When storage fails; an edge that is not allowed is only reported.
    pub fn load<'a>(&'a mut self, block: &'a [(u64, Follow)], last: u64) -> BoxFuture<'a, Result<Refused>> {
        Box::pin(async move {
            let people = block.iter().flat_map(|(_, follow)| [follow.follower, follow.followee]);
            self.find_or_make_all(people).await?;
            let mut drawn = stream::iter(block.iter().copied())
                .map(|(line, follow)| {
                    let (app, at_ms) = (self.app.clone(), self.at_ms);
                    let edge = (self.get(follow.follower), self.get(follow.followee));
                    async move {
                        let (Some(follower), Some(followee)) = edge else {
                            return (line, Err(Error::not_found("user")));
                        };
                        (line, app.follows().follow_as(follower, followee, Some(at_ms)).await)
                    }
                })
                .buffer_unordered(AT_ONCE);
            let mut refused = Refused::new();
            while let Some((line, outcome)) = drawn.next().await {
                match outcome {
                    Ok(()) => {}
                    Err(Error::Refused(problem)) => refused.push((line, problem.detail)),
                    Err(error) => return Err(error),
                }
            }
            drop(drawn);
            refused.sort_unstable();
            let mut batch = Batch::default();
            batch.put_versioned(graph_row(), last.to_be_bytes().to_vec(), last.max(1));
            self.app.core().store.write(batch).await?;
            Ok(refused)
        })
    }

    /// The last line of the follows that an import into this folder has loaded; 0 when there was none.
    ///
    /// # Errors
    /// When storage fails.
    pub fn loaded(&self) -> BoxFuture<'_, Result<u64>> {
        Box::pin(async move { Ok(self.app.core().store.get_id(&graph_row()).await?.map_or(0, |line| line.0)) })
    }
}

fn graph_row() -> RowKey {
    RowKey::new(tables::META, tables::ONE, META_GRAPH_LINE)
}

fn make(app: &App, external: u64, at_ms: u64) -> BoxFuture<'_, Result<Id>> {
    Box::pin(async move {
        let name = format!("u{external}");
        if let Some(account) = app.core().store.by_handle(&name).await? {
            return Ok(account.row.id);
        }
        let handle = Handle::parse(&name).map_err(|error| Error::Internal(error.to_string()))?;
        app.users().create(&handle, None, None, at_ms).await.map(|account| account.row.id)
    })
}
