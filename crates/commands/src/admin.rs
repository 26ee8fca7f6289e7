//! `fanfare admin`: an operator's acts, asked of a server that runs.

use std::io::{self, BufRead as _, IsTerminal as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use fanfare::base::clock::Clock;
use fanfare::base::limits::http::PAGE_ITEMS_MAX;
use fanfare::base::output::say;
use fanfare::config::Settings;
use fanfare::http::ADMIN_FILE;
use fanfare_client::{Client, ClientError, Paging};
use fanfare_protocol::{AdminLink, AuditEntry, FiledReport, NewSuspension, Page, ReportState, Suspension};
use serde::Serialize;

use super::Failure;
use super::admin_args::{AdminAct, AdminArgs, ConsumerAct, LinkAct, List, PostAct, ReportAct, UserAct};

/// Runs one act to its end.
pub(super) fn run(settings: &Settings, args: AdminArgs) -> Result<(), Failure> {
    let url = args.url.unwrap_or_else(|| format!("http://{}", reachable(settings.http.listen)));
    if !url.starts_with("http://") {
        return Err(Failure::Usage(format!(
            "--url {url}: give an address that begins with http://, on this machine or in your own network; a proxy does the rest"
        )));
    }
    // A variable that is set to nothing says nothing.
    let token = match args.token.filter(|token| !token.is_empty()) {
        Some(token) => token,
        None => token_of(&settings.server.data_dir)?,
    };
    // Before anything is sent, so that a slip of the fingers asks nobody.
    let password = match &args.act {
        AdminAct::User(UserAct::Password { .. }) => Some(read_password()?),
        _ => None,
    };
    let client = Client::new(&url).with_token(&token);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(act(&Asked { client, url }, args.act, password))
}

/// Address at which a server that listens on `listen` is reached from this machine.
fn reachable(listen: SocketAddr) -> SocketAddr {
    match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => SocketAddr::from((Ipv4Addr::LOCALHOST, listen.port())),
        IpAddr::V6(ip) if ip.is_unspecified() => SocketAddr::from((Ipv6Addr::LOCALHOST, listen.port())),
        _ => listen,
    }
}

fn token_of(data_dir: &Path) -> Result<String, Failure> {
    let path = data_dir.join(ADMIN_FILE);
    let text = std::fs::read_to_string(&path).map_err(|error| {
        let advice = "name the server's folder with --data-dir, run as its owner, or give --token";
        Failure::Usage(format!("{}: {error}; {advice}", path.display()))
    })?;
    Ok(text.trim().to_owned())
}

/// A password from whoever sits there, twice, or the first line of standard input.
fn read_password() -> Result<String, Failure> {
    if !io::stdin().is_terminal() {
        let mut line = String::new();
        io::stdin().lock().read_line(&mut line)?;
        return Ok(line.trim_end_matches(['\r', '\n']).to_owned());
    }
    let password = rpassword::prompt_password("New password: ")?;
    if rpassword::prompt_password("Once more: ")? != password {
        return Err(Failure::Usage("the two passwords differ; nothing was changed".to_owned()));
    }
    Ok(password)
}

/// A server that is asked.
struct Asked {
    client: Client,
    url: String,
}

impl Asked {
    fn answer<T>(&self, answer: Result<T, ClientError>) -> Result<T, Failure> {
        answer.map_err(|error| failure(&self.url, error))
    }
}

