//! Products in their order: the part of each in the write path, and what whoever is connected hears of it.

use std::sync::Arc;

use fanfare_protocol::Id;
use tokio::sync::mpsc;

use crate::admin::fold::OperatorFold;
use crate::data::store::Store;
use crate::feed::{Feed, FeedListener, PolicyStamp};
use crate::follows::fold::FollowFold;
use crate::follows::listener::FollowListener;
use crate::follows::stream::FollowProducer;
use crate::links::fold::LinkFold;
use crate::links::hot::HotLinks;
use crate::live::fold::LiveFold;
use crate::live::replays::ReplayStamp;
use crate::live::{self, LiveListener};
use crate::log::counters::CounterListener;
use crate::log::idempotency::IdempotencyFold;
use crate::log::imports::ImportFold;
use crate::log::product::{Committed, Listener, Product};
use crate::log::spread::Spread;
use crate::notifications;
use crate::notifications::fold::{NotificationFold, Notified};
use crate::notifications::stream::NotificationFeeder;
use crate::posts;
use crate::posts::fold::PostFold;
use crate::posts::listener::PostListener;
use crate::posts::stream::PostProducer;
use crate::realtime::{Delivery, Publisher};
use crate::users::fold::AccountFold;
use crate::users::listener::AccountListener;

/// Sessions, and the list of people whose notifications want trimming.
pub(super) struct Listeners {
    pub(super) realtime: Publisher,
    pub(super) notices: NotificationFeeder,
    pub(super) notified: mpsc::Sender<Notified>,
}

impl Listener for Listeners {
    fn committed(&self, committed: &[Committed], horizon: Id) {
        let notified = || committed.iter().flat_map(|one| notifications::fold::notified(&one.outcome));
        let items = notified().map(|one| (one.entry.id, self.notices.item(one)));
        self.realtime.committed(committed, items, horizon);
        for notified in notified().filter(|one| one.grew) {
            // A full queue drops the hint: the person's next notifications give another.
            let _ = self.notified.try_send(notified);
        }
    }

    fn settled(&self, horizon: Id) {
        self.realtime.moved_on(horizon);
    }
}

/// The products: the part of each in the write path, and what whoever is connected hears of it. The owner and the
/// dispatcher ask them in this order; events of one person, kind, subject and hour beyond `group_after` are one
/// notification.
#[must_use]
pub fn products(group_after: u64) -> (Vec<Product>, Vec<Delivery>) {
    products_over(Spread::ONE, group_after)
}

/// The [`products`], which write the rows of people in the partition of each record.
#[must_use]
pub fn products_over(spread: Spread, group_after: u64) -> (Vec<Product>, Vec<Delivery>) {
    let (follows, posts) = (FollowFold { spread }, PostFold { spread });
    let list = [
        (Product::folds(IdempotencyFold), Delivery::none()),
        (Product::folds(OperatorFold), Delivery::none()),
        (Product::folds(ImportFold), Delivery::none()),
        (Product::folds(AccountFold), Delivery::none()),
        (Product::folds(LiveFold), Delivery::of_types(live::stream::TYPES)),
        (Product::folds(follows).arrives(follows), Delivery::new(FollowProducer, &[])),
        (Product::folds(posts).prepares(posts), Delivery::new(PostProducer, posts::stream::TYPES)),
        (Product::folds(NotificationFold { spread, group_after }), Delivery::of_types(notifications::stream::TYPES)),
        (Product::folds(LinkFold), Delivery::none()),
    ];
    list.into_iter().unzip()
}

/// Listeners to commits, in the order in which they are told: caches, the feed, delivery.
pub(super) fn listeners(
    store: &Arc<Store>,
    links: &HotLinks,
    feed: &Feed,
    live: &LiveListener,
    sessions: Listeners,
) -> [Product; 8] {
    [
        Product::listens(CounterListener(Arc::clone(store))),
        Product::listens(AccountListener(Arc::clone(store))),
        Product::listens(FollowListener(Arc::clone(store))),
        Product::listens(PostListener(Arc::clone(store))),
        Product::listens(links.clone()),
        Product::listens(FeedListener(feed.clone())).prepares(PolicyStamp(feed.clone())),
        Product::listens(live.clone()).prepares(ReplayStamp(live.view.feed().clone())),
        // Last: a session that asks what it missed finds it in the rows and in the feed.
        Product::listens(sessions),
    ]
}
