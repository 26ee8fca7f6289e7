//! Reports as they are made, and as operators read them. Rows without records: they are no news to anybody else.
//!
//! Only what the reporter can see at that moment can be reported, and a copy of it is kept: so an edit or a recall that
//! comes later hides nothing from operators, and a report proves nothing that its maker did not see.

use bytes::Bytes;
use fanfare_engines::{Batch, KeyRange, Order, RowKey};
use fanfare_protocol::{
    Author, Code, FiledReport, Id, NewReport, Page, Report, ReportKind, ReportState, Resolution, Timestamp,
};

use crate::base::cursor::Scope;
use crate::base::error::{Error, Result};
use crate::base::id::{first_id_at, hour_of, unix_ms_of};
use crate::base::limits::reports::{OPEN_OF_ONE_MAX, REASON_CHARS_MAX, REPORT_DAYS, RETRY_AFTER_S};
use crate::base::limits::{AUDIT_AHEAD_MS, LIST_STEP_ROWS};
use crate::base::text;
use crate::chat::service::Chat;
use crate::data::audit::Operator;
use crate::data::rows::{ReportRow, ReportedUser, ResolvedRow, from_json, to_json};
use crate::data::tables;
use crate::log::core::{Core, Owners as _};

/// Reports of people.
#[derive(Clone)]
pub struct Reports {
    core: Core,
    chat: Chat,
}

/// A report, and whether this request made it.
#[derive(Debug)]
pub enum Filed {
    /// It was made now.
    New(Report),
    /// The same person had reported the same before, and no operator has seen to it yet.
    Known(Report),
}

fn shown(id: Id, row: &ReportRow) -> Report {
    Report {
        id,
        kind: row.kind,
        target_id: row.target,
        reason: row.reason.clone(),
        resolved: row.resolved.is_some(),
        created_at: Timestamp(unix_ms_of(id)),
    }
}

/// Reports below this id are forgotten, whether or not their rows are gone already.
fn oldest_kept(now_ms: u64) -> Id {
    first_id_at(now_ms.saturating_sub(u64::from(REPORT_DAYS) * 86_400_000))
}

fn missing() -> Error {
    Error::not_found("report")
}

impl Reports {
    /// Over the rows of `core`; `chat` says what somebody sees of a conversation.
    #[must_use]
    pub const fn new(core: Core, chat: Chat) -> Self {
        Self { core, chat }
    }

    /// Reports something to the operators. The same thing again, while that is open, is the same report.
    ///
    /// # Errors
    /// 422 on `id` for what the caller cannot see, or is theirs; 429 when too many reports of theirs are open.
    pub async fn file(&self, caller: Id, new: NewReport) -> Result<Filed> {
        let reason = text::normalise(&new.reason, REASON_CHARS_MAX);
        let reason = reason.map_err(|cause| Error::field("reason", cause.to_string()))?;
        if reason.is_empty() {
            return Err(Error::field("reason", "is empty: say why"));
        }
        if new.conversation_id.is_some() && new.kind != ReportKind::Message {
            return Err(Error::field("conversation_id", "belongs to reports of messages"));
        }
        let _writing = self.core.writing(caller).await?;
        let _held = self.core.locks.hold(&[("reports", caller.0, 0)]).await?;
        let key = tables::report_of_row(caller, new.kind as u8, new.id);
        if let Some(known) = self.core.store.get_id(&key).await?
            && let Some(row) = self.row(known).await?.filter(|row| row.resolved.is_none())
        {
            return Ok(Filed::Known(shown(known, &row)));
        }
        let partition = tables::partition(caller);
        let (all, order) = (KeyRange::ALL, Order::Ascending);
        let open = self.core.store.scan(tables::REPORTS_OF, &partition, all, order, OPEN_OF_ONE_MAX);
        if open.await?.len() >= OPEN_OF_ONE_MAX {
            let reason = "as many of your reports are open as can be";
            return Err(Error::RateLimited { reason, retry_after_s: RETRY_AFTER_S });
        }
        let copy = self.copy(caller, new, reason).await?;
        let id = self.core.log.mint().await?;
        let row = ReportRow { version: id, ..copy };
        self.write(id, &row, key).await?;
        Ok(Filed::New(shown(id, &row)))
    }