async fn act(asked: &Asked, act: AdminAct, password: Option<String>) -> Result<(), Failure> {
    let client = &asked.client;
    let done = match act {
        AdminAct::Post(PostAct::Delete { id, reason }) => {
            asked.answer(client.remove_post(id, reason.as_deref()).await)?;
            format!("Post {id} is deleted.")
        }
        AdminAct::Consumer(ConsumerAct::Remove { name, reason }) => {
            asked.answer(client.remove_consumer(&name, reason.as_deref()).await)?;
            format!("{name} is no consumer of the journal any more.")
        }
        AdminAct::Link(LinkAct::Show { code }) => {
            let AdminLink { link, owner, blocked } = asked.answer(client.admin_link(&code).await)?;
            let blocked = if blocked { ", blocked" } else { "" };
            format!(
                "{} leads to {} ({} visits{blocked}); made by {owner}, {}",
                code, link.url, link.visits, link.created_at
            )
        }
        AdminAct::Link(LinkAct::Delete { code, reason }) => {
            asked.answer(client.remove_link(&code, reason.as_deref()).await)?;
            format!("Link {code} is deleted.")
        }
        AdminAct::User(UserAct::Suspend { who, reason, until }) => {
            let until = until.map(|until| until.from(Clock::system().now_ms()));
            let made = asked.answer(client.suspend(&who.0, &NewSuspension { reason, until }).await)?;
            format!("{} (id {}) is suspended until {}.", who.0, made.user_id, end(&made))
        }
        AdminAct::User(UserAct::Unsuspend { who, reason }) => {
            asked.answer(client.unsuspend(&who.0, reason.as_deref()).await)?;
            format!("{} is not suspended.", who.0)
        }
        AdminAct::User(UserAct::Password { who }) => {
            asked.answer(client.set_password(&who.0, &password.unwrap_or_default()).await)?;
            format!("{} has the new password; all their sessions have ended.", who.0)
        }
        AdminAct::User(UserAct::Suspended(list)) => {
            let page = async |paging: Paging<'_>| asked.answer(client.suspensions(paging).await);
            return listed(list, page, |one| {
                format!("{}  {}  until {}  ({})", one.since, one.user_id, end(one), one.reason)
            })
            .await;
        }
        AdminAct::Report(ReportAct::List { all, list }) => {
            let state = if all { ReportState::All } else { ReportState::Open };
            let page = async |paging: Paging<'_>| asked.answer(client.reports(state, paging).await);
            return listed(list, page, reported).await;
        }
        AdminAct::Report(ReportAct::Resolve { id, note }) => {
            asked.answer(client.resolve_report(id, &note).await)?;
            format!("Report {id} is resolved.")
        }
        AdminAct::Audit(list) => {
            let page = async |paging: Paging<'_>| asked.answer(client.audit(paging).await);
            return listed(list, page, line).await;
        }
    };
    say(done)?;
    Ok(())
}

fn end(suspension: &Suspension) -> String {
    suspension.until.map_or_else(|| "it is lifted".to_owned(), |until| until.to_string())
}

/// Writes a list line by line, as long as somebody reads it.
async fn listed<T: Serialize>(
    list: List,
    page: impl AsyncFn(Paging<'_>) -> Result<Page<T>, Failure>,
    line: impl Fn(&T) -> String,
) -> Result<(), Failure> {
    let (mut left, mut cursor) = (list.limit as usize, None::<String>);
    loop {
        let size = u16::try_from(left).unwrap_or(u16::MAX).min(PAGE_ITEMS_MAX);
        let page = page(Paging::at(size, cursor.as_deref())).await?;
        left -= page.items.len().min(left);
        for item in &page.items {
            let shown = if list.json { serde_json::to_string(item).unwrap_or_default() } else { line(item) };
            if !say(shown)? {
                return Ok(());
            }
        }
        cursor = page.next_cursor;
        if left == 0 || cursor.is_none() {
            return Ok(());
        }
    }
}

fn reported(report: &FiledReport) -> String {
    let FiledReport { id, created_at, reporter, user, target_id, text, reason, .. } = report;
    let kind = format!("{:?}", report.kind).to_lowercase();
    let of = user.as_ref().map_or_else(String::new, |user| format!(" of @{} (id {})", user.handle, user.id));
    // A line a report, whatever people wrote.
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let end =
        report.resolution.as_ref().map_or_else(String::new, |end| format!("  resolved by {}: {}", end.by, end.note));
    let reason = reason.split_whitespace().collect::<Vec<_>>().join(" ");
    format!("{created_at}  {id}  {kind} {target_id}{of}  \"{text}\"  by @{}  ({reason}){end}", reporter.handle)
}

fn line(entry: &AuditEntry) -> String {
    let AuditEntry { at, actor, address, action, target, reason, .. } = entry;
    let reason = reason.as_ref().map_or_else(String::new, |reason| format!("  ({reason})"));
    format!("{at}  {actor}  {address}  {action}  {target}{reason}")
}

fn failure(url: &str, error: ClientError) -> Failure {
    match error {
        ClientError::Problem(problem) => Failure::Failed(problem.to_string()),
        ClientError::Transport(cause) => Failure::Failed(format!(
            "{url} does not answer ({cause}); is the server running? Name its address with --url"
        )),
        ClientError::Shape { .. } => Failure::Failed(format!("{url}: {error}; is this a Fanfare server?")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_listens_everywhere_is_reached_on_this_machine() {
        for (listen, reached) in
            [("0.0.0.0:7070", "127.0.0.1:7070"), ("[::]:7070", "[::1]:7070"), ("10.0.0.7:80", "10.0.0.7:80")]
        {
            assert_eq!(reachable(listen.parse().unwrap()).to_string(), reached);
        }
    }
}
