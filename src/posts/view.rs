//! From stored posts to what one viewer sees: authors, counters, the viewer's own marks, the post passed on.

use std::collections::HashMap;
use std::sync::Arc;

use fanfare_protocol::{Id, Post, Timestamp};

use crate::base::error::Result;
use crate::base::id::unix_ms_of;
use crate::base::limits;
use crate::data::absent::Standing;
use crate::data::store::{Account, Hidden, Marks};
use crate::data::uncounted::Of;
use crate::log::core::Core;
use crate::log::events::PostRecord;
use crate::posts::entry::{FeedEntry, Original};
use crate::posts::visibility::{self, Absence, Between, Place, Shown, place_of_original};
use crate::posts::wire::{self, Changing, Passed};

/// Renders posts for viewers.
#[derive(Clone)]
pub struct Views {
    core: Core,
}

/// Everything about the viewer that a page needs, loaded once a page.
struct Viewer {
    id: Option<Id>,
    marks: Arc<Marks>,
    hidden: Arc<Hidden>,
}

/// Part of a post that differs by viewer and moment, or why the viewer does not see it.
type Seen = std::result::Result<(Arc<Account>, Changing), Absence>;

/// The post that another one passes on, as it is written.
enum Quoted<'a> {
    None,
    Shown(&'a PostRecord, Arc<Account>, Changing),
    Absent(Absence),
}

impl Views {
    /// The renderer.
    #[must_use]
    pub fn new(core: Core) -> Self {
        Self { core }
    }

