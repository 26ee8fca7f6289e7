//! Parts of a node that is one of several: what it tells the others, what it hears of them, and what it forgets then.

use std::sync::Arc;

use async_trait::async_trait;
use fanfare_engines::Engines;
use tokio::task::JoinSet;

use crate::base::error::Result;
use crate::base::token::TokenHash;
use crate::chat::service::Chat;
use crate::data::families;
use crate::data::store::Store;
use crate::http::HttpState;
use crate::log::core::Core;
use crate::nodes::frames::FramesBetween;
use crate::nodes::revocations::{self, AbsentPeople, EnderOfAll, Forgets, Revocation, Revocations};
use crate::nodes::whole::Whole;
use crate::nodes::{NodeMembership, exchange, presence};
use crate::realtime::{OtherNodes, Realtime, SessionCloser};
use crate::users::service::Users;
use crate::users::session_ender::SessionEnder;

/// Closer of the sessions of this node, and the ender of all that there are.
pub(super) fn ender(
    closer: SessionCloser,
    store: &Store,
    among: Option<&Among>,
) -> (SessionCloser, Arc<dyn SessionEnder>) {
    let here = Arc::new(closer.clone());
    let Some(Among { revocations, .. }) = among else { return (closer, here) };
    let (telling, others) = (revocations.clone(), revocations.clone());
    store.tell_of_credentials(move |user| telling.say(Revocation::Credentials { user }));
    (closer, Arc::new(EnderOfAll { here, others }))
}

/// Memory of tokens and credentials on this node, and its sessions.
struct Remembered {
    users: Users,
    store: Arc<Store>,
    closer: SessionCloser,
}

#[async_trait]
impl Forgets for Remembered {
    async fn ended(&self, ended: Revocation) {
        match ended {
            Revocation::Token { user, hash } => {
                self.users.token_ended_elsewhere(Some(TokenHash(hash)));
                self.closer.token_ended(user, &hash).await;
            }
            Revocation::All { user, except } => {
                self.store.credentials_changed_elsewhere(Some(user));
                self.closer.all_ended(user, except.as_ref()).await;
            }
            Revocation::Credentials { user } => self.store.credentials_changed_elsewhere(Some(user)),
        }
    }

    fn forget_all(&self) {
        self.users.token_ended_elsewhere(None);
        self.store.credentials_changed_elsewhere(None);
    }

    async fn come_back(&self) {
        self.closer.come_back().await;
    }
}

/// Part of a node in a whole of several, as it begins.
pub(super) struct Among {
    pub(super) membership: NodeMembership,
    pub(super) revocations: Revocations,
    pub(super) absent: AbsentPeople,
}

/// Number of what a node of several stands over, which has to be that of the others.
///
/// # Errors
/// When it is another, or the engines fail.
pub(super) async fn join(membership: Option<&NodeMembership>, engines: &Engines) -> Result<Option<Whole>> {
    if membership.is_none() {
        return Ok(None);
    }
    Whole::join(engines).await.map(Some)
}

/// Starts what goes on between nodes, where there are several.
///
/// # Errors
/// Without randomness.
pub(super) fn begin(
    among: Option<Among>,
    tasks: &mut JoinSet<()>,
    engines: &Engines,
    (core, chat, http): (&Core, &Chat, &HttpState),
    (users, closer, realtime): (&Users, SessionCloser, &Realtime),
) -> Result<()> {
    let Some(Among { membership, revocations, absent }) = among else { return Ok(()) };
    let NodeMembership { name, others, peers, .. } = membership;
    let bus = || Arc::clone(&engines.bus);
    for (family, hearing) in [(families::SOCIAL.name, core.log.hearing()), (families::CHAT.name, chat.hearing())] {
        if let Some(hearing) = hearing {
            tasks.spawn(exchange(bus(), family, hearing.clone()));
        }
    }
    let here: Arc<dyn SessionEnder> = Arc::new(closer.clone());
    let forgets: Arc<dyn Forgets> =
        Arc::new(Remembered { users: users.clone(), store: Arc::clone(&core.store), closer });
    tasks.spawn(revocations::hear(Arc::clone(&name), others, bus(), Arc::clone(&forgets)));
    tasks.spawn(revocations::end_absent(absent, forgets, here));
    tasks.spawn(presence::exchange(Arc::clone(&name), bus(), realtime.clone()));
    let (frames, told) = FramesBetween::new(Arc::clone(&name), bus(), Arc::clone(&engines.ephemeral))?;
    realtime.put_others(Arc::clone(&frames) as Arc<dyn OtherNodes>);
    tasks.spawn(frames.run(realtime.clone(), told));
    let publishing = revocations.publish(name, bus());
    tasks.spawn(async move {
        if let Err(error) = publishing.await {
            tracing::error!(%error, "other nodes do not hear what ends here");
        }
    });
    tasks.spawn(core.log.clone().keep_up());
    http.put_forward(peers);
    Ok(())
}
