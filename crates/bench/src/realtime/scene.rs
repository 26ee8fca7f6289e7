//! The people of the bench, in a data folder that servers are started on: everybody follows twenty others.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use fanfare::config::{Secret, Settings};
use fanfare_protocol::Id;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use jsonwebtoken::EncodingKey;
use tempfile::TempDir;

use super::super::serve::Server;
use super::super::world::World;
use super::client;
use super::http::{Calls, request};
use super::{Bench, BenchError, Result};

/// File of a server's operator token.
const ADMIN_TOKEN_FILE: &str = "admin.token";
/// Signs the tokens of everybody.
pub const SECRET: &str = "a secret of the bench, known to all";
/// People whom everybody follows, the star included.
const FOLLOWEES: usize = 20;
/// People made or served at once.
const AT_ONCE: usize = 256;
/// Threads that make a server know its people.
const GREETERS: usize = 8;
/// Seconds between heartbeats.
pub const HEARTBEAT_S: u64 = 25;

/// A data folder with people.
pub struct Scene {
    folder: TempDir,
    /// Readers are the people below this number. The next one is a star whom all readers follow, and the one after it
    /// is followed by nobody.
    pub readers: usize,
    /// Ids of everybody, by number.
    pub ids: Vec<Id>,
    key: EncodingKey,
}

impl Scene {
    /// Makes `readers` people, a star and a stranger.
    pub fn build(bench: &Bench, readers: usize) -> Result<Self> {
        Ok(Self::build_with(bench, readers, async |_: &World, _: &[Id]| Ok(()))?.0)
    }

    /// Scene of so many readers, and `more` that is made of them, by their ids.
    pub fn build_with<T>(
        bench: &Bench,
        readers: usize,
        more: impl AsyncFnOnce(&World, &[Id]) -> Result<T>,
    ) -> Result<(Self, T)> {
        bench.say(&format!("making {readers} people who follow {FOLLOWEES} each"));
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let key = EncodingKey::from_secret(SECRET.as_bytes());
        let tokens = (0..readers + 2).map(|user| client::token(&key, user)).collect::<Result<Vec<_>, _>>();
        let tokens = tokens.map_err(|error| BenchError::Wrong(error.to_string()))?;
        let folder = bench.folder()?;
        let (folder, ids, more) = runtime.block_on(people(folder, &tokens, readers, more))?;
        Ok((Self { folder, readers, ids, key }, more))
    }

    /// The person whom all readers follow.
    pub fn star(&self) -> usize {
        self.readers
    }

    /// A person whom nobody follows.
    pub fn stranger(&self) -> usize {
        self.readers + 1
    }

    /// The `authorization` header of a person.
    pub fn authorization(&self, user: usize) -> Result<String> {
        let token = client::token(&self.key, user).map_err(|error| BenchError::Wrong(error.to_string()))?;
        Ok(format!("authorization: Bearer {token}"))
    }

    /// The `authorization` header of an operator of servers on this folder.
    pub fn operator(&self) -> Result<String> {
        let token = std::fs::read_to_string(self.folder.path().join(ADMIN_TOKEN_FILE))?;
        Ok(format!("authorization: Bearer {}", token.trim()))
    }

    /// Starts a server on the folder; on `address` when it is given.
    pub fn serve(&self, address: Option<SocketAddr>) -> Result<Server> {
        serve(self.folder.path(), address)
    }

    /// Starts a server on a copy of the folder.
    pub fn serve_copy(&self, bench: &Bench) -> Result<(TempDir, Server)> {
        let copy = bench.folder()?;
        copy_folder(self.folder.path(), copy.path())?;
        let server = serve(copy.path(), None)?;
        Ok((copy, server))
    }

    /// Every reader has asked the server something: it knows them, and what it keeps of people is in its memory.
    pub fn greet(&self, server: &Server) -> Result<()> {
        let next = AtomicUsize::new(0);
        let greeter = || -> Result<()> {
            let mut calls = Calls::open(server.address)?;
            loop {
                let user = next.fetch_add(1, Ordering::Relaxed);
                if user >= self.readers {
                    return Ok(());
                }
                calls.ask(&request("GET", "/v1/users/me", &self.authorization(user)?, ""))?;
            }
        };
        std::thread::scope(|scope| {
            let greeters: Vec<_> = (0..GREETERS).map(|_| scope.spawn(greeter)).collect();
            for greeter in greeters {
                greeter.join().map_err(|_| BenchError::Wrong("a greeter panicked".to_owned()))??;
            }
            Ok(())
        })
    }
}

fn serve(folder: &Path, address: Option<SocketAddr>) -> Result<Server> {
    let settings = [
        ("FANFARE__AUTH__JWT_HS256_SECRET", SECRET.to_owned()),
        ("FANFARE__REALTIME__HEARTBEAT_S", HEARTBEAT_S.to_string()),
        // A session of the bench stands for many: what is measured is not its own bound.
        ("FANFARE__REALTIME__MESSAGES_PER_S", 1_000.to_string()),
        ("FANFARE__CHAT__MESSAGES_PER_S", 0.to_string()),
    ];
    Server::start(folder, address, &settings)
}

async fn people<T>(
    folder: TempDir,
    tokens: &[String],
    readers: usize,
    more: impl AsyncFnOnce(&World, &[Id]) -> Result<T>,
) -> Result<(TempDir, Vec<Id>, T)> {
    let mut settings = Settings::default();
    settings.auth.jwt_hs256_secret = Some(Secret(SECRET.to_owned()));
    let world = World::start_with(folder, settings).await?;
    let users = world.app.users();
    let identities = stream::iter(tokens).map(|token| users.authenticate(token)).buffered(AT_ONCE);
    let ids: Vec<Id> = identities.map_ok(|caller| caller.id).try_collect().await?;
    let edges = (0..readers).map(|reader| {
        let others = (1..FOLLOWEES).map(|step| ids[(reader + step) % readers]);
        (ids[reader], others.chain([ids[readers]]).collect::<Vec<Id>>())
    });
    let followed = stream::iter(edges).map(|(reader, followees)| {
        let world = &world;
        async move { world.follow(reader, &followees).await }
    });
    followed.buffered(AT_ONCE).try_collect::<Vec<()>>().await?;
    let more = more(&world, &ids).await?;
    Ok((world.stop().await, ids, more))
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            std::fs::create_dir_all(&target)?;
            copy_folder(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
