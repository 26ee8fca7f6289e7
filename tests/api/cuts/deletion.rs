//! Accounts that are deleted while something of them is on its way, and deletions that are cut off: when all is quiet,
//! nothing of the person is left, whatever came when.

use std::net::{IpAddr, Ipv4Addr};

use bytes::Bytes;
use fanfare::app::App;
use fanfare::base::clock::Clock;
use fanfare::base::error::{Error, Result};
use fanfare::data::tables::{self, Marker};
use fanfare::log::events::{IdempotencyKey, PostRecord};
use fanfare::media::Upload;
use fanfare_engines::{RowKey, Table};
use fanfare_protocol::{Id, NewPost, NewSession, NewUser, PatchUser};
use futures_util::future::BoxFuture;

use super::{ENDS, End, Ground, Life};
use crate::world::PASSWORD;

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// More writes than anything here takes.
const STEPS_MAX: usize = 400;
/// Turns that a deletion gets while something waits.
const TURNS: usize = 200;

/// Ann, who goes, and Ben, who stays; each has a post, and Ben knows Ann.
#[derive(Clone, Copy)]
struct People {
    ann: Id,
    ben: Id,
    of_ann: Id,
    of_ben: Id,
}

fn said(text: &str, reply_to: Option<Id>) -> NewPost {
    NewPost { text: text.to_owned(), reply_to, ..NewPost::default() }
}

async fn person(app: &App, handle: &str) -> Id {
    let new = NewUser { handle: handle.to_owned(), password: PASSWORD.to_owned(), display_name: None };
    app.users().register(new, LOCALHOST).await.unwrap().user.id
}

async fn publish(app: &App, author: Id, new: NewPost) -> Result<Id> {
    use fanfare::posts::service::Publication;
    Ok(match app.posts().publish(author, new, None).await? {
        Publication::New(post)
        | Publication::Same(post)
        | Publication::Replayed(post)
        | Publication::SameReplayed(post) => post.id,
    })
}

async fn people(app: &App) -> People {
    let (ann, ben) = (person(app, "ann").await, person(app, "ben").await);
    let of_ann = publish(app, ann, said("hello", None)).await.unwrap();
    let of_ben = publish(app, ben, said("hi", None)).await.unwrap();
    People { ann, ben, of_ann, of_ben }
}

async fn upload(app: &App, owner: Id) -> Result<()> {
    let upload = Upload {
        filename: None,
        alt: None,
        private: false,
        bytes: Bytes::from_static(b"text"),
        room: app.media().room(owner, 4).unwrap(),
    };
    app.media().upload_keyed(owner, upload, Some(("POST /v1/media".to_owned(), "k".to_owned()))).await.map(drop)
}

async fn log_in(app: &App) -> Result<()> {
    let who = NewSession { handle: "ann".to_owned(), password: PASSWORD.to_owned() };
    app.users().log_in(who, LOCALHOST).await.map(drop)
}

type Act = fn(App, People) -> BoxFuture<'static, Result<()>>;

