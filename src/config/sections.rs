//! Every setting: its words, type, default and allowed range. The example file, the names that are known and the
//! messages all come from here.

use crate::base::logging::{LogFormat, LogLevel};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use fanfare_protocol::WhoMay;

use super::chat::ChatDeletion;
use super::links::ClickForm;
use super::value::{BaseUrl, JwksUrl, ListenAddress, Origin, Scheme, Secret, Setting, Subnet, allowed_within};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
/// Largest number of bytes, entries or people that a setting takes; a guard against slips, not a promise.
pub const LARGEST: u64 = 1 << 50;

/// Key as the example shows it.
#[derive(Debug)]
pub struct Key {
    /// Name within the section.
    pub name: &'static str,
    /// Lines of its doc comment.
    pub docs: &'static [&'static str],
    /// Allowed values, in words.
    pub allowed: String,
    /// The default as TOML; `None` when the key is not set by default.
    pub default: Option<toml::Value>,
}

/// A section of the file.
pub trait Section: Default {
    /// Lines of its doc comment.
    const DOCS: &'static [&'static str];
    /// Keys of the section in the order of the example.
    fn keys() -> Vec<Key>;
    /// Sets one key; answers what is allowed when `given` is not. The key must be one of [`Section::keys`].
    fn set(&mut self, key: &str, given: &Given<'_>) -> Result<(), String>;
}

/// Value as given: where it comes from decides how it is read.
#[derive(Debug)]
pub enum Given<'a> {
    /// From the file.
    Toml(&'a toml::Value),
    /// From the environment.
    Text(&'a str),
}

impl Given<'_> {
    fn read<T: Setting>(&self) -> Option<T> {
        match self {
            Self::Toml(value) => T::from_toml(value),
            Self::Text(text) => T::from_text(text),
        }
    }
}

macro_rules! allowed {
    ($type:ty) => {
        <$type as Setting>::allowed()
    };
    ($type:ty, $range:expr) => {
        allowed_within::<$type>(&$range)
    };
}

