//! Fanfare within a program: the program owns the server and its folder, writes posts without HTTP, and has a call of
//! its own beside Fanfare's.
//!
//! `cargo run --example embedded -- FOLDER 127.0.0.1:7070`, then `curl http://127.0.0.1:7070/program`.

use std::error::Error;
use std::path::Path;

use axum::Router;
use axum::routing::get;
use fanfare::base::clock::Clock;
use fanfare::base::handle::Handle;
use fanfare::base::logging;
use fanfare::config::Settings;
use fanfare::{http, routes, serve};
use fanfare_protocol::NewPost;
use tokio::net::TcpListener;

/// The program's own account; nobody can log in as it.
const HANDLE: &str = "noticeboard";

/// Opens `folder`, says something in it, and serves on `listener` until `stop` completes.
pub async fn run(
    folder: &Path,
    listener: TcpListener,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut settings = Settings::default();
    settings.server.data_dir = folder.to_owned();
    let log = logging::start(&settings.log.level, settings.log.format);
    let running = serve::open(&settings, Clock::system(), log).await?;
    let app = running.app.clone();

    // After a restart the account is there.
    let author = match app.users().resolve(&format!("@{HANDLE}")).await {
        Ok(author) => author,
        Err(_) => app.users().create(&Handle::parse(HANDLE)?, None, None, Clock::system().now_ms()).await?.author.id,
    };
    let new = NewPost { text: "The program has started.".to_owned(), ..NewPost::default() };
    app.posts().publish(author, new, None).await?;

    let feed = app.feed().clone();
    let own = Router::new().route("/program", get(async move || format!("{} timelines", feed.stats().timelines)));
    let router = http::routes::router(routes::api(), app).merge(own);
    serve::serve_router(running, listener, router, stop).await?;
    Ok(())
}

#[tokio::main]
#[allow(dead_code, reason = "the test of this file calls `run`")]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(folder), Some(address)) = (arguments.next(), arguments.next()) else {
        return Err("FOLDER ADDRESS".into());
    };
    let stop = async { tokio::signal::ctrl_c().await.unwrap_or_default() };
    run(Path::new(&folder), TcpListener::bind(address).await?, stop).await
}