/// Everything that writes something of Ann, or about her.
const ACTS: [(&str, Act); 17] = [
    ("an upload", |app, who| Box::pin(async move { upload(&app, who.ann).await })),
    ("a log-in", |app, _| Box::pin(async move { log_in(&app).await })),
    ("a log-out everywhere", |app, who| Box::pin(async move { app.users().log_out_everywhere(who.ann).await })),
    ("a marker", |app, who| Box::pin(async move { app.markers().advance(who.ann, Marker::Feed, who.of_ben).await })),
    ("a profile", |app, who| {
        Box::pin(async move {
            let patch = PatchUser { bio: Some(Some("new".to_owned())), ..PatchUser::default() };
            app.users().patch(who.ann, patch).await.map(drop)
        })
    }),
    ("a post", |app, who| Box::pin(async move { publish(&app, who.ann, said("late", None)).await.map(drop) })),
    ("a reply", |app, who| {
        Box::pin(async move { publish(&app, who.ann, said("late", Some(who.of_ben))).await.map(drop) })
    }),
    ("a repost", |app, who| {
        let new = NewPost { repost_of: Some(who.of_ben), ..NewPost::default() };
        Box::pin(async move { publish(&app, who.ann, new).await.map(drop) })
    }),
    ("the same repost again, by a key", |app, who| {
        let new = NewPost { repost_of: Some(who.of_ben), ..NewPost::default() };
        Box::pin(async move {
            publish(&app, who.ann, new.clone()).await?;
            let key = IdempotencyKey {
                caller: who.ann,
                route: "POST /v1/posts".to_owned(),
                key: "k".to_owned(),
                body_hash: "h".to_owned(),
            };
            app.posts().publish(who.ann, new, Some(key)).await.map(drop)
        })
    }),
    ("a like", |app, who| Box::pin(async move { app.posts().like(who.ann, who.of_ben).await.map(drop) })),
    ("a follow", |app, who| Box::pin(async move { app.follows().follow(who.ann, who.ben).await.map(drop) })),
    ("a block", |app, who| Box::pin(async move { app.follows().block(who.ann, who.ben).await.map(drop) })),
    ("a mute", |app, who| Box::pin(async move { app.follows().mute(who.ann, who.ben).await.map(drop) })),
    ("a like of hers", |app, who| Box::pin(async move { app.posts().like(who.ben, who.of_ann).await.map(drop) })),
    ("a follow of her", |app, who| Box::pin(async move { app.follows().follow(who.ben, who.ann).await.map(drop) })),
    ("a reply to her", |app, who| {
        Box::pin(async move { publish(&app, who.ben, said("to @ann", Some(who.of_ann))).await.map(drop) })
    }),
    ("a block of her", |app, who| Box::pin(async move { app.follows().block(who.ben, who.ann).await.map(drop) })),
];

