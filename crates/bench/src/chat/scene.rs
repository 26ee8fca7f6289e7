//! People and their conversations, in a data folder that servers are started on.

use std::path::PathBuf;

use fanfare_engines::random::Random;
use fanfare_protocol::{ConversationKind, Id, NewConversation};
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use tempfile::TempDir;

use super::realtime::client::talk::{Line, Lines};
use super::realtime::scene::Scene;
use super::world::World;
use super::{Bench, BenchError, Result};

/// Members of the large group, the first people; all others talk among themselves.
pub const LARGE: usize = 500;
/// Members of a small group.
const SMALL: usize = 10;
/// People, pairs and small groups of a quick run, and of what carries no more.
const FEW: (usize, usize, usize) = (300, 300, 100);
/// Conversations that are made at once.
const AT_ONCE: usize = 256;

/// People with conversations.
pub struct Talkers {
    /// Data folder and tokens.
    pub scene: Scene,
    /// People who talk in pairs and small groups: as many sessions.
    pub sessions: usize,
    /// Number of pairs and small groups.
    pub conversations: usize,
    /// Pairs and small groups; connections are numbered from the first person behind the large group on.
    pub all: PathBuf,
    /// Pairs alone, of those that are in `all`.
    pub pairs: PathBuf,
    /// The large group alone.
    pub large: PathBuf,
    /// Pairs of people, with the conversation.
    pub direct: Vec<(usize, usize, Id)>,
    _files: TempDir,
}

impl Talkers {
    /// Makes everybody.
    pub fn build(bench: &Bench) -> Result<Self> {
        Self::of(bench, bench.size((2_000, 3_500, 1_500), FEW))
    }

    /// Makes as many as in a quick run.
    pub fn few(bench: &Bench) -> Result<Self> {
        Self::of(bench, FEW)
    }

    fn of(bench: &Bench, (sessions, pairs, groups): (usize, usize, usize)) -> Result<Self> {
        let made = async |world: &World, ids: &[Id]| talk(world, ids, pairs, groups).await;
        let (scene, (direct, small, large)) = Scene::build_with(bench, LARGE + sessions, made)?;
        let files = bench.folder()?;
        let file = |name: &str, lines: &Lines| -> Result<PathBuf> {
            let path = files.path().join(name);
            let text = serde_json::to_vec(lines).map_err(|error| BenchError::Wrong(error.to_string()))?;
            std::fs::write(&path, text)?;
            Ok(path)
        };
        let line = |members: Vec<usize>, id: Id| Line { id: id.0, members };
        let two = direct.iter().map(|(one, other, id)| line(vec![one - LARGE, other - LARGE], *id)).collect();
        let pairs_alone = Lines { direct: two, groups: Vec::new() };
        let ten = small.into_iter().map(|(members, id)| line(members.iter().map(|one| one - LARGE).collect(), id));
        let everything = Lines { groups: ten.collect(), ..pairs_alone.clone() };
        let large = Lines { direct: Vec::new(), groups: vec![line((0..LARGE).collect(), large)] };
        Ok(Self {
            sessions,
            conversations: pairs + groups,
            all: file("all.json", &everything)?,
            pairs: file("pairs.json", &pairs_alone)?,
            large: file("large.json", &large)?,
            direct,
            scene,
            _files: files,
        })
    }
}

type Pairs = Vec<(usize, usize, Id)>;
type Groups = Vec<(Vec<usize>, Id)>;

/// Pairs, small groups and the large one.
async fn talk(world: &World, ids: &[Id], pairs: usize, groups: usize) -> Result<(Pairs, Groups, Id)> {
    let mut random = Random::new(11);
    // The last two, a star and a stranger, talk with nobody.
    let people = ids.len() - 2 - LARGE;
    let somebody = |random: &mut Random, count: usize| {
        let first = random.index(people);
        let step = 1 + random.index(people / count - 1);
        (0..count).map(|number| LARGE + (first + number * step) % people).collect::<Vec<_>>()
    };
    let two: Vec<_> = (0..pairs).map(|_| somebody(&mut random, 2)).collect();
    let ten: Vec<_> = (0..groups).map(|_| somebody(&mut random, SMALL)).collect();
    let direct = begin_all(world, ids, two, ConversationKind::Direct).await?;
    let small = begin_all(world, ids, ten, ConversationKind::Group).await?;
    let large = begin(world, ids, &(0..LARGE).collect::<Vec<_>>(), ConversationKind::Group).await?;
    let mut direct: Pairs = direct.into_iter().map(|(members, id)| (members[0], members[1], id)).collect();
    // The same pair twice is one conversation.
    direct.sort_unstable_by_key(|(.., id)| *id);
    direct.dedup_by_key(|(.., id)| *id);
    Ok((direct, small, large))
}

async fn begin_all(world: &World, ids: &[Id], all: Vec<Vec<usize>>, kind: ConversationKind) -> Result<Groups> {
    let made = stream::iter(all).map(|members| async move {
        let id = begin(world, ids, &members, kind).await?;
        Ok((members, id))
    });
    made.buffered(AT_ONCE).try_collect().await
}

/// A conversation of these people, made by the first.
pub async fn begin(world: &World, ids: &[Id], members: &[usize], kind: ConversationKind) -> Result<Id> {
    let title = (kind == ConversationKind::Group).then(|| "People who talk".to_owned());
    let member_ids = members[1..].iter().map(|member| ids[*member]).collect();
    let new = NewConversation { kind, member_ids, title, history: None };
    Ok(world.app.chat().create(ids[members[0]], new, None).await?.value.id)
}
