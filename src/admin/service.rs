//! Acts of operators: whom they may act on, what they do, and the lines that they leave.
//!
//! Each act is one commit with its line. What lives in memory only (settings, sessions, events) is done once the line
//! is durable: a line without its act may be left by a crash, an act without its line cannot.

use std::sync::Arc;

use fanfare_engines::{KeyRange, Order};
use fanfare_protocol::{AdminLink, AuditEntry, Code, FiledReport, Id, NewSuspension, Page, Suspension, Timestamp};

use crate::base::cursor::Scope;
use crate::base::error::{Error, Result};
use crate::base::id::{first_id_at, unix_ms_of};
use crate::base::limits;
use crate::base::text;
use crate::data::audit::{Act, Action, Actor, Operator, oldest_kept};
use crate::data::rows::{SuspensionRow, from_json};
use crate::data::tables;
use crate::links::Links;
use crate::log::core::Core;
use crate::log::events::Event;
use crate::log::handle::Proposal;
use crate::posts::service::Posts;
use crate::reports::Reports;
use crate::users::service::Users;
use crate::users::session_ender::SessionEnder;

/// Acts of operators.
#[derive(Clone)]
pub struct Acts {
    core: Core,
    users: Users,
    posts: Posts,
    links: Links,
    reports: Reports,
    sessions: Arc<dyn SessionEnder>,
}

/// The target of an act on a person.
fn person(user: Id) -> String {
    format!("users/{user}")
}

/// A reason without surrounding space; one in which nothing can be seen is none.
///
/// # Errors
/// 422 when it is too long, or holds what a name may not: line ends, control characters, overrides of the direction of
/// writing, which would show other words in an operator's terminal than were written.
pub fn clean_reason(reason: Option<&str>) -> Result<Option<String>> {
    let reason = text::normalise_name(reason.unwrap_or_default(), limits::REASON_CHARS_MAX);
    let reason = reason.map_err(|cause| Error::field("reason", cause.to_string()))?;
    Ok((!reason.is_empty()).then_some(reason))
}

impl Acts {
    /// Over the services; `sessions` hears who is suspended.
    #[must_use]
    pub fn new(
        core: Core,
        users: Users,
        posts: Posts,
        links: Links,
        reports: Reports,
        sessions: Arc<dyn SessionEnder>,
    ) -> Self {
        Self { core, users, posts, links, reports, sessions }
    }

    /// Whether `operator` may act on `user`: the holder of the admin token on everybody, an operator by role on nobody
    /// who is an operator too.
    ///
    /// # Errors
    /// 403 when not.
    pub async fn may_act_on(&self, operator: &Operator, user: Id) -> Result<()> {
        let Actor::Person(_) = operator.actor else { return Ok(()) };
        if self.core.store.credentials(user).await?.admin {
            let detail = "an operator by role cannot act on operators, nor on themselves; use the admin token";
            return Err(Error::refused(Code::Forbidden, detail));
        }
        Ok(())
    }

    /// Leaves the line of an act that changes no row.
    ///
    /// # Errors
    /// When storage failed.
    pub async fn note(&self, act: Act) -> Result<()> {
        let guard = self.core.log.decide(act.person(), &[]).await?;
        self.core.log.commit(&guard, Proposal { audit: Some(act), ..Event::Operated.into() }).await?;
        Ok(())
    }

    /// Deletes a post, whoever wrote it.
    ///
    /// # Errors
    /// 404 when there is none, 410 when it is gone already, 403 for an operator's post and an operator by role.
    pub async fn delete_post(&self, operator: &Operator, id: Id, reason: Option<String>) -> Result<()> {
        let post = self.core.store.post_or_gone(id).await?.ok_or_else(|| Error::not_found("post"))?;
        self.may_act_on(operator, post.author).await?;
        self.posts.remove(id, operator.act(Action::DeletePost, format!("posts/{id}"), reason)).await
    }

    /// A short link, whoever made it.
    ///
    /// # Errors
    /// 404 when there is none, 410 when it was deleted.
    pub async fn link(&self, code: &str) -> Result<AdminLink> {
        let (link, owner, blocked) = self.links.anybodys(code).await?;
        Ok(AdminLink { link, owner, blocked })
    }

    /// Deletes a short link, whoever made it.
    ///
    /// # Errors
    /// 404 when there is none, 410 when it is gone already, 403 for an operator's link and an operator by role.
    pub async fn delete_link(&self, operator: &Operator, code: &str, reason: Option<String>) -> Result<()> {
        let (_, owner, _) = self.links.anybodys(code).await?;
        self.may_act_on(operator, owner).await?;
        self.links.remove(code, Some(operator.act(Action::DeleteLink, format!("links/{code}"), reason))).await
    }