    /// Writes a new report: what lists it comes after it.
    async fn write(&self, id: Id, row: &ReportRow, of_reporter: RowKey) -> Result<()> {
        let (report, open) = (tables::report_row(id), tables::open_report_row(id));
        let end = hour_of(id) + REPORT_DAYS * 24 + 2;
        let mut batch = Batch::default();
        for key in [&report, &open, &of_reporter] {
            batch.put(tables::expiry_row(end, key), Bytes::new());
        }
        batch.put_versioned(report, to_json(row)?, id.0);
        self.core.store.write(batch).await?;
        let mut lists = Batch::default();
        lists.put_versioned(open, Bytes::new(), id.0);
        lists.put_versioned(of_reporter, id.to_bytes().to_vec(), id.0);
        Ok(self.core.store.write(lists).await?)
    }

    /// Copy of what is reported, as its reporter sees it now.
    async fn copy(&self, caller: Id, new: NewReport, reason: String) -> Result<ReportRow> {
        let nothing = |what: &str| Error::field("id", format!("names no {what} that the caller can see"));
        let hide =
            |what: &'static str| move |error| if matches!(error, Error::Refused(_)) { nothing(what) } else { error };
        let NewReport { kind, id: target, conversation_id, .. } = new;
        let empty = ReportRow {
            version: Id(0),
            reporter: caller,
            kind,
            target,
            conversation: None,
            seq: None,
            user: None,
            text: String::new(),
            attachment: None,
            reason,
            resolved: None,
        };
        match kind {
            ReportKind::User => {
                let account = self.core.account_for(Some(caller), target).await.map_err(hide("person"))?;
                let row =
                    ReportRow { user: Some(reported(account.author.clone())), text: account.row.bio.clone(), ..empty };
                not_own(caller, row)
            }
            ReportKind::Conversation => {
                let seen = self.chat.conversation(caller, target).await.map_err(hide("conversation"))?;
                let user = seen.peer.map(reported);
                let text = seen.title.unwrap_or_default();
                Ok(ReportRow { conversation: Some(target), user, text, ..empty })
            }
            ReportKind::Message => {
                let evidence = self.chat.evidence(caller, target, conversation_id).await?;
                let evidence = evidence.ok_or_else(|| nothing("message"))?;
                let row = ReportRow {
                    conversation: Some(evidence.conversation),
                    seq: Some(evidence.seq),
                    user: Some(reported(evidence.sender)),
                    text: evidence.text,
                    attachment: evidence.attachment,
                    ..empty
                };
                not_own(caller, row)
            }
            ReportKind::Unknown => Err(Error::field("kind", "is one of message, user and conversation")),
        }
    }

    async fn row(&self, id: Id) -> Result<Option<ReportRow>> {
        let row = self.core.store.get(&tables::report_row(id)).await?;
        row.map(|row| from_json(&row)).transpose()
    }

    /// A report of the caller.
    ///
    /// # Errors
    /// 404 for what is none of theirs.
    pub async fn get(&self, caller: Id, id: Id) -> Result<Report> {
        let row = self.row(id).await?.filter(|row| row.reporter == caller).ok_or_else(missing)?;
        Ok(shown(id, &row))
    }

    /// Reports in a state, newest first.
    ///
    /// # Errors
    /// 400 for a foreign cursor.
    pub async fn list(&self, state: ReportState, limit: usize, cursor: Option<&str>) -> Result<Page<FiledReport>> {
        let (table, list) = match state {
            ReportState::Open => (tables::REPORTS_OPEN, "reports.open"),
            ReportState::Resolved => (tables::REPORTS, "reports.resolved"),
            ReportState::All => (tables::REPORTS, "reports.all"),
        };
        let scope = Scope { list, caller: Id(0), subject: Id(0) };
        let now_ms = self.core.clock.now_ms();
        let oldest = oldest_kept(now_ms);
        // Ids may be far ahead of a clock that was set right.
        let newest = first_id_at(now_ms + AUDIT_AHEAD_MS).max(Id(self.core.log.newest().0 + 1));
        let mut before = self.core.cursors.open_id(scope, cursor)?.unwrap_or(newest);
        let mut items: Vec<FiledReport> = Vec::new();
        for bucket in (tables::bucket_of(oldest)..=tables::bucket_of(before)).rev() {
            loop {
                let range = KeyRange { from: Some(tables::partition(oldest)), to: Some(tables::partition(before)) };
                let partition = tables::timeline_partition(bucket);
                let wanted = LIST_STEP_ROWS.max(limit + 1);
                let rows = self.core.store.scan(table, &partition, range, Order::Descending, wanted).await?;
                for row in &rows {
                    let Some(id) = Id::from_bytes(&row.clustering) else { continue };
                    if items.len() == limit {
                        let next_cursor = Some(self.core.cursors.seal_id(scope, before));
                        return Ok(Page { items, next_cursor });
                    }
                    let Some(report) = self.row(id).await? else { continue };
                    let is_asked_for = match state {
                        ReportState::Open => report.resolved.is_none(),
                        ReportState::Resolved => report.resolved.is_some(),
                        ReportState::All => true,
                    };
                    before = id;
                    if is_asked_for {
                        items.push(self.filed(id, report).await?);
                    }
                }
                if rows.len() < wanted {
                    break;
                }
            }
        }
        Ok(Page { items, next_cursor: None })
    }