/// Whether a row may name somebody who is gone: that there was such an account and which posts were theirs, the handle
/// for its days, deletions for a week, what expires by its hour; and what others keep of what they did.
fn may_stay(key: &RowKey, value: &[u8], gone: Id) -> bool {
    let others = [tables::NOTIFICATIONS, tables::INTERACTIONS, tables::REPLIES, tables::AUTHOR_POSTS];
    let own = key.partition.starts_with(&gone.to_bytes());
    let text = String::from_utf8_lossy(value);
    match key.table {
        Table { id, .. } if id == tables::USERS.id => {
            text.contains(r#""deleted":true"#) && text.contains(r#""handle":"""#)
        }
        Table { id, .. } if id == tables::USER_COUNTERS.id => value[..24].iter().all(|byte| *byte == 0),
        Table { id, .. } if id == tables::POSTS.id => {
            let post: PostRecord = serde_json::from_slice(value).unwrap();
            post.author != gone || (post.deleted && post.text.is_empty())
        }
        // Kind, whom it answers, who wrote it.
        Table { id, .. } if id == tables::TIMELINE.id => value.get(9..17) != Some(&gone.to_bytes()[..]),
        table if [tables::HANDLES, tables::DEPARTURES, tables::DELETIONS, tables::EXPIRY].contains(&table) => true,
        table => !own && others.contains(&table),
    }
}

/// Nothing is stored that names `gone`, but for what may stay.
async fn nothing_is_left(ground: &Ground, gone: Id, story: &str) {
    let (rows, objects) = ground.written.lock().clone();
    for key in rows {
        let Some(value) = ground.stored.tables.get(&key).await.unwrap() else { continue };
        let (bytes, decimal) = (gone.to_bytes(), gone.to_string());
        let names = |found: &[u8]| {
            found.windows(8).any(|window| window == bytes) || String::from_utf8_lossy(found).contains(&decimal)
        };
        let named = names(&key.partition) || names(&key.clustering) || names(&value);
        assert!(!named || may_stay(&key, &value, gone), "{story}: {key:?} keeps {value:?}");
    }
    for key in objects {
        assert!(ground.stored.objects.head(&key).await.unwrap().is_none(), "{story}: {key} is still there");
    }
}

/// Deletes Ann and clears her away while `act` waits at its `step`th write; whether there was such a write.
async fn delete_while(life: &Life, who: People, act: Act, step: usize) -> (bool, Result<()>) {
    life.blade.arm(End::HungUp, step);
    let mut acting = tokio::spawn(act(life.app.clone(), who));
    let done = tokio::select! {
        biased;
        () = life.blade.hang_up() => None,
        done = &mut acting => Some(done.unwrap()),
    };
    let app = life.app.clone();
    let deleting = tokio::spawn(async move {
        app.users().delete(who.ann).await.unwrap();
        app
    });
    for _ in 0..TURNS {
        tokio::task::yield_now().await;
    }
    let purging = async {
        drop(deleting.await.unwrap());
        life.clean().await;
    };
    // What waits may be waited for.
    let (mut purging, mut purged) = (Box::pin(purging), false);
    for _ in 0..TURNS {
        tokio::select! {
            biased;
            () = &mut purging => {
                purged = true;
                break;
            }
            () = tokio::task::yield_now() => {}
        }
    }
    let reached = life.blade.disarm();
    let done = match done {
        Some(done) => done,
        None => acting.await.unwrap(),
    };
    if !purged {
        purging.await;
    }
    (reached, done)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_arrives_while_an_account_is_deleted_is_refused_or_removed() {
    for (name, act) in ACTS {
        let mut step = 0;
        loop {
            let ground = Ground::new(|_| ());
            let life = ground.start(Clock::system()).await;
            let who = people(&life.app).await;
            let (reached, done) = delete_while(&life, who, act, step).await;
            match done {
                Ok(()) | Err(Error::Refused(_)) => {}
                Err(other) => panic!("{name} at step {step}: {other}"),
            }
            assert!(act(life.app.clone(), who).await.is_err(), "{name}: afterwards it is refused");
            life.clean().await;
            life.stop().await;
            nothing_is_left(&ground, who.ann, &format!("{name} at step {step}")).await;
            if !reached {
                break;
            }
            step += 1;
            assert!(step < STEPS_MAX, "{name}");
        }
        assert!(step >= 1, "{name} writes something");
    }
}

/// Ann has done all there is, and others to her.
async fn lively(app: &App) -> People {
    let who = people(app).await;
    for (name, act) in ACTS {
        if !name.contains("block") {
            act(app.clone(), who).await.unwrap();
        }
    }
    let enemy = person(app, "enemy").await;
    app.follows().block(who.ann, enemy).await.unwrap();
    app.follows().block(enemy, who.ann).await.unwrap();
    who
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deletion_that_is_cut_off_at_any_step_goes_on_and_leaves_nothing() {
    for end in ENDS {
        for step in 0..STEPS_MAX {
            let ground = Ground::new(|_| ());
            let life = ground.start(Clock::system()).await;
            let who = lively(&life.app).await;
            let all = async {
                let deleted = life.app.users().delete(who.ann).await;
                if deleted.is_ok() {
                    let _ = life.round().await;
                }
                deleted.is_ok()
            };
            let (_, reached) = life.cut(end, step, all).await;
            life.stop().await;
            let life = ground.start(Clock::system()).await;
            let story = format!("{end:?} at step {step}");
            if let Some(account) = life.app.core().store.account(who.ann).await.unwrap() {
                // Nothing was begun: she is as she was.
                assert_eq!(account.row.handle, "ann", "{story}");
                log_in(&life.app).await.unwrap();
                life.app.users().delete(who.ann).await.unwrap();
            }
            life.clean().await;
            life.stop().await;
            nothing_is_left(&ground, who.ann, &story).await;
            if !reached {
                assert!(step > 5, "{story}: deletes and purges");
                break;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_that_is_cut_off_at_any_step_can_be_made_again_and_goes_with_its_owner() {
    for end in ENDS {
        for step in 0..STEPS_MAX {
            let ground = Ground::new(|_| ());
            let mut life = ground.start(Clock::system()).await;
            let who = people(&life.app).await;
            let app = life.app.clone();
            let (_, reached) = life.cut(end, step, async { upload(&app, who.ann).await.is_ok() }).await;
            drop(app);
            if end != End::HungUp {
                life.stop().await;
                life = ground.start(Clock::system()).await;
            }
            upload(&life.app, who.ann).await.unwrap();
            life.app.users().delete(who.ann).await.unwrap();
            life.clean().await;
            life.stop().await;
            nothing_is_left(&ground, who.ann, &format!("{end:?} at step {step}")).await;
            if !reached {
                break;
            }
        }
    }
}