macro_rules! section {
    (
        $(#[doc = $section_doc:literal])*
        $name:ident {
            $($(#[doc = $doc:literal])* $key:ident: $type:ty = $default:expr $(=> $range:expr)?;)*
        }
    ) => {
        $(#[doc = $section_doc])*
        #[derive(Debug, Clone, PartialEq)]
        pub struct $name {
            $($(#[doc = $doc])* pub $key: $type,)*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($key: $default,)* }
            }
        }

        impl Section for $name {
            const DOCS: &'static [&'static str] = &[$($section_doc),*];

            fn keys() -> Vec<Key> {
                let default = Self::default();
                vec![$(Key {
                    name: stringify!($key),
                    docs: &[$($doc),*],
                    allowed: allowed!($type $(, $range)?),
                    default: default.$key.to_toml(),
                }),*]
            }

            fn set(&mut self, key: &str, given: &Given<'_>) -> Result<(), String> {
                match key {
                    $(stringify!($key) => {
                        let value = given.read::<$type>() $(.filter(|value| $range.contains(value)))?;
                        self.$key = value.ok_or_else(|| allowed!($type $(, $range)?))?;
                        Ok(())
                    })*
                    _ => Err("a known key".to_owned()),
                }
            }
        }
    };
}

section! {
    /// The process and where it keeps things.
    Server {
        /// Folder of everything that must survive: tables, journal, uploads, the admin token.
        data_dir: PathBuf = PathBuf::from("./data");
        /// Number of this node, different on every node of a cluster: it is part of the ids of accounts, uploads and
        /// whatever else is no record. Counted modulo 24; ids rise when it is changed.
        node: u16 = 0 => 0..=crate::base::id::NODE_MAX;
        /// Threads that serve requests; 0 is one a core.
        workers: u16 = 0 => 0..=1024;
    }
}

section! {
    /// The HTTP server.
    Http {
        /// Address and port to listen on; "0.0.0.0:7070" takes connections from everywhere.
        listen: SocketAddr = SocketAddr::from((Ipv4Addr::LOCALHOST, 7070));
        /// Address under which clients reach the server, for absolute links; without it links are relative.
        public_url: Option<BaseUrl> = None;
        /// Web origins whose scripts may call the API from a browser; "*" allows all.
        cors_origins: Vec<Origin> = Vec::new();
        /// Networks of proxies whose X-Forwarded-For is believed: the client is its rightmost hop outside of them.
        trusted_proxies: Vec<Subnet> = Vec::new();
        /// Largest request body in bytes of any call, uploads excepted; a larger one is answered 413. Most calls take
        /// 16 KiB.
        body_bytes_max: u64 = MIB => KIB..=64 * MIB;
        /// Bytes of request bodies in memory while they arrive, of all requests together and uploads excepted. An
        /// address gets a quarter of what is still free; further ones of it are answered 503.
        body_memory_bytes_max: u64 = 32 * MIB => MIB..=LARGEST;
        /// Seconds a request may take, uploads excepted; then it is given up and answered 503.
        request_timeout_s: u64 = 30 => 1..=3600;
        /// Seconds within which a request's head must arrive, also how long an idle connection is kept open.
        head_timeout_s: u64 = 5 => 1..=3600;
        /// Connections open at once; further ones wait in the system's queue.
        connections_max: usize = 10_000 => 1..=10_000_000;
        /// Connections open at once of one address (of IPv6 of one /64), and behind trusted_proxies requests at once of
        /// one client; further ones are answered 429. Never more than half of connections_max and
        /// requests_in_flight_max; this machine and trusted_proxies are not counted, and sessions of realtime delivery
        /// have a bound of their own.
        connections_per_address_max: usize = 512 => 1..=10_000_000;
        /// Seconds within which a client must take something of an answer that waits for it (on average 256 bytes a
        /// second); after them its connection is closed.
        write_stall_s: u64 = 30 => 1..=3600;
        /// Requests worked on at once; further ones are answered 503. Those of an address whose body takes its time,
        /// and its uploads, get a quarter of what others of that kind leave free.
        requests_in_flight_max: usize = 1024 => 1..=1_000_000;
        /// Seconds that requests under way get to finish when the server stops; then they are cut off.
        shutdown_grace_s: u64 = 20 => 0..=3600;
    }
}

section! {
    /// Metrics for Prometheus. `/metrics` at `http.listen` wants the token in the data folder's metrics.token.
    Metrics {
        /// Second address, where `/metrics` wants no token and nothing else is answered. A port alone, such as 9464, is
        /// open to this machine only; name an address, such as "10.0.0.5:9464", only where everybody who reaches it may
        /// read it.
        listen: Option<ListenAddress> = None;
    }
}

section! {
    /// Reach of the API: what it offers to whom.
    Api {
        /// Whether profiles and posts can be read without a token.
        public_reads: bool = true;
        /// Whether anybody can make an account; JWT users are made at first sight all the same.
        registration: bool = true;
    }
}

section! {
    /// Tokens and passwords.
    Auth {
        /// Days after which a token of the server's own ends.
        token_days: u32 = 30 => 1..=3650;
        /// Secret with which your own backend signs JWTs (HS256).
        jwt_hs256_secret: Option<Secret> = None;
        /// PEM files with public keys (RS256, ES256 or EdDSA) of JWTs from your own backend.
        jwt_public_key_files: Vec<PathBuf> = Vec::new();
        /// JWKS file with the keys of JWTs from your own backend; read again when it changes.
        jwt_jwks_file: Option<PathBuf> = None;
        /// Address where your identity provider publishes the keys of its JWTs (JWKS); fetched at the start, from time
        /// to time, and when a token names a key that is not known. The last set is kept in the data folder.
        jwt_jwks_url: Option<JwksUrl> = None;
        /// PEM file with the certificates that vouch for that address; without it those that browsers trust.
        jwt_jwks_ca_file: Option<PathBuf> = None;
        /// Issuer that a JWT must name (`iss`); without it any.
        jwt_issuer: Option<String> = None;
        /// Audience that a JWT must name (`aud`); without it any.
        jwt_audience: Option<String> = None;
        /// Apps that may send JWTs, where these name one (`azp`: an origin or a client id); without it any.
        jwt_authorized_parties: Vec<String> = Vec::new();
        /// Seconds by which the clock of who issues JWTs may be ahead of the server's; a token further ahead is
        /// refused.
        /// After a log-out everywhere tokens end that such a clock may have issued before it.
        jwt_ahead_s: u32 = 60 => 0..=60;
        /// Wrong passwords for one account from one address within the time below; after them that address is answered
        /// 429 for that account, and other addresses are not.
        wrong_passwords_per_account: usize = 10 => 1..=100_000;
        /// Wrong passwords from one address (of IPv6 from one /64) for all accounts together; after them it is
        /// answered 429.
        wrong_passwords_per_address: usize = 100 => 1..=100_000;
        /// Seconds for which a wrong password counts.
        wrong_passwords_window_s: u64 = 900 => 1..=86_400;
        /// Memory in KiB that hashing a password takes (argon2id); OWASP's first choice.
        argon2_memory_kib: u32 = 19_456 => 8..=4_194_304;
        /// Passes over that memory.
        argon2_iterations: u32 = 2 => 1..=100;
    }
}

section! {
    /// Accounts.
    Users {
        /// Days for which a handle stays reserved after its account is deleted; 0 gives it away at once.
        handle_reserved_days: u32 = 90 => 0..=36_500;
    }
}

section! {
    /// Posts.
    Posts {
        /// Longest text in characters (Unicode scalar values).
        text_max: usize = 500 => 1..=100_000;
    }
}

section! {
    /// Home feeds.
    Feed {
        /// Authors with fewer followers are pushed into their followers' timelines at once.
        push_below: u64 = 10_000 => 0..=LARGEST;
        /// Authors with more followers are not pushed but merged when followers read; between the two they are pushed
        /// late.
        pull_above: u64 = 1_000_000 => 0..=LARGEST;
        /// Entries a timeline holds in memory; older ones are read from the authors' rows.
        timeline_cap: usize = 800 => 1..=100_000;
        /// People one can follow; one more is refused with 422.
        follow_limit: usize = 5_000 => 1..=crate::base::limits::FOLLOWS_READ_MAX;
        /// Timelines in memory; beyond it the least recently read one is dropped, to be built again when it is read.
        timelines_max: usize = 200_000 => 1..=100_000_000;
        /// Bytes that timelines take in memory; beyond it the least recently read one is dropped.
        timelines_bytes_max: u64 = 2 * GIB => 64 * KIB..=LARGEST;
        /// Seconds after which a timeline that nobody reads is dropped.
        idle_s: u64 = 21_600 => 1..=31_536_000;
        /// Newest posts of every author kept in memory (16 bytes each) to build and merge timelines from.
        recents_per_author: usize = 100 => 1..=10_000;
        /// Days that these recent posts are kept.
        recents_days: u32 = 30 => 1..=3650;
        /// Slots that a big fan-out fills before it lets others have their turn.
        push_slice: usize = 10_000 => 1..=10_000_000;
        /// Seconds that an author keeps a delivery policy before it may change again.
        flip_interval_s: u64 = 60 => 0..=86_400;
        /// Timelines built at once; further readers wait.
        builds_max: usize = 64 => 1..=10_000;
    }
}

section! {
    /// Conversations and messages.
    Chat {
        /// Members of a group; one more is refused with 422.
        group_max: usize = 500 => 2..=crate::base::limits::chat::GROUP_MEMBERS_MAX;
        /// Longest message in characters (Unicode scalar values).
        text_max: usize = 8_000 => 1..=100_000;
        /// Members above which what happens in a conversation is told in slices, behind direct messages.
        fanout_async_from: usize = 100 => 1..=crate::base::limits::chat::GROUP_MEMBERS_MAX;
        /// Hours after a message for which its sender can edit or recall it; 0 for ever.
        change_hours: u32 = 0 => 0..=876_000;
        /// Fate of what somebody wrote when their account is deleted: erase takes it back, anonymise keeps it without
        /// their name.
        deletion: ChatDeletion = ChatDeletion::Erase;
        /// People who may begin a conversation with somebody, or add them to a group, where that person has not chosen:
        /// everybody; requests (whom the person does not follow asks); followed; or nobody.
        default_who_may: WhoMay = WhoMay::Everybody;
        /// Messages a second of one person, ten seconds' worth at once; beyond it 429. 0 for no limit.
        messages_per_s: u32 = 50 => 0..=100_000;
        /// Conversations that one person begins in an hour, as many at once; beyond it 429. 0 for no limit.
        conversations_per_hour: u32 = 500 => 0..=1_000_000;
        /// People whom one person asks in an hour, by requests and invitations; beyond it 429. 0 for no limit.
        requests_per_hour: u32 = 100 => 0..=1_000_000;
    }
}

section! {
    /// Live sessions.
    Live {
        /// Seconds for which a pass over pages of sessions may last: so long the order of its first page is kept.
        pages_s: u64 = 3600 => 1..=86_400;
        /// Hours after its planned start at which a session that has not begun is cancelled.
        overdue_h: u32 = 24 => 1..=8_760;
        /// Hours after its start at which a session that is still live is ended.
        hours_max: u32 = 12 => 1..=8_760;
        /// Bytes that timelines of replays take in memory; beyond it the least recently read one is dropped.
        timelines_bytes_max: u64 = 64 * MIB => 64 * KIB..=LARGEST;
    }
}

section! {
    /// Notifications.
    Notifications {
        /// Notifications kept a person; older ones are dropped.
        kept_max: usize = 1000 => 1..=100_000;
        /// So many of the same kind on the same post become one with a count.
        group_after: usize = 3 => 1..=1000;
    }
}

section! {
    /// Short links.
    Links {
        /// Address under which short links are handed out, with a host of its own; below it there are links and nothing
        /// else. Without it they are handed out below http.public_url, at /s/.
        short_url: Option<BaseUrl> = None;
        /// Address that the short host itself leads to.
        home_url: Option<BaseUrl> = None;
        /// Days after which a link ends, unless its owner asks for another end.
        expiry_days: u32 = 1_826 => 1..=36_500;
        /// Links of one person; one more is refused with 422.
        per_user_max: u64 = 100_000 => 0..=LARGEST;
        /// Schemes of addresses that may be linked to; those that run something, such as javascript, never are.
        schemes: Vec<Scheme> = vec![Scheme("http".to_owned()), Scheme("https".to_owned())];
        /// Whether links may lead to private and local addresses.
        allow_private: bool = false;
        /// File of blocked hosts (with all below them) and codes, one a line; read again when it changes. New links to
        /// them are refused, and those that are there answer 403.
        blocklist_file: Option<PathBuf> = None;
        /// Unknown codes that one address may ask for in a minute; further ones are answered 429. 0 sets no bound.
        misses: u32 = 60 => 0..=1_000_000;
        /// Whether redirects of links that are in memory are answered before a route is looked for; otherwise they go
        /// the way of all requests, which takes more of the processor and answers the same.
        door: bool = true;
        /// Milliseconds after which a click is in its log, with an fsync; a loss of power takes what is younger.
        clicks_flush_ms: u64 = 200 => 1..=10_000;
        /// Seconds for which clicks are counted in memory before rows are written.
        fold_s: u64 = 30 => 1..=3_600;
        /// Bytes of clicks that wait for their log in files; beyond, redirects go on uncounted, and links with a limit
        /// of visits answer 503.
        spool_bytes_max: u64 = GIB => 64 * MIB..=LARGEST;
        /// Days for which clicks are kept by the minute.
        minutes_days: u32 = 7 => 1..=366;
        /// Days for which clicks are kept by the hour. Days and totals stay as long as the link.
        hours_days: u32 = 90 => 1..=3_660;
        /// Hours for which clicks themselves are kept, for other tools.
        clicks_keep_hours: u32 = 24 => 1..=720;
        /// Bytes of clicks that are kept at most, but for those that are not counted yet.
        clicks_bytes_max: u64 = 4 * GIB => 64 * MIB..=LARGEST;
        /// Form of the records of clicks: packed, or a line of JSON a click for other tools that read the log.
        clicks_form: ClickForm = ClickForm::Packed;
        /// Clicks of one record; 1 where whoever reads them takes one object a message.
        clicks_per_record: usize = 1_000 => 1..=2_000;
        /// File of countries and cities in MaxMind's format (.mmdb); without it clicks have neither.
        geo_file: Option<PathBuf> = None;
        /// Whether a visitor who sends Sec-GPC or DNT is counted by code and moment only.
        honour_gpc: bool = true;
    }
}

section! {
    /// Division of the data.
    Cluster {
        /// Partitions of the people of a new data folder, each with a log and an owner of its own; what a folder was
        /// made with stays as it is. One carries about 25,000 posts a second.
        partitions: u16 = 1 => 1..=crate::base::limits::CLUSTER_PARTITIONS_MAX;
    }
}

section! {
    /// Uploads.
    Media {
        /// Pixels of an image (width times height), looked at before it is decoded.
        image_pixels_max: u64 = 40_000_000 => 1..=1_000_000_000;
        /// Bytes of an uploaded image.
        image_bytes_max: u64 = 20 * MIB => KIB..=GIB;
        /// Bytes of any other uploaded file.
        file_bytes_max: u64 = 100 * MIB => KIB..=16 * GIB;
        /// Hours for which an address of an upload in a message is good, and up to one more; whoever sees the message
        /// gets a fresh one by reading it again.
        url_hours: u16 = 12 => 1..=24;
    }
}

section! {
    /// The embedded engine.
    Storage {
        /// Bytes of memory for cached blocks of the tables.
        cache_bytes: u64 = 128 * MIB => MIB..=LARGEST;
        /// Bytes of journal kept on disk; beyond it the oldest records that every consumer has passed are removed.
        journal_bytes_max: u64 = GIB => MIB..=LARGEST;
        /// Bytes of the disk that stay free: below it what adds something is refused until there is room again, and
        /// below half of it all but deletes. 0 writes until the disk refuses.
        free_bytes_min: u64 = 128 * MIB => 0..=LARGEST;
    }
}

section! {
    /// Realtime delivery.
    Realtime {
        /// Seconds between heartbeats on an idle connection.
        heartbeat_s: u64 = 30 => 1..=3600;
        /// Seconds without a sign of life after which a person counts as offline.
        offline_after_s: u64 = 90 => 1..=86_400;
        /// Milliseconds over which followed posts are gathered before they are sent together.
        bulk_delay_ms: u64 = 1000 => 0..=60_000;
        /// Threads that carry sessions; 0 is one for every two cores.
        shards: u16 = 0 => 0..=64;
        /// Sessions at once on this node; further ones are answered 503.
        sessions_max: usize = 200_000 => 1..=10_000_000;
        /// Sessions at once of one person, all devices together; further ones are refused (WebSocket: closed with
        /// 4429).
        sessions_per_user_max: usize = 20 => 1..=10_000;
        /// Sessions at once from one address (of IPv6 from one /64), which many people can share; further ones are
        /// refused as above. Never more than half of sessions_max; this machine and http.trusted_proxies are not
        /// counted.
        sessions_per_address_max: usize = 10_000 => 1..=10_000_000;
        /// Web origins whose pages may open sessions; none means all, for sessions need a token or a ticket, never a
        /// cookie.
        allowed_origins: Vec<Origin> = Vec::new();
        /// Bytes of a message that a client sends; after a larger one the session is closed.
        message_bytes_max: usize = 64 * KIB as usize => KIB as usize..=16 * MIB as usize;
        /// Messages a second that a client may send for long; twice as many in a burst. Further ones are refused.
        messages_per_s: u32 = 20 => 1..=100_000;
        /// Bytes that may wait for one session to read, followed posts aside; beyond it older ones are dropped, and the
        /// client is told what to read over HTTP.
        session_bytes_max: usize = 256 * KIB as usize => 4 * KIB as usize..=GIB as usize;
        /// Seconds for which a session may take nothing of what waits for it; then it is closed.
        stall_max_s: u64 = 60 => 1..=3600;
        /// Whether WebSocket messages are compressed where the client can; costs about 100 µs of a core a message, and
        /// 300 KiB a shard; nothing is kept between messages.
        compression: bool = false;
        /// Seconds over which clients are asked to come back when the server stops.
        drain_spread_s: u64 = 10 => 0..=600;
    }
}

section! {
    /// Logs, on standard error.
    Log {
        /// Lowest level written: error, warn, info, debug or trace; or a filter such as "info,fanfare=debug".
        level: LogLevel = LogLevel("info".to_owned());
        /// "text" for people, "json" for machines.
        format: LogFormat = LogFormat::Text;
    }
}
