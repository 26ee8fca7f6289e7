//! Numbers of chat for operators: what was sent, repeated and refused since the start, and what waits now.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use fanfare_engines::{EngineError, Partition};
use fanfare_protocol::ConversationKind;
use parking_lot::Mutex;
use serde::Serialize;
use utoipa::ToSchema;

use super::family::{ChatCommitted, Decoded};
use super::fold::record::ChatAct;
use crate::base::error::Error;
use crate::data::tables::chat as keys;
use crate::log::onward::Onward;

/// Numbers since the start; they stand in metrics too.
#[derive(Debug, Default)]
pub struct ChatCounts {
    messages: AtomicU64,
    repeats: AtomicU64,
    commits: AtomicU64,
    records: AtomicU64,
    unknown: AtomicU64,
    /// By reason: as many as there are words for them in the code.
    refusals: Mutex<BTreeMap<&'static str, u64>>,
}

impl ChatCounts {
    /// A group of records is durable.
    pub fn committed(&self, committed: &[ChatCommitted]) {
        let (mut direct, mut group, mut repeats) = (0, 0, 0);
        for one in committed {
            let is_message = matches!(one.record.act, ChatAct::Sent(_));
            match (one.outcome.refused, one.outcome.repeat) {
                (Some(refusal), _) => self.refused(refusal.name()),
                (None, Some(_)) => repeats += u64::from(is_message),
                (None, None) if is_message => match keys::kind_of(one.record.conversation) {
                    ConversationKind::Direct => direct += 1,
                    ConversationKind::Group => group += 1,
                },
                (None, None) => {}
            }
        }
        self.messages.fetch_add(direct + group, Ordering::Relaxed);
        self.repeats.fetch_add(repeats, Ordering::Relaxed);
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.records.fetch_add(committed.len() as u64, Ordering::Relaxed);
        metrics::counter!("fanfare_chat_messages_total", "kind" => "direct").increment(direct);
        metrics::counter!("fanfare_chat_messages_total", "kind" => "group").increment(group);
        metrics::counter!("fanfare_chat_repeats_total").increment(repeats);
        metrics::counter!("fanfare_chat_commits_total").increment(1);
        metrics::counter!("fanfare_chat_records_total").increment(committed.len() as u64);
    }

    /// Something was refused.
    pub fn refused(&self, reason: &'static str) {
        *self.refusals.lock().entry(reason).or_default() += 1;
        metrics::counter!("fanfare_chat_refusals_total", "reason" => reason).increment(1);
    }

    /// A message came to nothing before it was handed in.
    pub fn not_admitted(&self, error: &Error) {
        match error {
            Error::Refused(problem) => self.refused(match problem.status {
                403 => "not_admitted_forbidden",
                404 => "not_admitted_not_found",
                _ => "not_admitted_invalid",
            }),
            Error::RateLimited { .. } => self.refused("rate_limited"),
            Error::Damaged(_) | Error::Engine(EngineError::Corrupt(_)) => self.refused("damaged"),
            Error::Overloaded { .. } | Error::Elsewhere(_) | Error::Engine(_) => self.refused("overloaded"),
            Error::Setting(_) | Error::Internal(_) => self.refused("internal"),
        }
    }

    /// An act was answered; an answer that got lost leaves it unknown.
    pub fn answered<T>(&self, answer: &Result<T, Error>) {
        if let Err(Error::Engine(EngineError::Unknown(_))) = answer {
            self.unknown.fetch_add(1, Ordering::Relaxed);
            metrics::counter!("fanfare_chat_unknown_total").increment(1);
        }
    }
}

/// Parts of a partition that its owner keeps in memory.
#[derive(Clone, Default)]
pub struct ChatPart {
    /// The partition.
    pub number: u16,
    /// Requests and invitations on their way to people.
    pub onward: Onward,
    /// Conversations that stay decoded.
    pub decoded: Decoded,
}

impl ChatPart {
    /// Of a partition, with nothing in it.
    #[must_use]
    pub fn new(Partition(number): Partition) -> Self {
        Self { number, ..Self::default() }
    }
}

/// Owner of one of chat's partitions.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChatOwnerStatus {
    /// Number of the partition.
    pub partition: u16,
    /// Whether it takes anything: not while storage is away, and not any more where its log cannot be read.
    pub takes: bool,
    /// Records that wait to be taken.
    pub waiting: usize,
    /// Conversations that stay decoded with it.
    pub conversations_cached: usize,
    /// Bytes of these.
    pub cached_bytes: u64,
    /// Records of requests and invitations that people are still to be told of.
    pub notices_waiting: usize,
}

/// Conversations and messages.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChatStatus {
    /// Messages that were sent since the start.
    pub messages: u64,
    /// Sends that were repeats of earlier ones, and were answered as these.
    pub repeats: u64,
    /// Records of all kinds since the start.
    pub records: u64,
    /// Commits since the start.
    pub commits: u64,
    /// Acts of which nobody could say whether they were done.
    pub unknown: u64,
    /// Acts that were refused, by reason.
    pub refusals: BTreeMap<&'static str, u64>,
    /// Owners on this node.
    pub owners: Vec<ChatOwnerStatus>,
}

impl ChatCounts {
    /// The numbers with those of the `owners`.
    #[must_use]
    pub fn status(&self, owners: Vec<ChatOwnerStatus>) -> ChatStatus {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        ChatStatus {
            messages: of(&self.messages),
            repeats: of(&self.repeats),
            records: of(&self.records),
            commits: of(&self.commits),
            unknown: of(&self.unknown),
            refusals: self.refusals.lock().clone(),
            owners,
        }
    }
}
