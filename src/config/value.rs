//! Types of settings: how each is read from TOML or from the environment, shown in the example, and described when it
//! is refused.

use super::chat::ChatDeletion;
use super::links::ClickForm;
use crate::base::logging::{LogFormat, LogLevel};
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;

use axum::http::Uri;
use fanfare_protocol::WhoMay;
use ipnet::IpNet;
use toml::Value;

use crate::base::limits::auth::SECRET_BYTES_MIN;
use crate::base::target::NEVER;

/// A type that a key can have.
pub trait Setting: Sized {
    /// Allowed values, in words that follow "allowed:".
    fn allowed() -> String;
    /// The value, or `None` when it is not of this type.
    fn from_toml(value: &Value) -> Option<Self>;
    /// Value as TOML; `None` when it is not set.
    fn to_toml(&self) -> Option<Value>;
    /// Value from the environment: what would stand in the file, or plain text.
    fn from_text(text: &str) -> Option<Self> {
        let line = toml::from_str::<toml::Table>(&format!("value = {text}")).ok();
        // One key only: text such as `1\nother = 2` is not a value.
        let parsed = line.filter(|table| table.len() == 1).and_then(|mut table| table.remove("value"));
        parsed.and_then(|value| Self::from_toml(&value)).or_else(|| Self::from_toml(&Value::String(text.to_owned())))
    }
}

/// A type with an order that ranges bound: the numbers.
pub trait Ranged: Setting + PartialOrd + fmt::Display {}

/// Allowed values of a number within `range`, in words.
pub fn allowed_within<T: Ranged>(range: &RangeInclusive<T>) -> String {
    format!("{} from {} to {}", T::allowed(), range.start(), range.end())
}

macro_rules! whole_numbers {
    ($($type:ty),*) => {$(
        impl Setting for $type {
            fn allowed() -> String {
                "a whole number".to_owned()
            }
            fn from_toml(value: &Value) -> Option<Self> {
                value.as_integer().and_then(|number| Self::try_from(number).ok())
            }
            fn to_toml(&self) -> Option<Value> {
                i64::try_from(*self).ok().map(Value::Integer)
            }
        }
        impl Ranged for $type {}
    )*};
}
whole_numbers!(u16, u32, u64, usize);

impl Setting for bool {
    fn allowed() -> String {
        "true or false".to_owned()
    }
    fn from_toml(value: &Value) -> Option<Self> {
        value.as_bool()
    }
    fn to_toml(&self) -> Option<Value> {
        Some(Value::Boolean(*self))
    }
}

/// Settings that are text with a form of their own.
macro_rules! texts {
    ($($type:ty, $allowed:literal, $show:expr;)*) => {$(
        impl Setting for $type {
            fn allowed() -> String {
                $allowed.to_owned()
            }
            fn from_toml(value: &Value) -> Option<Self> {
                value.as_str().and_then(|text| text.parse().ok())
            }
            fn to_toml(&self) -> Option<Value> {
                let show: fn(&$type) -> String = $show;
                Some(Value::String(show(self)))
            }
        }
    )*};
}
texts! {
    String, "text in quotes", String::clone;
    PathBuf, "a path in quotes", |path| path.display().to_string();
    SocketAddr, "an address and a port, such as \"127.0.0.1:7070\" or \"[::]:7070\"", ToString::to_string;
    Subnet, "an address or a network, such as \"10.0.0.0/8\"", |network| network.0.to_string();
    Origin, "\"*\" or an origin without a path, such as \"https://app.example\"", |origin| origin.0.clone();
    BaseUrl, "an http or https address without a query, such as \"https://social.example\"", |url| url.0.clone();
    Scheme, "the name of a scheme that leads elsewhere, such as \"https\", in lower case", |scheme| scheme.0.clone();
    JwksUrl, "an https address such as \"https://id.example/.well-known/jwks.json\", without a user; http on this machine only (127.0.0.1, [::1], localhost)", |url| url.0.to_string();
    Secret, "text of at least 32 bytes in quotes", |secret| secret.0.clone();
    LogLevel, "a level (error, warn, info, debug, trace) or a filter such as \"info,fanfare=debug\"", |level| level.0.clone();
    LogFormat, "\"text\" or \"json\"", |format| format.as_str().to_owned();
    ChatDeletion, "\"erase\" or \"anonymise\"", |deletion| deletion.as_str().to_owned();
    ClickForm, "\"packed\" or \"lines\"", |form| form.as_str().to_owned();
}

impl Setting for WhoMay {
    fn allowed() -> String {
        "\"everybody\", \"requests\", \"followed\" or \"nobody\"".to_owned()
    }
    fn from_toml(value: &Value) -> Option<Self> {
        Some(match value.as_str()? {
            "everybody" => Self::Everybody,
            "requests" => Self::Requests,
            "followed" => Self::Followed,
            "nobody" => Self::Nobody,
            _ => return None,
        })
    }
    fn to_toml(&self) -> Option<Value> {
        let name = match self {
            Self::Everybody => "everybody",
            Self::Requests => "requests",
            Self::Followed => "followed",
            Self::Nobody => "nobody",
        };
        Some(Value::String(name.to_owned()))
    }
}