    /// The wire form of `posts` in the same order, as far as the viewer may see them at `place`.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn render(&self, viewer: Option<Id>, place: Place, posts: &[Arc<PostRecord>]) -> Result<Vec<Post>> {
        let rendered = self.render_each(viewer, place, posts).await?;
        Ok(rendered.into_iter().filter_map(std::result::Result::ok).collect())
    }

    /// Renders every post, or says why it does not show.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn render_each(
        &self,
        viewer: Option<Id>,
        place: Place,
        posts: &[Arc<PostRecord>],
    ) -> Result<Vec<std::result::Result<Post, Absence>>> {
        let viewer = self.viewer(viewer).await?;
        let originals = self.originals(posts).await?;
        let mut rendered = Vec::with_capacity(posts.len());
        for post in posts {
            rendered.push(self.with_original(&viewer, place, post, &originals).await?);
        }
        Ok(rendered)
    }

    /// Renders one post.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn render_one(&self, viewer: Option<Id>, place: Place, post: &Arc<PostRecord>) -> Result<Option<Post>> {
        Ok(self.render(viewer, place, std::slice::from_ref(post)).await?.pop())
    }

    /// Part of a post that the viewer may see at `place`.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn shown(&self, viewer: Option<Id>, place: Place, post: &PostRecord) -> Result<Shown> {
        let viewer = Viewer { id: viewer, marks: Arc::default(), hidden: self.hidden(viewer).await? };
        let original = match post.repost_of {
            None => None,
            Some(original) => match self.core.store.posts(&[original.id]).await?.pop().flatten() {
                Some(original) => self.absence(&viewer, place_of_original(post, place), &original).await?,
                None => Some(self.absence_of_gone(&viewer, place, post, original.author).await?),
            },
        };
        Ok(visibility::shown(post, place, self.absence(&viewer, place, post).await?, original))
    }

    /// A person whose deeds the viewer may see: their account is there, no operator hides it, and neither blocks the
    /// other, nor does the viewer mute them.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn person(&self, viewer: Id, person: Id) -> Result<Option<Arc<Account>>> {
        let hidden = self.hidden(Some(viewer)).await?;
        let between = self.between(&Viewer { id: Some(viewer), marks: Arc::default(), hidden }, person).await?;
        let standing = self.core.store.absent.standing(person);
        match visibility::absence(standing, between, Place::Among) {
            None => self.core.store.account(person).await,
            Some(_) => Ok(None),
        }
    }

    /// Why the viewer does not see a post at `place`, whatever it passes on.
    async fn absence(&self, viewer: &Viewer, place: Place, post: &PostRecord) -> Result<Option<Absence>> {
        Ok(self.judged(viewer, place, post).await?.err())
    }

    /// The author of a post that the viewer may see at `place`, whatever it passes on, or why not.
    async fn judged(
        &self,
        viewer: &Viewer,
        place: Place,
        post: &PostRecord,
    ) -> Result<std::result::Result<Arc<Account>, Absence>> {
        let between = self.between(viewer, post.author).await?;
        let Some(account) = self.core.store.account(post.author).await? else {
            return Ok(Err(visibility::absence(Standing::Gone, between, place).unwrap_or(Absence::Gone)));
        };
        let absence = visibility::absence(self.core.store.standing(post), between, place);
        Ok(absence.map_or(Ok(account), Err))
    }

    /// Why an original by `author` that is gone does not show where `post` does, which passes it on.
    async fn absence_of_gone(&self, viewer: &Viewer, place: Place, post: &PostRecord, author: Id) -> Result<Absence> {
        let between = self.between(viewer, author).await?;
        Ok(visibility::absence_of_original(post, Standing::Gone, between, place).unwrap_or(Absence::Gone))
    }

    async fn between(&self, viewer: &Viewer, author: Id) -> Result<Between> {
        let Some(me) = viewer.id.filter(|me| *me != author) else { return Ok(Between::default()) };
        let blocked = viewer.hidden.blocks(author);
        // At its bound the list does not know everybody.
        let unsure = viewer.hidden.blocked.len() >= limits::HIDDEN_MAX;
        let blocks_viewer = (blocked || unsure) && self.core.blocks(author, me).await?;
        Ok(Between { blocks_viewer, blocked, muted: viewer.hidden.mutes(author) })
    }

    /// Writes `entries` of the viewer's home feed, which bring what they pass on, as a JSON array. What the viewer may
    /// no longer see is left out.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn write_entries(&self, viewer: Id, entries: &[FeedEntry], out: &mut Vec<u8>) -> Result<()> {
        let viewer = self.viewer(Some(viewer)).await?;
        out.push(b'[');
        let empty = out.len();
        for entry in entries {
            let Ok((account, changing)) = self.seen(&viewer, Place::ById, &entry.post).await? else { continue };
            let original = match &entry.original {
                Original::None => Quoted::None,
                Original::Absent(why) => Quoted::Absent(*why),
                Original::Shown(original) => match self.seen(&viewer, Place::ById, original).await? {
                    Ok((account, changing)) => Quoted::Shown(original, account, changing),
                    Err(_) if entry.post.is_bare_repost() => continue,
                    Err(why) => Quoted::Absent(why),
                },
            };
            if out.len() > empty {
                out.push(b',');
            }
            out.reserve(wire::room(&entry.post, &account.author_json));
            write(out, &entry.post, &account, changing, &original);
        }
        out.push(b']');
        Ok(())
    }

    /// Writes a post as frames show it, the same for every viewer who does (or does not, if `hides_original`) see what
    /// it passes on, with `key`; false, and nothing written, when nothing of it shows.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn write_shared(&self, post: &PostRecord, hides_original: bool, out: &mut Vec<u8>) -> Result<bool> {
        let nobody = self.viewer(None).await?;
        let shared = |changing: Changing| Changing { marks: None, ..changing };
        let Ok((account, changing)) = self.seen(&nobody, Place::Among, post).await? else { return Ok(false) };
        let stored;
        let original = match post.repost_of {
            None => Quoted::None,
            Some(of) => {
                stored = self.core.store.posts(&[of.id]).await?.pop().flatten();
                match &stored {
                    // First: whoever would not be shown it is not told that it was deleted.
                    _ if hides_original => Quoted::Absent(Absence::Hidden),
                    None => Quoted::Absent(Absence::Gone),
                    Some(original) => match self.seen(&nobody, Place::Among, original).await? {
                        Ok((account, changing)) => Quoted::Shown(original, account, shared(changing)),
                        Err(why) => Quoted::Absent(why),
                    },
                }
            }
        };
        if matches!(original, Quoted::Absent(_)) && post.is_bare_repost() {
            return Ok(false);
        }
        out.extend_from_slice(format!("{{\"key\":\"{}\",", post.id).as_bytes());
        let start = out.len();
        write(out, post, &account, shared(changing), &original);
        // The post's own opening brace: the key came first.
        out.remove(start);
        Ok(true)
    }

    /// Renders a post that `viewer` saw and acted on, whatever hides it since; what it passes on is left out.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn render_hidden(&self, viewer: Id, post: &PostRecord) -> Result<Option<Post>> {
        let Some(account) = self.core.store.account(post.author).await? else { return Ok(None) };
        let changing = self.changing(&self.viewer(Some(viewer)).await?, post).await?;
        Ok(Some(Post { repost_hidden: post.repost_of.is_some(), ..wire_form(post, (account, changing)) }))
    }

    /// Part of a post that differs by viewer and moment, or why the viewer does not see it.
    async fn seen(&self, viewer: &Viewer, place: Place, post: &PostRecord) -> Result<Seen> {
        let account = match self.judged(viewer, place, post).await? {
            Ok(account) => account,
            Err(why) => return Ok(Err(why)),
        };
        Ok(Ok((account, self.changing(viewer, post).await?)))
    }

    async fn changing(&self, viewer: &Viewer, post: &PostRecord) -> Result<Changing> {
        let counts = self.core.store.counters(Of::Post(post.id)).await?.values;
        let marks = match viewer.id {
            Some(id) => self.core.store.marked(id, &viewer.marks, post.id).await?,
            None => (false, false),
        };
        Ok(Changing { counts, marks: Some(marks) })
    }

    async fn with_original(
        &self,
        viewer: &Viewer,
        place: Place,
        post: &PostRecord,
        originals: &HashMap<Id, Arc<PostRecord>>,
    ) -> Result<std::result::Result<Post, Absence>> {
        let own = match self.seen(viewer, place, post).await? {
            Ok(seen) => seen,
            Err(why) => return Ok(Err(why)),
        };
        let original = match post.repost_of.map(|original| (original, originals.get(&original.id))) {
            None => None,
            Some((original, None)) => Some(Err(self.absence_of_gone(viewer, place, post, original.author).await?)),
            Some((_, Some(original))) => {
                let seen = self.seen(viewer, place_of_original(post, place), original).await?;
                Some(seen.map(|seen| wire_form(original, seen)))
            }
        };
        let why = original.as_ref().and_then(|original| original.as_ref().err().copied());
        let rendered = Post {
            repost_gone: why == Some(Absence::Gone),
            repost_hidden: why == Some(Absence::Hidden),
            ..wire_form(post, own)
        };
        Ok(match visibility::shown(post, place, None, why) {
            Shown::Nothing(why) => Err(why),
            Shown::Whole | Shown::WithoutOriginal(_) => {
                Ok(Post { repost_of: original.and_then(std::result::Result::ok).map(Box::new), ..rendered })
            }
        })
    }

    async fn viewer(&self, viewer: Option<Id>) -> Result<Viewer> {
        let Some(id) = viewer else {
            return Ok(Viewer { id: None, marks: Arc::default(), hidden: Arc::default() });
        };
        let (marks, hidden) = (self.core.store.marks(id).await?, self.core.store.hidden(id).await?);
        Ok(Viewer { id: Some(id), marks, hidden })
    }

    async fn hidden(&self, viewer: Option<Id>) -> Result<Arc<Hidden>> {
        match viewer {
            Some(viewer) => Ok(self.core.store.hidden(viewer).await?),
            None => Ok(Arc::default()),
        }
    }

    async fn originals(&self, posts: &[Arc<PostRecord>]) -> Result<HashMap<Id, Arc<PostRecord>>> {
        let ids: Vec<Id> = posts.iter().filter_map(|post| post.repost_of).map(|original| original.id).collect();
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let found = self.core.store.posts(&ids).await?;
        Ok(ids.into_iter().zip(found).filter_map(|(id, post)| Some((id, post?))).collect())
    }
}

