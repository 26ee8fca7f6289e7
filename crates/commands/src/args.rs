//! Arguments of the command line. Help texts teach: each command shows how it is used.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Parser, Subcommand};
use fanfare_bench::{Name, Part};

use super::admin_args::AdminArgs;

/// A self-hosted social backend in one binary: people, posts, feeds, chat, live sessions, short links, realtime
#[derive(Debug, Parser)]
#[command(
    name = "fanfare",
    version,
    arg_required_else_help = true,
    after_help = "Start here:\n  fanfare demo                      a lively sample world and a page to try the API\n  \
        fanfare serve --data-dir ./data   your own server\n  fanfare config > fanfare.toml     every setting, with what it means\n\n\
        Exit codes: 0 done, 1 failed, 2 the command line or the settings are wrong."
)]
pub struct CommandLine {
    /// Command to run.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the server
    Serve(ServeArgs),
    /// Run the server with a sample world that lives: people of very different followings who post and talk
    Demo(DemoArgs),
    /// Load follows, activity, addresses or an access log, and replay what happened through the real pipeline
    Import(ImportArgs),
    /// Act as an operator on a server that runs: delete posts and links, suspend people, give passwords, read the audit
    Admin(AdminArgs),
    /// Measure, and compare with what was measured beside it
    Bench(BenchArgs),
    /// Connections of `bench realtime`, told on standard input what to do
    #[command(hide = true)]
    BenchClient,
    /// Print every setting with its default and what it means
    Config(ConfigArgs),
    /// Print the API's description, as GET /openapi.json answers it; SDKs are generated from it
    #[command(after_help = "Examples:\n  fanfare openapi > openapi.json")]
    Openapi,
}

/// Arguments of every command that needs settings.
#[derive(Debug, Clone, Default, Args)]
pub struct Common {
    /// File with settings; `fanfare config` prints one
    #[arg(long, value_name = "FILE", env = "FANFARE_CONFIG")]
    pub config: Option<PathBuf>,
    /// Folder of everything that must survive [default: ./data, or server.data_dir]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
}

/// `fanfare serve`.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  fanfare serve\n  fanfare serve --data-dir /var/lib/fanfare --listen 0.0.0.0:7070\n  \
    fanfare serve --config /etc/fanfare.toml\n  FANFARE__FEED__FOLLOW_LIMIT=500 fanfare serve\n\n\
    It is ready when GET /readyz answers 200. The API's page is at /docs. SIGTERM or Ctrl-C finishes what was accepted; \
    a second one stops at once."
)]
pub struct ServeArgs {
    #[command(flatten)]
    pub common: Common,
    /// Address and port [default: 127.0.0.1:7070, or http.listen]
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<SocketAddr>,
    /// Take the clock for right, although the data folder was in use at a later moment than it shows; for one start
    #[arg(long)]
    pub accept_clock: bool,
}

/// `fanfare demo`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:\n  fanfare demo\n  fanfare demo --listen 127.0.0.1:8080\n  \
    fanfare demo --data-dir ./demo     keep the world; the next demo with this folder goes on with it\n\n\
    Whoever reaches it can log in as its people: it is a place to play, and nothing for what matters.")]
pub struct DemoArgs {
    /// File with settings; `fanfare config` prints one
    #[arg(long, value_name = "FILE", env = "FANFARE_CONFIG")]
    pub config: Option<PathBuf>,
    /// Folder that keeps the world [default: a temporary one, which is gone when the demo ends]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Address and port [default: 127.0.0.1:7070, or http.listen]
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<SocketAddr>,
}

impl DemoArgs {
    /// Arguments that other commands have too.
    #[must_use]
    pub fn common(&self) -> Common {
        Common { config: self.config.clone(), data_dir: self.data_dir.clone() }
    }
}

