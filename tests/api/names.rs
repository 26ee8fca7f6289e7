//! Names and bios: what may stand in them, and how people are found by them, also in folders of earlier versions.

use crate::deletion::clean;
use crate::world::{PASSWORD, Person, World, refused_field};
use bytes::Bytes;
use fanfare::data::tables;
use fanfare::janitor::names;
use fanfare_client::Paging;
use fanfare_engines::{Batch, KeyRange, Order, RowKey};
use fanfare_protocol::{NewUser, PatchUser};

fn called(name: &str) -> PatchUser {
    PatchUser { display_name: Some(Some(name.to_owned())), ..PatchUser::default() }
}

fn with_bio(bio: &str) -> PatchUser {
    PatchUser { bio: Some(Some(bio.to_owned())), ..PatchUser::default() }
}

async fn found(caller: &Person, query: &str) -> Vec<String> {
    let page = caller.search_users(query, Paging::default()).await.unwrap();
    page.items.into_iter().map(|user| user.handle).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_breaks_no_line_and_turns_no_direction() {
    let world = World::new().await;
    let ann = world.person("ann").await;
    for c in ['\n', '\t', '\u{0}', '\u{2028}', '\u{2029}', '\u{202a}', '\u{202d}', '\u{202e}', '\u{2066}', '\u{2069}'] {
        let name = format!("Ann{c}nna");
        assert_eq!(refused_field(ann.patch_me(&called(&name)).await), "display_name", "{name:?}");
        let new = NewUser { handle: "bob".into(), password: PASSWORD.into(), display_name: Some(name) };
        assert_eq!(refused_field(world.anyone.register(&new).await), "display_name");
    }
    // Marks that right-to-left names need stay.
    for name in ["آن\u{200c}ها", "שלום\u{200f}!", "👩\u{200d}🚀 Ann"] {
        assert_eq!(ann.patch_me(&called(name)).await.unwrap().display_name, name);
    }
    assert_eq!(ann.patch_me(&called("\u{2800}\u{202e}")).await.unwrap().display_name, "ann");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bio_has_one_kind_of_line_end_and_may_hold_tabs() {
    let world = World::new().await;
    let ann = world.person("ann").await;
    for (bio, kept) in
        [(" a\r\nb\rc\td\n", "a\nb\nc\td"), ("\u{2800}\u{200b}", ""), (&"é\r\n".repeat(250), &*"é\n".repeat(250))]
    {
        assert_eq!(ann.patch_me(&with_bio(bio)).await.unwrap().bio, kept.trim(), "{bio:?}");
    }
    for bio in ["a\u{0}b", "a\u{1b}b", "a\u{85}b", &"é".repeat(501)] {
        assert_eq!(refused_field(ann.patch_me(&with_bio(bio)).await), "bio", "{bio:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_are_found_in_every_spelling_of_their_name() {
    let world = World::new().await;
    let [ann, bob] = world.people(["ann", "bob"]).await;
    for (name, queries) in [
        ("Ju\u{308}rgen Strauß", ["jür", "JU\u{308}R", "STRAUSS", "strauß"]),
        ("ΣΊΣΥΦΟΣ", ["σίσυφος", "Σίσυφοσ", "σι\u{301}", "ΣΊ"]),
        ("\u{1100}\u{1175}\u{11b7} 철수", ["김", "\u{1100}\u{1175}\u{11b7}", "철", "김 철수"]),
        ("İstanbul", ["İSTANBUL", "i\u{307}stanbul", "I\u{307}", "İ"]),
    ] {
        bob.patch_me(&called(name)).await.unwrap();
        for query in queries {
            assert_eq!(found(&ann, query).await, ["bob"], "{name} by {query:?}");
        }
    }
    // A Kelvin sign in lower case is a k, and no handle.
    world.person("kim").await;
    assert!(world.anyone.user("@\u{212a}im").await.is_err());
    assert_eq!(refused_field(ann.search_users(&"é".repeat(51), Paging::default()).await), "q");
    assert!(ann.search_users(&"e\u{301}".repeat(50), Paging::default()).await.is_ok());
}

/// The note of how far the janitor is, and rows as a version wrote them that only put names into lower case.
async fn as_an_earlier_version(world: &World, people: &[(&Person, &str)]) {
    let core = world.app().core();
    let mut batch = Batch::default();
    let version = core.log.mint().await.unwrap().0;
    batch.delete_versioned(RowKey::new(tables::META, tables::ONE, &b"names_keyed_to"[..]), version);
    for (person, name) in people {
        for key in fanfare::users::names::search_keys("", Some(name)) {
            batch.delete_versioned(tables::name_row(&key, person.id), version);
        }
        batch.put_versioned(tables::name_row(&name.to_lowercase(), person.id), Bytes::new(), version);
    }
    core.store.write(batch).await.unwrap();
    let next =
        world.app().core().store.get(&RowKey::new(tables::META, tables::ONE, &b"names_keyed_to"[..])).await.unwrap();
    assert_eq!(next, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_in_a_folder_of_an_earlier_version_are_found_again() {
    let world = World::new().await;
    let [ann, bob, carl, dora] = world.people(["ann", "bob", "carl", "dora"]).await;
    bob.patch_me(&called("Ju\u{308}rgen")).await.unwrap();
    carl.patch_me(&called("Straße")).await.unwrap();
    dora.patch_me(&called("Ελένη")).await.unwrap();
    as_an_earlier_version(&world, &[(&bob, "Ju\u{308}rgen"), (&carl, "Straße"), (&dora, "Ελένης")]).await;
    assert_eq!(found(&ann, "jür").await, Vec::<String>::new());

    let app = world.app();
    names::begin(&app.core().store).await.unwrap();
    for _ in 0..2 {
        clean(&world).await;
        for (query, handle) in [("jür", "bob"), ("JU\u{308}RGEN", "bob"), ("STRASS", "carl")] {
            assert_eq!(found(&ann, query).await, [handle], "{query}");
        }
    }
    // A name that was left behind is gone, and so are the rows under old keys.
    for name in ["ju\u{308}rgen", "straße", "ελένης"] {
        let partition = tables::name_partition(name);
        let rows = app.core().store.scan(tables::NAMES, &partition, KeyRange::ALL, Order::Ascending, 100);
        let rows = rows.await.unwrap();
        assert!(rows.iter().all(|row| tables::name_of(&row.clustering).unwrap().0 != name), "{name}: {rows:?}");
    }
}