/// Writes a post with what it passes on.
fn write(out: &mut Vec<u8>, post: &PostRecord, account: &Account, changing: Changing, original: &Quoted<'_>) {
    match original {
        Quoted::None => wire::write(out, post, &account.author_json, changing, Passed::None),
        Quoted::Absent(why) => wire::write(out, post, &account.author_json, changing, Passed::Absent(*why)),
        Quoted::Shown(original, of, counted) => {
            let inner = |out: &mut Vec<u8>| wire::write(out, original, &of.author_json, *counted, Passed::None);
            wire::write(out, post, &account.author_json, changing, Passed::Whole(&inner));
        }
    }
}

/// A post without what it passes on.
fn wire_form(post: &PostRecord, (account, changing): (Arc<Account>, Changing)) -> Post {
    let Changing { counts: [like_count, reply_count, repost_count], marks } = changing;
    let (liked, reposted) = marks.unwrap_or_default();
    Post {
        id: post.id,
        author: account.author.clone(),
        text: post.text.clone(),
        mentions: post.mentions.clone(),
        links: post.links.clone(),
        media: post.media.clone(),
        reply_to: post.reply_to.map(|parent| parent.id),
        repost_of: None,
        repost_gone: false,
        repost_hidden: false,
        like_count,
        reply_count,
        repost_count,
        liked,
        reposted,
        created_at: Timestamp(unix_ms_of(post.id)),
    }
}
