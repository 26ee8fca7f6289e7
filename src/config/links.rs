//! Settings of short links that follow from others, and what contradicts them.

use std::str::FromStr;

use super::{BaseUrl, Http, Links};
use crate::base::target::{TargetRules, host_key};

/// Form of the records of the log of clicks; either is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClickForm {
    /// Packed: about thirty bytes a click.
    Packed,
    /// A line of JSON a click, for tools of others that read the log.
    Lines,
}

impl ClickForm {
    /// Name in the configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Packed => "packed",
            Self::Lines => "lines",
        }
    }
}

impl FromStr for ClickForm {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "packed" => Ok(Self::Packed),
            "lines" => Ok(Self::Lines),
            _ => Err(()),
        }
    }
}

/// Host of an address, in lower case, with brackets where it has them.
fn host_of(url: &BaseUrl) -> Option<&str> {
    let authority = url.0.split("//").nth(1)?.split('/').next()?;
    Some(match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    })
}

impl Links {
    /// Host of `short_url`, in lower case.
    #[must_use]
    pub fn short_host(&self) -> Option<String> {
        self.short_url.as_ref().and_then(host_of).map(str::to_ascii_lowercase)
    }

    /// Address before a code, with the slash at its end.
    #[must_use]
    pub fn short_base(&self, http: &Http) -> String {
        match (&self.short_url, &http.public_url) {
            (Some(short), _) => format!("{}/", short.0),
            (None, Some(public)) => format!("{}/s/", public.0),
            (None, None) => "/s/".to_owned(),
        }
    }

    /// Rules about what may be linked to.
    #[must_use]
    pub fn rules(&self, http: &Http) -> TargetRules {
        let own = [&self.short_url, &http.public_url].into_iter().flatten().filter_map(host_of).filter_map(host_key);
        TargetRules {
            schemes: self.schemes.iter().map(|scheme| scheme.0.clone()).collect(),
            allow_private: self.allow_private,
            own_hosts: own.collect(),
        }
    }

    /// Contradictions in the section, and with `http`.
    pub(super) fn check(&self, http: &Http) -> Result<(), String> {
        if self.schemes.is_empty() {
            return Err("links.schemes must name a scheme".to_owned());
        }
        let Some(short) = &self.short_url else {
            let home = "links.home_url is where links.short_url itself leads, which is not set";
            return if self.home_url.is_some() { Err(home.to_owned()) } else { Ok(()) };
        };
        if short.0.split("//").nth(1).is_some_and(|rest| rest.contains('/')) {
            return Err(format!("links.short_url ({}) must have no path: codes stand right behind the host", short.0));
        }
        if http.public_url.as_ref().and_then(host_of).and_then(host_key) == host_of(short).and_then(host_key) {
            return Err("links.short_url must have another host than http.public_url".to_owned());
        }
        Ok(())
    }
}