    /// Resolves a report with a note, which stands in the audit too; the same note again changes nothing.
    ///
    /// # Errors
    /// 404 when there is none, 422 without a note, 409 when it was resolved with another one, 403 for a report of an
    /// operator and an operator by role.
    pub async fn resolve_report(&self, operator: &Operator, id: Id, note: &str) -> Result<FiledReport> {
        let note = text::normalise_name(note, limits::REASON_CHARS_MAX);
        let note = note.map_err(|cause| Error::field("note", cause.to_string()))?;
        if note.is_empty() {
            return Err(Error::field("note", "say what was done, or why nothing was"));
        }
        if let Some(user) = self.reports.about(id).await? {
            self.may_act_on(operator, user).await?;
        }
        let act = operator.act(Action::ResolveReport, format!("reports/{id}"), Some(note.clone()));
        self.reports.resolve(operator, id, note, self.note(act)).await
    }

    /// Suspends a person, in place of an earlier suspension: from now on nobody sees them, and they are not let in.
    ///
    /// # Errors
    /// 404 when there is no such person, 403 as [`may_act_on`](Self::may_act_on), 422 without a reason or for an end
    /// that has passed, 409 when too many are suspended.
    pub async fn suspend(&self, operator: &Operator, user: Id, new: NewSuspension) -> Result<Suspension> {
        let reason = clean_reason(Some(&new.reason))?;
        let reason = reason.ok_or_else(|| Error::field("reason", "say why; other operators read it in the audit"))?;
        let until_ms = new.until.map(|until| until.0);
        if until_ms.is_some_and(|until_ms| until_ms <= self.core.clock.now_ms()) {
            return Err(Error::field(
                "until",
                "must be in the future; without it the suspension stands until it is lifted",
            ));
        }
        let guard = self.core.log.decide(user, &[("suspension", user.0, 0)]).await?;
        self.core.account(user).await?;
        self.may_act_on(operator, user).await?;
        let absent = &self.core.store.absent;
        if absent.suspended() >= limits::SUSPENDED_MAX && absent.suspension(user).is_none() {
            let detail = format!("{} people are suspended, the most there may be", limits::SUSPENDED_MAX);
            return Err(Error::refused(Code::Conflict, detail));
        }
        let end = new.until.map_or(String::new(), |until| format!(" until {until}"));
        let act = operator.act(Action::Suspend, person(user) + &end, Some(reason.clone()));
        let event = Event::Suspended { user, reason: reason.clone(), until_ms };
        // Before, so that nobody reads counts that hold what is hidden.
        self.core.store.watch(user).await?;
        let made = self.core.log.commit(&guard, Proposal { audit: Some(act), ..event.into() }).await;
        if absent.suspension(user).is_none() {
            self.core.store.unwatch(user);
        }
        let record = made?;
        self.sessions.suspended(user).await;
        Ok(Suspension { user_id: user, reason, since: Timestamp(unix_ms_of(record.id)), until: new.until })
    }

    /// Lifts a suspension; where there is none nothing happens.
    ///
    /// # Errors
    /// 404 when there is no such person, 403 as [`may_act_on`](Self::may_act_on).
    pub async fn unsuspend(&self, operator: &Operator, user: Id, reason: Option<String>) -> Result<()> {
        let guard = self.core.log.decide(user, &[("suspension", user.0, 0)]).await?;
        self.core.account(user).await?;
        self.may_act_on(operator, user).await?;
        if self.core.store.absent.suspension(user).is_some() {
            let act = operator.act(Action::Unsuspend, person(user), reason);
            let lifted = Event::Unsuspended { user };
            self.core.log.commit(&guard, Proposal { audit: Some(act), ..lifted.into() }).await?;
            self.core.store.unwatch(user);
        }
        Ok(())
    }