/// `fanfare import`.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  fanfare import --follows follows.tsv.gz --activity activity.tsv.gz --data-dir ./data\n  \
    fanfare import --follows follows.tsv.gz --activity activity.tsv.gz --verify 1000\n  \
    fanfare import --chat irc.tsv.gz --verify --data-dir ./data\n  \
    FANFARE__FEED__PUSH_BELOW=100 fanfare import --follows follows.tsv.gz --activity activity.tsv.gz\n\n\
    Follows: a line is `follower<TAB>followee`. Activity: `actor<TAB>target<TAB>unix seconds<TAB>RT|RE|MT`. \
    Talk: `channel<TAB>HH:MM<TAB>nick<TAB>text`. Files may be \
    gzipped; their first line names the columns. Lines that cannot be read are reported and skipped. Started again after a kill, it goes on where it was."
)]
pub struct ImportArgs {
    #[command(flatten)]
    pub common: Common,
    /// File of follows: who follows whom
    #[arg(long, value_name = "FILE")]
    pub follows: Option<PathBuf>,
    /// File of activity: what people did
    #[arg(long, value_name = "FILE")]
    pub activity: Option<PathBuf>,
    /// File of addresses, one a line: a short link is made of each
    #[arg(long, value_name = "FILE", requires = "user", conflicts_with_all = ["follows", "activity"])]
    pub urls: Option<PathBuf>,
    /// Access log in the combined format: each path becomes a link, each visit a click at its own time
    #[arg(long, value_name = "FILE", requires = "site", conflicts_with_all = ["follows", "activity", "urls"])]
    pub access_log: Option<PathBuf>,
    /// File of talk: a channel becomes a group, a line its message, at its own time
    #[arg(long, value_name = "FILE", conflicts_with_all = ["follows", "activity", "urls", "access_log"])]
    pub chat: Option<PathBuf>,
    /// Address that the paths of the access log are below, such as `http://example.com`
    #[arg(long, value_name = "URL")]
    pub site: Option<String>,
    /// Handle of the person whose links they become
    #[arg(long, value_name = "HANDLE")]
    pub user: Option<String>,
    /// Times faster than it happened, or `max`
    #[arg(long, value_name = "N|max", default_value = "max")]
    pub speed: Speed,
    /// Percent of people who read now and then, beyond those who act
    #[arg(long, value_name = "PERCENT", default_value_t = 10, value_parser = clap::value_parser!(u8).range(0..=100))]
    pub readers: u8,
    /// Compare the feeds of N random people, whole depth, with a brute-force query; of an access log and of talk, which
    /// need no N, everything with the file. A difference fails
    #[arg(long, value_name = "N", default_value_t = 0, num_args = 0..=1, default_missing_value = "1000")]
    pub verify: usize,
}

/// Speed of an import's replay.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Speed {
    /// So many times as fast as it happened; above 0.
    Times(f64),
    /// Full speed of the machine.
    Max,
}

impl FromStr for Speed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse::<f64>() {
            _ if text == "max" => Ok(Self::Max),
            Ok(times) if times > 0.0 && times.is_finite() => Ok(Self::Times(times)),
            _ => Err("give a number above 0, such as 100, or max".to_owned()),
        }
    }
}

/// `fanfare bench`.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  fanfare bench feed\n  fanfare bench feed --quick\n  fanfare bench feed --json feed.json --svg feed.svg\n  \
    fanfare bench feed --only pages,http --dir /var/tmp\n  \
    fanfare bench feed --only writes --server ./fanfare-before --server ./fanfare\n  fanfare bench realtime\n  fanfare bench chat\n\n\
    Some rows compare with redis-server, nginx and Centrifugo; scripts/peers installs them, and without them the rows say so."
)]
pub struct BenchArgs {
    /// Benchmark to run
    #[arg(value_name = "NAME", value_enum)]
    pub name: Name,
    /// Write the rows to this file too, as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Smaller sizes: a fraction of the time, rough figures
    #[arg(long)]
    pub quick: bool,
    /// Draw the picture into this file
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
    /// Folder of temporary data, on the storage that is to be measured [default: the system's temporary folder]
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Only these parts
    #[arg(long, value_name = "PART", value_delimiter = ',', value_enum)]
    pub only: Vec<Part>,
    /// Binary of another version, for the parts that compare some in turn; the first is what the others stand beside
    #[arg(long = "server", value_name = "FILE")]
    pub servers: Vec<PathBuf>,
}

/// `fanfare config`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:\n  fanfare config > fanfare.toml\n  fanfare config --check fanfare.toml")]
pub struct ConfigArgs {
    /// Read this file and the environment as `serve` would, and say what is wrong with them
    #[arg(long, value_name = "FILE")]
    pub check: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent_and_every_command_shows_examples() {
        CommandLine::command().debug_assert();
        for command in CommandLine::command().get_subcommands().filter(|command| !command.is_hide_set()) {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("Examples:"), "{} has no examples", command.get_name());
        }
    }

    #[test]
    fn a_speed_is_a_positive_number_or_max() {
        assert_eq!("max".parse(), Ok(Speed::Max));
        assert_eq!("2.5".parse(), Ok(Speed::Times(2.5)));
        for wrong in ["", "0", "-1", "fast", "NaN", "inf"] {
            assert!(wrong.parse::<Speed>().is_err(), "{wrong} was taken for a speed");
        }
    }
}
