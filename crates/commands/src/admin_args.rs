//! Arguments behind `fanfare admin`.

use std::str::FromStr;

use clap::{Args, Subcommand};
use fanfare_protocol::{Id, Timestamp};

use super::args::Common;

/// `fanfare admin`.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  fanfare admin --data-dir /var/lib/fanfare user suspend @mallory --reason spam --until 7d\n  \
    fanfare admin user unsuspend @mallory --reason 'an honest mistake'\n  \
    fanfare admin user password @ada                   asks for it, or reads a line of standard input\n  \
    fanfare admin post delete 2235236504953683968 --reason 'a home address'\n  \
    fanfare admin report list\n  \
    fanfare admin audit --limit 50\n  \
    FANFARE_ADMIN_TOKEN=… fanfare admin --url http://10.0.0.7:7070 audit\n\n\
    It talks to a server that runs. Where no token is given it takes admin.token from the data folder, and where no \
    address is given the one in the settings (http.listen). Every act leaves a line in the audit."
)]
pub struct AdminArgs {
    #[command(flatten)]
    pub common: Common,
    /// Address of the server [default: http.listen of the settings]
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// The admin token, or that of a person with role admin [default: admin.token in the data folder]
    #[arg(long, value_name = "TOKEN", env = "FANFARE_ADMIN_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// Act to do
    #[command(subcommand)]
    pub act: AdminAct,
}

/// Acts of operators.
#[derive(Debug, Clone, Subcommand)]
pub enum AdminAct {
    /// Posts
    #[command(subcommand)]
    Post(PostAct),
    /// Short links
    #[command(subcommand)]
    Link(LinkAct),
    /// People
    #[command(subcommand)]
    User(UserAct),
    /// Consumers of the journal
    #[command(subcommand)]
    Consumer(ConsumerAct),
    /// What people report
    #[command(subcommand)]
    Report(ReportAct),
    /// List the acts of operators, newest first
    #[command(after_help = "Examples:\n  fanfare admin audit\n  fanfare admin audit --limit 100 --json | jq .action")]
    Audit(List),
}

/// Length of a list, and its form.
#[derive(Debug, Clone, Copy, Args)]
pub struct List {
    /// Lines at most
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub limit: u32,
    /// JSON, an object a line
    #[arg(long)]
    pub json: bool,
}

/// Acts of operators about posts.
#[derive(Debug, Clone, Subcommand)]
pub enum PostAct {
    /// Delete a post, whoever wrote it
    #[command(after_help = "Examples:\n  fanfare admin post delete 2235236504953683968 --reason spam")]
    Delete {
        /// The post's id
        #[arg(value_name = "ID")]
        id: Id,
        /// Why, for the audit
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
}

/// Acts of operators about consumers of the journal.
#[derive(Debug, Clone, Subcommand)]
pub enum ConsumerAct {
    /// Remove one that is no more, so that the journal is not kept for it
    #[command(after_help = "Examples:\n  fanfare admin consumer remove effects --reason 'of a version before'")]
    Remove {
        /// Name of the consumer, as journal_consumers in the status has it
        #[arg(value_name = "NAME", value_parser = consumer_name)]
        name: String,
        /// Why, for the audit
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
}

/// Acts of operators about short links.
#[derive(Debug, Clone, Subcommand)]
pub enum LinkAct {
    /// Show a link: where it leads, and who made it
    #[command(after_help = "Examples:\n  fanfare admin link show 3x5pu")]
    Show {
        /// The link's code
        #[arg(value_name = "CODE")]
        code: String,
    },
    /// Delete a link, whoever made it
    #[command(after_help = "Examples:\n  fanfare admin link delete 3x5pu --reason spam")]
    Delete {
        /// The link's code
        #[arg(value_name = "CODE")]
        code: String,
        /// Why, for the audit
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
}

fn consumer_name(text: &str) -> Result<String, String> {
    let fits = |one: u8| one.is_ascii_lowercase() || one.is_ascii_digit() || one == b'-' || one == b'_';
    let is_name = !text.is_empty() && text.bytes().all(fits);
    if is_name { Ok(text.to_owned()) } else { Err("give a name of a-z, 0-9, - and _".to_owned()) }
}

/// Acts of operators about reports.
#[derive(Debug, Clone, Subcommand)]
pub enum ReportAct {
    /// List what people reported, newest first: what no operator has seen to, or all of it
    #[command(after_help = "Examples:\n  fanfare admin report list\n  \
        fanfare admin report list --all --json | jq .text")]
    List {
        /// Resolved ones too
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        list: List,
    },
    /// Resolve a report; the note stands in the audit
    #[command(
        after_help = "Examples:\n  fanfare admin report resolve 2235236504953683968 --note 'suspended for a week'"
    )]
    Resolve {
        /// The report's id
        #[arg(value_name = "ID")]
        id: Id,
        /// What was done, or why nothing was
        #[arg(long, value_name = "TEXT")]
        note: String,
    },
}

/// Acts of operators about people.
#[derive(Debug, Clone, Subcommand)]
pub enum UserAct {
    /// Hide a person and all they did, and let them in nowhere, until it is lifted or ends
    #[command(after_help = "Examples:\n  fanfare admin user suspend @mallory --reason spam\n  \
        fanfare admin user suspend @mallory --reason spam --until 7d\n  \
        fanfare admin user suspend 17 --reason spam --until 2030-01-31T00:00:00Z")]
    Suspend {
        /// @handle or id
        #[arg(value_name = "WHO")]
        who: Who,
        /// Why, for the audit
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// End of the suspension: so many m(inutes), h(ours), d(ays) or w(eeks), or a moment (RFC 3339)
        #[arg(long, value_name = "WHEN")]
        until: Option<Until>,
    },
    /// Lift a suspension
    #[command(after_help = "Examples:\n  fanfare admin user unsuspend @mallory --reason 'an honest mistake'")]
    Unsuspend {
        /// @handle or id
        #[arg(value_name = "WHO")]
        who: Who,
        /// Why, for the audit
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// List the suspended people, newest accounts first
    #[command(after_help = "Examples:\n  fanfare admin user suspended --limit 100\n  \
        fanfare admin user suspended --json | jq .reason")]
    Suspended(List),
    /// Give a person a password and end all their sessions; it is asked for, or read from standard input
    #[command(
        after_help = "Examples:\n  fanfare admin user password @ada                   asks for it, or reads a line of standard input"
    )]
    Password {
        /// @handle or id
        #[arg(value_name = "WHO")]
        who: Who,
    },
}