    /// Suspended people, newest accounts first.
    ///
    /// # Errors
    /// 400 for a foreign cursor.
    pub async fn suspensions(&self, limit: usize, cursor: Option<&str>) -> Result<Page<Suspension>> {
        let scope = Scope { list: "suspensions", caller: Id(0), subject: Id(0) };
        let store = &self.core.store;
        let mut before = self.core.cursors.open_id(scope, cursor)?.unwrap_or(Id(u64::MAX));
        let mut items = Vec::new();
        'rows: loop {
            let range = KeyRange { from: None, to: Some(tables::partition(before)) };
            let wanted = limits::LIST_STEP_ROWS.max(limit + 1);
            let rows = store.scan(tables::SUSPENSIONS, &tables::ONE, range, Order::Descending, wanted).await?;
            for row in &rows {
                let Some(user) = Id::from_bytes(&row.clustering) else { continue };
                before = user;
                // Rows of what has ended stand until the janitor comes.
                if store.absent.suspension(user).is_some() {
                    let SuspensionRow { reason, since, until_ms } = from_json(&row.value)?;
                    let (since, until) = (Timestamp(unix_ms_of(since)), until_ms.map(Timestamp));
                    items.push(Suspension { user_id: user, reason, since, until });
                }
                if items.len() > limit {
                    break 'rows;
                }
            }
            if rows.len() < wanted {
                break;
            }
        }
        let more = items.len() > limit;
        items.truncate(limit);
        let last = items.last().filter(|_| more);
        let next_cursor = last.map(|last| self.core.cursors.seal_id(scope, last.user_id));
        Ok(Page { items, next_cursor })
    }

    /// Gives a person a password, and ends all their sessions.
    ///
    /// # Errors
    /// 404 when there is no such person, 403 as [`may_act_on`](Self::may_act_on), 422 for a password that is too short
    /// or too long.
    pub async fn set_password(&self, operator: &Operator, user: Id, password: String) -> Result<()> {
        self.core.account(user).await?;
        self.may_act_on(operator, user).await?;
        let act = operator.act(Action::SetPassword, person(user), None);
        self.users.give_password(user, password, act, operator.address).await
    }

    /// Makes a person an operator, or a plain user again. Operators by role can step down themselves.
    ///
    /// # Errors
    /// 404 when there is no such person, 403 as [`may_act_on`](Self::may_act_on).
    pub async fn set_admin(&self, operator: &Operator, user: Id, admin: bool) -> Result<()> {
        self.core.account(user).await?;
        if operator.actor != Actor::Person(user) {
            self.may_act_on(operator, user).await?;
        }
        let action = if admin { Action::GrantAdmin } else { Action::RevokeAdmin };
        self.users.set_admin(user, admin, operator.act(action, person(user), None)).await
    }

    /// Acts of operators in the last 400 days, newest first.
    ///
    /// # Errors
    /// 400 for a foreign cursor.
    pub async fn audit(&self, limit: usize, cursor: Option<&str>) -> Result<Page<AuditEntry>> {
        let scope = Scope { list: "audit", caller: Id(0), subject: Id(0) };
        let now_ms = self.core.clock.now_ms();
        let oldest = oldest_kept(now_ms);
        // Ids may be far ahead of a clock that was set right.
        let newest = first_id_at(now_ms + limits::AUDIT_AHEAD_MS).max(Id(self.core.log.newest().0 + 1));
        let before = self.core.cursors.open_id(scope, cursor)?.unwrap_or(newest);
        let range = KeyRange { from: Some(tables::partition(oldest)), to: Some(tables::partition(before)) };
        let mut items = Vec::new();
        for bucket in (tables::bucket_of(oldest)..=tables::bucket_of(before)).rev() {
            let partition = tables::timeline_partition(bucket);
            let store = &self.core.store;
            let wanted = limit + 1 - items.len();
            let rows = store.scan(tables::AUDIT, &partition, range.clone(), Order::Descending, wanted).await?;
            for row in &rows {
                let Some(id) = Id::from_bytes(&row.clustering) else { continue };
                items.push(from_json::<Act>(&row.value)?.entry(id));
            }
            if items.len() > limit {
                break;
            }
        }
        let more = items.len() > limit;
        items.truncate(limit);
        let last = items.last().filter(|_| more);
        let next_cursor = last.map(|last| self.core.cursors.seal_id(scope, last.id));
        Ok(Page { items, next_cursor })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_trimmed_bounded_and_of_one_line() {
        assert_eq!(clean_reason(Some("  spam ")).unwrap().as_deref(), Some("spam"));
        assert_eq!(clean_reason(Some(" \u{2003} ")).unwrap(), None);
        assert_eq!(clean_reason(None).unwrap(), None);
        assert_eq!(clean_reason(Some("\u{200b}\u{3164}")).unwrap(), None, "nothing can be seen");
        for wrong in ["a\nb", "a\u{2028}b", "a\u{202e}b", "a\u{7}b"] {
            assert!(clean_reason(Some(wrong)).is_err(), "{wrong:?}");
        }
        assert!(clean_reason(Some(&"x".repeat(limits::REASON_CHARS_MAX))).is_ok());
        assert!(clean_reason(Some(&"x".repeat(limits::REASON_CHARS_MAX + 1))).is_err());
    }
}