    /// Person whom a report is about, if it is there.
    ///
    /// # Errors
    /// 404 when it is not.
    pub async fn about(&self, id: Id) -> Result<Option<Id>> {
        let row = self.row(id).await?.filter(|_| id >= oldest_kept(self.core.clock.now_ms()));
        Ok(row.ok_or_else(missing)?.user.map(|user| user.id))
    }

    /// Ends a report with a note; `line` leaves the act's line before that. The same note again changes nothing.
    ///
    /// # Errors
    /// 404 when there is none, 409 when it was ended with another note.
    pub async fn resolve(
        &self,
        operator: &Operator,
        id: Id,
        note: String,
        line: impl Future<Output = Result<()>>,
    ) -> Result<FiledReport> {
        let _held = self.core.locks.hold(&[("report", id.0, 0)]).await?;
        let mut row = self.row(id).await?.ok_or_else(missing)?;
        match &row.resolved {
            Some(known) if known.note != note => {
                return Err(Error::refused(Code::Conflict, "the report was resolved already, with another note"));
            }
            Some(_) => {}
            None => {
                line.await?;
                row.version = self.core.log.mint_above(row.version).await?;
                row.resolved = Some(ResolvedRow { at_ms: unix_ms_of(row.version), by: operator.actor, note });
                let mut batch = Batch::default();
                batch.put_versioned(tables::report_row(id), to_json(&row)?, row.version.0);
                self.core.store.write(batch).await?;
            }
        }
        // Also where a crash came between: what lists it goes after it.
        let of_reporter = tables::report_of_row(row.reporter, row.kind as u8, row.target);
        let mut lists = Batch::default();
        lists.delete_versioned(tables::open_report_row(id), row.version.0);
        if self.core.store.get_id(&of_reporter).await? == Some(id) {
            lists.delete_versioned(of_reporter, row.version.0);
        }
        self.core.store.write(lists).await?;
        self.filed(id, row).await
    }

    /// A report as operators see it.
    async fn filed(&self, id: Id, row: ReportRow) -> Result<FiledReport> {
        let author = |user: ReportedUser| Author {
            id: user.id,
            handle: user.handle,
            display_name: user.display_name,
            avatar_url: None,
        };
        let now_ms = self.core.clock.now_ms();
        let resolution =
            row.resolved.map(|end| Resolution { at: Timestamp(end.at_ms), by: end.by.to_string(), note: end.note });
        Ok(FiledReport {
            id,
            kind: row.kind,
            target_id: row.target,
            conversation_id: row.conversation,
            seq: row.seq,
            reporter: self.chat.views().author(row.reporter).await?,
            user: row.user.map(author),
            text: row.text,
            attachment: row.attachment.map(|attachment| self.chat.views().attachment(&attachment, now_ms)),
            reason: row.reason,
            created_at: Timestamp(unix_ms_of(id)),
            resolution,
        })
    }
}

fn reported(user: Author) -> ReportedUser {
    ReportedUser { id: user.id, handle: user.handle, display_name: user.display_name }
}

fn not_own(caller: Id, row: ReportRow) -> Result<ReportRow> {
    match &row.user {
        Some(user) if user.id == caller => Err(Error::field("id", "is the caller, or theirs")),
        _ => Ok(row),
    }
}
