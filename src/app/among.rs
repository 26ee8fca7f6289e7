//! Parts of a node that is one of several: what it tells the others, what it hears of them, and what it forgets then.

use std::sync::Arc;

use async_trait::async_trait;
use fanfare_engines::Engines;
use tokio::task::JoinSet;

use crate::base::token::TokenHash;
use crate::chat::service::Chat;
use crate::data::families;
use crate::data::store::Store;
use crate::http::HttpState;
use crate::log::core::Core;
use crate::nodes::revocations::{self, Absent, EnderOfAll, Forgets, Revocation, Revocations};
use crate::nodes::{Membership, exchange};
use crate::realtime::SessionCloser;
use crate::users::service::Users;
use crate::users::session_ender::SessionEnder;

/// Ender of sessions: of this node, or of all.
pub(super) fn ender(closer: SessionCloser, store: &Store, others: Option<&Revocations>) -> Arc<dyn SessionEnder> {
    let here = Arc::new(closer);
    let Some(others) = others.cloned() else { return here };
    let telling = others.clone();
    store.tell_of_credentials(move |user| telling.say(Revocation::Credentials { user }));
    Arc::new(EnderOfAll { here, others })
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
    pub(super) membership: Membership,
    pub(super) revocations: Revocations,
    pub(super) absent: Absent,
}

impl Among {
    /// Starts what goes on between nodes.
    pub(super) fn begin(
        self,
        tasks: &mut JoinSet<()>,
        engines: &Engines,
        (core, chat, http): (&Core, &Chat, &HttpState),
        (users, closer): (&Users, SessionCloser),
    ) {
        let Self { membership: Membership { name, others, peers, .. }, revocations, absent } = self;
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
        let publishing = revocations.publish(name, bus());
        tasks.spawn(async move {
            if let Err(error) = publishing.await {
                tracing::error!(%error, "other nodes do not hear what ends here");
            }
        });
        tasks.spawn(core.log.clone().keep_up());
        http.put_forward(peers);
    }
}