impl<T: Setting> Setting for Option<T> {
    fn allowed() -> String {
        T::allowed()
    }
    fn from_toml(value: &Value) -> Option<Self> {
        T::from_toml(value).map(Some)
    }
    fn to_toml(&self) -> Option<Value> {
        self.as_ref().and_then(T::to_toml)
    }
    fn from_text(text: &str) -> Option<Self> {
        T::from_text(text).map(Some)
    }
}

impl<T: Setting> Setting for Vec<T> {
    fn allowed() -> String {
        format!("a list; each entry {}", T::allowed())
    }
    fn from_toml(value: &Value) -> Option<Self> {
        value.as_array()?.iter().map(T::from_toml).collect()
    }
    fn to_toml(&self) -> Option<Value> {
        self.iter().map(T::to_toml).collect::<Option<Vec<Value>>>().map(Value::Array)
    }
    /// A TOML array, or entries between commas.
    fn from_text(text: &str) -> Option<Self> {
        if text.trim_start().starts_with('[') {
            let table = toml::from_str::<toml::Table>(&format!("value = {text}")).ok()?;
            if let Some(list) = table.get("value").and_then(Self::from_toml) {
                return Some(list);
            }
        }
        text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(T::from_text).collect()
    }
}

/// Address to listen on, of this machine only unless it says otherwise: a port alone is on the loopback address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListenAddress(pub SocketAddr);

impl Setting for ListenAddress {
    fn allowed() -> String {
        "a port, or an address and a port in quotes, such as \"127.0.0.1:9464\"".to_owned()
    }
    fn from_toml(value: &Value) -> Option<Self> {
        let port = |port: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let number = || value.as_integer().and_then(|number| u16::try_from(number).ok()).map(port);
        let text = || value.as_str().and_then(|text| text.parse().ok().or_else(|| text.parse().ok().map(port)));
        number().or_else(text).map(Self)
    }
    fn to_toml(&self) -> Option<Value> {
        Some(Value::String(self.0.to_string()))
    }
}

/// An IP network; a plain address is the network of just itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subnet(pub IpNet);

impl FromStr for Subnet {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let address = || text.parse::<std::net::IpAddr>().map(IpNet::from).map_err(|_| ());
        text.parse::<IpNet>().map_err(|_| ()).or_else(|()| address()).map(Self)
    }
}

/// A web origin, or `*` for all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin(pub String);

impl FromStr for Origin {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let (_, host) = text.split_once("://").unwrap_or(("", ""));
        let plain = !host.is_empty()
            && text.bytes().all(|byte| byte.is_ascii_graphic())
            && !host.contains(['/', '?', '#', '*', '@']);
        if text == "*" || plain { Ok(Self(text.to_owned())) } else { Err(()) }
    }
}

/// An absolute address without a slash at its end, which paths are put behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl(pub String);

impl FromStr for BaseUrl {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).ok_or(())?;
        let plain = !rest.is_empty() && !rest.starts_with('/') && !rest.contains(['?', '#', '@']);
        if plain && rest.bytes().all(|byte| byte.is_ascii_graphic()) {
            Ok(Self(text.trim_end_matches('/').to_owned()))
        } else {
            Err(())
        }
    }
}

/// A scheme of addresses, in lower case, which does not run or show something of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scheme(pub String);

impl FromStr for Scheme {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'.');
        let named = text.starts_with(|c: char| c.is_ascii_lowercase()) && text.bytes().all(plain);
        if named && !NEVER.contains(&text) { Ok(Self(text.to_owned())) } else { Err(()) }
    }
}

/// Address of the published keys that are believed: nobody on the way must be able to change them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JwksUrl(pub Uri);

impl JwksUrl {
    /// The host as a name or address, without the brackets of IPv6.
    #[must_use]
    pub fn host(&self) -> &str {
        self.0.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']')
    }

    /// Whether the transport is TLS; without it the host is this machine.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.0.scheme_str() == Some("https")
    }
}

impl FromStr for JwksUrl {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let url = Self(text.parse().map_err(|_| ())?);
        let address = url.host().parse::<std::net::IpAddr>();
        let loopback = address.map_or_else(|_| url.host().eq_ignore_ascii_case("localhost"), |ip| ip.is_loopback());
        let plain = !url.host().is_empty() && !text.contains('#');
        let user = url.0.authority().is_some_and(|authority| authority.as_str().contains('@'));
        let safe = url.is_https() || (url.0.scheme_str() == Some("http") && loopback);
        if plain && safe && !user { Ok(url) } else { Err(()) }
    }
}

/// A key that must not appear in logs.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl FromStr for Secret {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        if text.len() >= SECRET_BYTES_MIN { Ok(Self(text.to_owned())) } else { Err(()) }
    }
}