/// A person as they are named in a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Who(pub String);

impl FromStr for Who {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_id = text.parse::<Id>().is_ok();
        let handle = text.strip_prefix('@').unwrap_or_default();
        let is_handle = !handle.is_empty() && handle.bytes().all(|one| one.is_ascii_alphanumeric() || one == b'_');
        if is_id || is_handle { Ok(Self(text.to_owned())) } else { Err("give @handle, or an id".to_owned()) }
    }
}

/// An end: a moment, or so long from now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// Milliseconds from now.
    InMs(u64),
    /// A moment.
    At(Timestamp),
}

impl Until {
    /// The moment, seen from `now_ms`.
    #[must_use]
    pub fn from(self, now_ms: u64) -> Timestamp {
        match self {
            Self::InMs(ms) => Timestamp(now_ms.saturating_add(ms)).min(Timestamp::MAX),
            Self::At(at) => at,
        }
    }
}

impl FromStr for Until {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "give a length such as 90m, 12h, 7d or 2w, or a moment such as 2030-01-31T00:00:00Z".to_owned();
        if let Ok(at) = serde_json::from_value(serde_json::Value::String(text.to_owned())) {
            return Ok(Self::At(at));
        }
        let mut letters = text.chars();
        let unit_ms = match letters.next_back() {
            Some('m') => 60_000,
            Some('h') => 3_600_000,
            Some('d') => 86_400_000,
            Some('w') => 7 * 86_400_000,
            _ => return Err(wrong()),
        };
        let number: u64 = letters.as_str().parse().map_err(|_| wrong())?;
        number.checked_mul(unit_ms).filter(|ms| *ms > 0).map(Self::InMs).ok_or_else(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_a_length_or_a_moment() {
        assert_eq!("90m".parse(), Ok(Until::InMs(5_400_000)));
        assert_eq!("2w".parse(), Ok(Until::InMs(1_209_600_000)));
        assert_eq!("7d".parse::<Until>().unwrap().from(1_000), Timestamp(604_801_000));
        let moment = "2030-01-31T00:00:00Z".parse::<Until>().unwrap();
        assert_eq!(moment.from(5).to_string(), "2030-01-31T00:00:00.000Z");
        assert_eq!("99999999w".parse::<Until>().unwrap().from(1_000), Timestamp::MAX);
        for wrong in ["", "7", "d", "0d", "-1d", "1.5h", "7 d", "7y", "tomorrow", "99999999999999999999d", "2030-01-31"]
        {
            assert!(wrong.parse::<Until>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_person_is_named_by_handle_or_id() {
        for right in ["@ada", "@Ada_1", "17"] {
            assert!(right.parse::<Who>().is_ok(), "{right}");
        }
        for wrong in ["", "@", "ada", "@a/../b", "@a b", "@ä", "-1", "1/2", "@a?x"] {
            assert!(wrong.parse::<Who>().is_err(), "{wrong}");
        }
    }
}
