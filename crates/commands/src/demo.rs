//! `fanfare demo`: the server with a sample world that lives.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Instant;

use fanfare::app::App;
use fanfare::base::clock::Clock;
use fanfare::base::error::Error;
use fanfare::base::logging::{self, LogControl};
use fanfare::base::output::say;
use fanfare::config::Settings;
use fanfare::data::audit::{Actor, Operator};
use fanfare::demo::build::{self, Found, Sample, Size};
use fanfare::demo::{
    BULK_DELAY_MS, DEMO_HANDLE, DEMO_PASSWORD, FRIEND_HANDLE, PULL_ABOVE, PUSH_BELOW, hosts, life, welcome,
};
use fanfare::http::{self, Doors};
use fanfare::routes;
use fanfare::serve;
use fanfare_protocol::{Id, NewSession};

use super::args::DemoArgs;
use super::serve::stop_signal;
use super::{Failure, block_on};

pub(super) fn run(settings: &Settings, args: &DemoArgs) -> Result<(), Failure> {
    let mut settings = small(settings.clone());
    let log = logging::start(&settings.log.level, settings.log.format);
    // Removed when it is dropped, which is after the server has let go of it.
    let temporary = match &args.data_dir {
        Some(_) => None,
        None => Some(tempfile::Builder::new().prefix("fanfare-demo-").tempdir()?),
    };
    if let Some(folder) = &temporary {
        settings.server.data_dir = folder.path().to_owned();
    }
    block_on(&settings, demo(&settings, log, temporary.is_some()))
}

/// Settings that suit 300 people, where nobody set them.
fn small(mut settings: Settings) -> Settings {
    let Settings { feed: usual, realtime, .. } = Settings::default();
    if settings.realtime.bulk_delay_ms == realtime.bulk_delay_ms {
        settings.realtime.bulk_delay_ms = BULK_DELAY_MS;
    }
    if settings.feed.push_below == usual.push_below {
        settings.feed.push_below = PUSH_BELOW;
    }
    if settings.feed.pull_above == usual.pull_above {
        settings.feed.pull_above = PULL_ABOVE.max(settings.feed.push_below);
    }
    settings.api.registration = true;
    if settings.log == Settings::default().log {
        // The words on the screen are for the newcomer.
        settings.log.level = fanfare::base::logging::LogLevel("warn".to_owned());
    }
    settings
}

async fn demo(settings: &Settings, log: LogControl, temporary: bool) -> Result<(), Failure> {
    let started = Instant::now();
    let now_ms = Clock::system().now_ms();
    // The address first: nobody should wait for a world that cannot be shown.
    let sockets = serve::bind(settings).await?;
    let address = sockets.api.local_addr()?;
    let doors = Doors::of_demo(address, &settings.http);
    let operates = doors.are_local();
    let running = serve::open(settings, Clock::by_hand(build::begin_ms(now_ms)), log).await?;
    let app = running.app.clone();
    let made = async {
        let found = build::find(&app, now_ms).await?;
        let read = match found {
            Found::Nothing => say("Making a sample world…"),
            Found::World => {
                say(format_args!("Going on with the sample world in {}…", settings.server.data_dir.display()))
            }
        };
        if !read? {
            return Ok(None);
        }
        let sample = build::open(&app, found, now_ms).await?;
        life::wake(&app, &sample).await?;
        let size = build::size(&app, &sample).await?;
        let demo = sample.people[sample.town.world.demo()];
        // Whoever reaches the demo can log in as this person: an operator only where nobody else can. Said each time,
        // for a world that is opened again may have been reached otherwise before.
        let here = Operator { actor: Actor::Token, address: Ipv4Addr::LOCALHOST.into() };
        app.acts().set_admin(&here, demo, operates).await?;
        let way_in = WayIn { token: app.users().issue(demo).await?, log_in: log_in(&app).await? };
        Ok::<_, Failure>(Some((sample, size, way_in)))
    };
    // Heard from the beginning, so that a temporary folder goes even when nobody waits for the world.
    let mut stop = Box::pin(stop_signal());
    let made = tokio::select! {
        biased;
        () = &mut stop => Ok(None),
        made = made => made,
    };
    let (sample, size, way_in) = match made {
        Ok(Some(made)) => made,
        unmade => {
            drop(app);
            running.stop().await;
            return unmade.map(|_| ());
        }
    };
    // A demo is for looking at: it ends with who was told where it is.
    if !say(words(&sample, size, address, &way_in, started, temporary, operates))? {
        drop(app);
        running.stop().await;
        return Ok(());
    }
    let hosts = hosts::of(&app, &sample).await?;
    let life = tokio::spawn(async move { tokio::join!(hosts::hold(app.clone(), hosts), life::go_on(app, sample)) });
    let stop = async {
        stop.await;
        life.abort();
        // The server lets go of its data only when nobody acts any more; an abort is no failure.
        let _ = life.await;
    };
    let router = http::routes::demo(routes::api().merge(welcome::routes()), running.app.clone(), doors);
    Ok(serve::serve_router(running, sockets, router, stop).await?)
}

/// Ways by which a newcomer becomes somebody.
struct WayIn {
    /// A token of the demo person.
    token: String,
    /// Handles and password, in words.
    log_in: String,
}

/// Handles that one can log in as, and how: a world that is gone on with may have people who changed their passwords.
async fn log_in(app: &App) -> Result<String, Error> {
    let mut open = Vec::new();
    for handle in [DEMO_HANDLE, FRIEND_HANDLE] {
        let (name, password) = (handle.to_owned(), DEMO_PASSWORD.to_owned());
        match app.users().log_in(NewSession { handle: name, password }, Ipv4Addr::LOCALHOST.into()).await {
            Ok(_) => open.push(handle),
            Err(Error::Refused(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(match open.is_empty() {
        true => "whom you made or changed yourself: no password is the demo's own any more".to_owned(),
        false => format!("{}, password {DEMO_PASSWORD}", open.join(" or ")),
    })
}

/// Words that a newcomer sees first.
fn words(
    sample: &Sample,
    size: Size,
    address: SocketAddr,
    way_in: &WayIn,
    started: Instant,
    temporary: bool,
    operates: bool,
) -> String {
    let WayIn { token, log_in } = way_in;
    let url = format!("http://{address}");
    let newest: Id = sample.posts.iter().rev().flatten().next().copied().unwrap_or_default();
    let Size { people, follows, posts } = size;
    let kept = match temporary {
        true => "The world is gone when the demo ends; --data-dir DIR keeps it.",
        false => "The world is kept in the data folder.",
    };
    let open = match operates {
        true => "",
        false => {
            "\nCareful: whoever reaches this demo can log in as its people. Nobody of them is an operator here; the admin \
             token is in admin.token in the data folder.\n"
        }
    };
    format!(
        "Ready after {:.1} s: {people} people, {follows} follows, {posts} posts, and more every second.

  See it live      {url}/
  Try the API      {url}/docs/
  Log in as        {log_in}
  Or with a token  {token}

Three calls to copy, in another terminal:

  curl -s -H 'authorization: Bearer {token}' '{url}/v1/feed?limit=3'

  curl -s -H 'authorization: Bearer {token}' -H 'content-type: application/json' \\
    -d '{{\"text\": \"Hello from my terminal!\", \"reply_to\": \"{newest}\"}}' '{url}/v1/posts'

  curl -s -H 'authorization: Bearer {token}' '{url}/v1/notifications?limit=3'
{open}
{kept} Ctrl-C ends it.",
        started.elapsed().as_secs_f64(),
    )
}
