//! Audit of what operators did: who, from where, what, to what, and why. An act is part of the record of what it did,
//! so that there is none without its line. Pure.

use std::net::IpAddr;

use fanfare_protocol::{AuditEntry, Id, Timestamp};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::base::id::{first_id_at, unix_ms_of};
use crate::base::limits::AUDIT_DAYS;

/// Somebody who acts as an operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actor {
    /// Whoever has the admin token.
    Token,
    /// A person whose role is admin.
    Person(Id),
}

/// Name of the holder of the admin token.
const TOKEN: &str = "admin.token";

impl std::fmt::Display for Actor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Token => f.write_str(TOKEN),
            Self::Person(id) => id.fmt(f),
        }
    }
}

impl Serialize for Actor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Actor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text == TOKEN {
            return Ok(Self::Token);
        }
        text.parse().map(Self::Person).map_err(serde::de::Error::custom)
    }
}

/// Operator who asks for an act, and their address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operator {
    /// Token or person.
    pub actor: Actor,
    /// The client's address.
    pub address: IpAddr,
}

/// Kind of act. Stored by these names, which never change their meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// A post was deleted.
    #[serde(rename = "post.delete")]
    DeletePost,
    /// A short link was deleted.
    #[serde(rename = "link.delete")]
    DeleteLink,
    /// A person was suspended.
    #[serde(rename = "user.suspend")]
    Suspend,
    /// A suspension was lifted.
    #[serde(rename = "user.unsuspend")]
    Unsuspend,
    /// A person got a password.
    #[serde(rename = "user.password")]
    SetPassword,
    /// A person became an operator.
    #[serde(rename = "user.grant_admin")]
    GrantAdmin,
    /// A person is no operator any more.
    #[serde(rename = "user.revoke_admin")]
    RevokeAdmin,
    /// A report was resolved.
    #[serde(rename = "report.resolve")]
    ResolveReport,
    /// Settings were changed while running.
    #[serde(rename = "settings.change")]
    ChangeSettings,
    /// A session was closed.
    #[serde(rename = "session.close")]
    CloseSession,
    /// The registration of a consumer of the journal was taken away.
    #[serde(rename = "consumer.remove")]
    RemoveConsumer,
    /// An event was handed to sessions.
    #[serde(rename = "event.publish")]
    Publish,
}

impl Action {
    /// Name of the action, as it is stored.
    #[must_use]
    pub fn name(self) -> String {
        serde_json::to_value(self).ok().and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default()
    }
}

/// An act as it stands in its record; the record's id is its own. It never holds a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Act {
    /// Token or person.
    pub actor: Actor,
    /// Address of the client.
    pub address: IpAddr,
    /// Kind of act.
    pub action: Action,
    /// Target of the act, such as `users/17`.
    pub target: String,
    /// Why, if it was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Operator {
    /// Act of this operator.
    #[must_use]
    pub fn act(&self, action: Action, target: impl Into<String>, reason: Option<String>) -> Act {
        Act { actor: self.actor, address: self.address, action, target: target.into(), reason }
    }
}

impl Act {
    /// Person who did it; nobody, which is 0, for the admin token.
    #[must_use]
    pub fn person(&self) -> Id {
        match self.actor {
            Actor::Person(person) => person,
            Actor::Token => Id(0),
        }
    }

    /// The line that operators read.
    #[must_use]
    pub fn entry(self, id: Id) -> AuditEntry {
        AuditEntry {
            id,
            at: Timestamp(unix_ms_of(id)),
            actor: self.actor.to_string(),
            address: self.address.to_string(),
            action: self.action.name(),
            target: self.target,
            reason: self.reason,
        }
    }
}

/// Acts below this id are forgotten at `now_ms`, whether or not their rows are gone already.
#[must_use]
pub fn oldest_kept(now_ms: u64) -> Id {
    first_id_at(now_ms.saturating_sub(u64::from(AUDIT_DAYS) * 86_400_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_act_reads_back_as_it_was_written_whoever_did_it() {
        for actor in [Actor::Token, Actor::Person(Id(17))] {
            let operator = Operator { actor, address: "2001:db8::1".parse().unwrap() };
            let act = operator.act(Action::Suspend, "users/18", Some("spam".to_owned()));
            let json = serde_json::to_string(&act).unwrap();
            assert_eq!(serde_json::from_str::<Act>(&json).unwrap(), act, "{json}");
            let entry = act.entry(Id(5));
            assert_eq!((entry.action.as_str(), entry.target.as_str()), ("user.suspend", "users/18"));
            assert_eq!(entry.actor, if actor == Actor::Token { "admin.token" } else { "17" });
        }
        assert!(serde_json::from_str::<Actor>("\"root\"").is_err());
    }
}
