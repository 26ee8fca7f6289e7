//! Uploads in messages: private, forwarded, and gone with their last use.

use fanfare::base::clock::Clock;
use fanfare::config::ChatDeletion;
use fanfare_client::{Client, Upload, forwarding, media_message, text_message};
use fanfare_protocol::{
    Code, Id, Media, Message, MessageKind, NewMessage, NewPost, NewUser, PatchConversation, PatchUser,
};

use super::say;
use crate::deletion::clean;
use crate::process::Process;
use crate::uploads::picture_bytes;
use crate::world::{PASSWORD, Person, World, raw, refused, refused_field};

const HOUR_MS: u64 = 3_600_000;
const MINUTE_MS: u64 = 60_000;

async fn picture(person: &Person) -> Media {
    let upload = Upload { filename: "cat.png", alt: Some("a cat"), bytes: &picture_bytes() };
    person.upload_for_messages(&upload).await.unwrap()
}

/// A file of somebody, for messages.
pub async fn note(person: &Person, bytes: &[u8]) -> Media {
    person.upload_for_messages(&Upload { filename: "a/b/minutes.txt", alt: None, bytes }).await.unwrap()
}

/// A message that holds an upload.
pub async fn show(person: &Person, conversation: Id, media: Id) -> Message {
    let message = media_message(&media.to_string(), MessageKind::File, media);
    person.send_message(conversation, &message).await.unwrap().value
}

/// A message that passes another on.
pub async fn pass_on(person: &Person, to: Id, (from, seq): (Id, u64)) -> Message {
    person.send_message(to, &forwarding(&format!("{from}/{seq}"), from, seq)).await.unwrap().value
}

/// Upload that a message holds.
pub fn media_of(message: &Message) -> &Media {
    &message.attachment.as_ref().unwrap().media
}

async fn status(anyone: &Client, url: &str) -> u16 {
    raw(anyone, "GET", url, &[], "").await.status.as_u16()
}

/// Addresses of an upload that nobody may get anything by: without its signature, or with another one.
fn forged(media: &Media, other: &Media) -> Vec<String> {
    let (path, query) = media.url.split_once('?').unwrap();
    let (_, foreign) = other.url.split_once('?').unwrap();
    let (until, sig) = query.split_once("&sig=").unwrap();
    let hour: u64 = until.trim_start_matches("until=").parse().unwrap();
    let swapped = if sig.starts_with('A') { "B" } else { "A" };
    let thumbnail = path.replace("/original", "/thumbnail");
    vec![
        path.to_owned(),
        thumbnail.clone(),
        format!("{path}?"),
        format!("{path}?{foreign}"),
        format!("{thumbnail}?{foreign}"),
        format!("{path}?until={}&sig={sig}", hour + 1),
        format!("{path}?{until}&sig={swapped}{}", &sig[1..]),
        format!("{path}?{until}"),
        format!("{path}?sig={sig}"),
        format!("{path}?{until}&sig={sig}&sig={sig}"),
        format!("{path}?until={}&sig={sig}", u64::MAX),
        format!("{path}?until=x&sig=%ff"),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_picture_in_a_message_is_seen_by_who_has_its_address_and_by_nobody_else() {
    let mut world = World::new().await;
    let [mut ann, mut bob, eve] = world.people(["ann", "bob", "eve"]).await;
    let id = ann.direct(bob.id).await.unwrap().id;
    let media = picture(&ann).await;
    assert!(media.expires_at.is_some());
    let new = NewMessage { text: Some("look".into()), ..media_message("a", MessageKind::Image, media.id) };
    let sent = ann.send_message(id, &new).await.unwrap().value;
    let shown = bob.message(id, sent.seq).await.unwrap();
    let attachment = shown.attachment.clone().unwrap();
    assert_eq!((shown.kind, shown.text.as_str()), (MessageKind::Image, "look"));
    assert_eq!((attachment.filename.as_deref(), attachment.media.alt.as_deref()), (Some("cat.png"), Some("a cat")));
    assert_eq!((attachment.media.width, attachment.media.height), (media.width, media.height));
    for url in [&attachment.media.url, attachment.media.thumbnail_url.as_ref().unwrap()] {
        let served = raw(&world.anyone, "GET", url, &[], "").await;
        assert_eq!(served.status.as_u16(), 200, "{url}");
        assert!(served.header("cache-control").starts_with("private, max-age="), "{}", served.header("cache-control"));
    }
    let other = picture(&ann).await;
    let missing = raw(&world.anyone, "GET", "/media/7/original", &[], "").await;
    for url in forged(&attachment.media, &other) {
        for method in ["GET", "HEAD"] {
            let answer = raw(&world.anyone, method, &url, &[("range", "bytes=0-1")], "").await;
            assert_eq!(answer.status.as_u16(), 404, "{method} {url}");
        }
        // Nobody learns that it is there: not its owner either.
        let (known, same) = (raw(&ann, "GET", &url, &[], "").await, missing.body.len());
        assert!(known.body.len() == same && known.header("etag").is_empty(), "{url}");
    }
    world.restart(&mut [&mut ann, &mut bob]).await;
    assert_eq!(status(&world.anyone, &attachment.media.url).await, 200, "the key stays");
    assert_eq!(bob.message(id, sent.seq).await.unwrap(), shown);
    // Whoever is not in it gets no fresh address.
    assert_eq!(refused(eve_in(&world, &eve).message(id, sent.seq).await), Code::NotFound);
}

fn eve_in(world: &World, eve: &Person) -> Client {
    world.anyone.with_token(&eve.token)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_ends_after_its_hours_and_a_member_gets_a_fresh_one() {
    let start_ms = Clock::system().now_ms();
    let world = World::at(Clock::by_hand(start_ms), |settings| settings.media.url_hours = 2).await;
    let [ann, bob] = world.people(["ann", "bob"]).await;
    let id = ann.group("group", &[bob.id]).await.unwrap().id;
    let sent = show(&ann, id, note(&ann, b"private").await.id).await;
    let old = media_of(&sent).clone();
    let end_ms = old.expires_at.unwrap().0;
    assert!((start_ms + 2 * HOUR_MS..=start_ms + 3 * HOUR_MS).contains(&end_ms));
    world.set_clock(end_ms - 1_000);
    assert_eq!(status(&world.anyone, &old.url).await, 200);
    world.set_clock(end_ms);
    assert_eq!(status(&world.anyone, &old.url).await, 404);
    let fresh = media_of(&bob.message(id, sent.seq).await.unwrap()).clone();
    assert_eq!(&world.anyone.download(&fresh.url).await.unwrap()[..], b"private");
    // Whoever was removed gets no other.
    ann.remove_member(id, bob.id).await.unwrap();
    assert_eq!(refused(bob.message(id, sent.seq).await), Code::NotFound);
    world.set_clock(fresh.expires_at.unwrap().0);
    assert_eq!(status(&world.anyone, &fresh.url).await, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_ones_own_private_upload_of_the_right_kind_is_no_attachment() {
    let world = World::new().await;
    let [ann, bob] = world.people(["ann", "bob"]).await;
    let id = ann.group("group", &[bob.id]).await.unwrap().id;
    let (private, file) = (picture(&ann).await, note(&ann, b"a").await);
    let public = ann.upload(&Upload { filename: "cat.png", alt: None, bytes: &picture_bytes() }).await.unwrap();
    let try_out = async |person: &Person, kind, media, duration_ms| {
        let client_id = format!("{media}/{kind:?}/{}", person.id);
        let new = NewMessage { duration_ms, ..media_message(&client_id, kind, media) };
        refused_field(person.send_message(id, &new).await)
    };
    for (kind, media) in [
        (MessageKind::Image, public.id),
        (MessageKind::Image, Id(7)),
        (MessageKind::Image, file.id),
        (MessageKind::File, public.id),
    ] {
        assert_eq!(try_out(&ann, kind, media, None).await, "media_id", "{kind:?} {media}");
    }
    assert_eq!(try_out(&ann, MessageKind::Voice, private.id, Some(5)).await, "media_id");
    // Another person's, also once it stands in a message of a conversation that both are in.
    assert_eq!(try_out(&bob, MessageKind::File, private.id, None).await, "media_id");
    show(&ann, id, private.id).await;
    assert_eq!(try_out(&bob, MessageKind::File, private.id, None).await, "media_id");
    // Its owner can show it again, and as a file.
    let again = media_message("again", MessageKind::Image, private.id);
    assert_eq!(ann.send_message(id, &again).await.unwrap().value.kind, MessageKind::Image);
    let voice = NewMessage { duration_ms: Some(1_500), ..media_message("voice", MessageKind::Voice, file.id) };
    let heard = ann.send_message(id, &voice).await.unwrap().value.attachment.unwrap();
    assert_eq!((heard.duration_ms, heard.filename.as_deref()), (Some(1_500), Some("minutes.txt")));
    // Where everybody looks, private ones do not stand.
    let post = NewPost { media_ids: vec![private.id], ..NewPost::default() };
    assert_eq!(refused_field(ann.publish(&post, None).await), "media_ids[0]");
    let avatar = PatchUser { avatar_media_id: Some(Some(private.id)), ..PatchUser::default() };
    assert_eq!(refused_field(ann.patch_me(&avatar).await), "avatar_media_id");
    let of_group = |media| PatchConversation { picture_media_id: Some(media), ..PatchConversation::default() };
    for wrong in [private.id, file.id, Id(7)] {
        assert_eq!(refused_field(ann.change_conversation(id, &of_group(Some(wrong))).await), "picture_media_id");
    }
    let with_picture = ann.change_conversation(id, &of_group(Some(public.id))).await.unwrap();
    assert_eq!(with_picture.picture_url.as_ref(), Some(&public.url));
    assert_eq!(bob.conversation(id).await.unwrap().picture_url, Some(public.url));
    assert!(ann.change_conversation(id, &of_group(None)).await.unwrap().picture_url.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_purpose_is_message_or_nothing() {
    let world = World::new().await;
    let ann = world.person("ann").await;
    let part =
        |name: &str, text: &str| format!("--x\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{text}\r\n");
    let kind = [("content-type", "multipart/form-data; boundary=x")];
    let file = part("file", "hello");
    for (parts, field) in [
        (part("purpose", "post") + &file, "purpose"),
        (part("purpose", "") + &file, "purpose"),
        (part("purpose", "messages") + &file, "purpose"),
        (part("purpose", &"message".repeat(5_000)) + &file, "purpose"),
        (file.clone() + &part("purpose", "message") + &part("purpose", "message"), "purpose"),
    ] {
        let answer = raw(&ann, "POST", "/v1/media", &kind, &(parts + "--x--\r\n")).await;
        let problem: serde_json::Value = answer.json().unwrap();
        assert_eq!((answer.status.as_u16(), &problem["errors"][0]["field"]), (422, &field.into()), "{problem}");
    }
    let good = file + &part("purpose", "message") + "--x--\r\n";
    let media: Media = raw(&ann, "POST", "/v1/media", &kind, &good).await.json().unwrap();
    assert!(media.url.contains("&sig="), "the order of parts does not matter");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_goes_an_hour_after_its_last_use_and_not_before() {
    let start_ms = Clock::system().now_ms();
    let world = World::at(Clock::by_hand(start_ms), |_| ()).await;
    let [ann, bob, cid] = world.people(["ann", "bob", "cid"]).await;
    let id = ann.direct(bob.id).await.unwrap().id;
    let other = bob.group("other", &[cid.id]).await.unwrap().id;
    let sent = show(&ann, id, note(&ann, b"words").await.id).await;
    let passed = pass_on(&bob, other, (id, sent.seq)).await;
    assert!(passed.forwarded && media_of(&passed).id == media_of(&sent).id);
    // Who does not see it passes nothing on.
    let stranger = cid.send_message(other, &forwarding("x", id, sent.seq)).await;
    assert_eq!(refused_field(stranger), "forward");
    ann.recall_message(id, sent.seq).await.unwrap();
    assert!(bob.message(id, sent.seq).await.unwrap().attachment.is_none());
    world.set_clock(start_ms + 26 * HOUR_MS);
    clean(&world).await;
    let url = media_of(&cid.message(other, passed.seq).await.unwrap()).url.clone();
    assert_eq!(&world.anyone.download(&url).await.unwrap()[..], b"words", "it is held elsewhere");
    let again = cid.send_message(other, &forwarding("again", other, passed.seq)).await.unwrap().value;
    bob.recall_message(other, passed.seq).await.unwrap();
    world.set_clock(start_ms + 28 * HOUR_MS);
    clean(&world).await;
    let url = media_of(&cid.message(other, again.seq).await.unwrap()).url.clone();
    assert_eq!(status(&world.anyone, &url).await, 200);
    cid.recall_message(other, again.seq).await.unwrap();
    // It is nobody's to attach from now on, and the send that is known stays what it was.
    let anew = media_message("anew", MessageKind::File, media_of(&sent).id);
    assert_eq!(refused_field(ann.send_message(id, &anew).await), "media_id");
    let client_id = media_of(&sent).id.to_string();
    let repeat = media_message(&client_id, MessageKind::File, media_of(&sent).id);
    assert_eq!(ann.send_message(id, &repeat).await.unwrap().value.seq, sent.seq);
    world.set_clock(start_ms + 29 * HOUR_MS - MINUTE_MS);
    clean(&world).await;
    assert_eq!(status(&world.anyone, &url).await, 200);
    world.set_clock(start_ms + 29 * HOUR_MS + MINUTE_MS);
    clean(&world).await;
    assert_eq!(status(&world.anyone, &url).await, 404);
    assert_eq!(ann.send_message(id, &repeat).await.unwrap().value.seq, sent.seq);
    assert_eq!(objects(&world, media_of(&sent).id), 0);
}

/// Files that are there of an upload.
pub fn objects(world: &World, media: Id) -> usize {
    let (mut folders, mut found) = (vec![world.folder().join("store/objects")], 0);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            }
            found += usize::from(entry.file_name().to_string_lossy().starts_with(&format!("media+{media}+")));
        }
    }
    found
}

/// After a `kill -9` all that was answered is there: an upload, the message that holds it, and that it was taken back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn uploads_and_their_uses_outlive_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Process::serve(folder.path(), &[]).await;
    let new = NewUser { handle: "ann".to_owned(), password: PASSWORD.to_owned(), display_name: None };
    let token = server.anyone.register(&new).await.unwrap().token;
    let ann = server.anyone.with_token(&token);
    let id = ann.group("alone", &[]).await.unwrap().id;
    let upload = Upload { filename: "a.txt", alt: None, bytes: b"kept" };
    let media = ann.upload_for_messages(&upload).await.unwrap();
    for step in 0..3 {
        server.kill();
        server = Process::serve(folder.path(), &[]).await;
        let ann = server.anyone.with_token(&token);
        assert_eq!(&ann.download(&media.url).await.unwrap()[..], b"kept", "its address is as good as before");
        let message = media_message("once", MessageKind::File, media.id);
        let sent = ann.send_message(id, &message).await.unwrap();
        assert_eq!(sent.created, step == 0);
        assert_eq!(sent.value.attachment.is_some(), step < 2);
        if step == 1 {
            ann.recall_message(id, sent.value.seq).await.unwrap();
        }
        if step == 2 {
            let anew = media_message("anew", MessageKind::File, media.id);
            assert_eq!(refused_field(ann.send_message(id, &anew).await), "media_id");
        }
    }
    server.kill();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_never_attached_goes_after_a_day() {
    let start_ms = Clock::system().now_ms();
    let mut world = World::at(Clock::by_hand(start_ms), |_| ()).await;
    let [mut ann, mut bob] = world.people(["ann", "bob"]).await;
    let id = ann.direct(bob.id).await.unwrap().id;
    let (unused, used, late) = (picture(&ann).await, picture(&ann).await, picture(&ann).await);
    show(&ann, id, used.id).await;
    world.set_clock(start_ms + 24 * HOUR_MS - 10 * MINUTE_MS);
    clean(&world).await;
    assert_eq!(objects(&world, unused.id), 2);
    let refused = ann.send_message(id, &media_message("late", MessageKind::Image, late.id)).await;
    assert_eq!(refused_field(refused), "media_id", "it may go under the message");
    world.restart(&mut [&mut ann, &mut bob]).await;
    world.set_clock(start_ms + 24 * HOUR_MS + MINUTE_MS);
    clean(&world).await;
    for (media, files) in [(&unused, 0), (&late, 0), (&used, 2)] {
        assert_eq!(objects(&world, media.id), files, "{media:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_account_takes_its_files_along_but_for_what_others_passed_on() {
    let start_ms = Clock::system().now_ms();
    let world = World::at(Clock::by_hand(start_ms), |_| ()).await;
    let [ann, bob] = world.people(["ann", "bob"]).await;
    let id = ann.group("group", &[bob.id]).await.unwrap().id;
    let (own, passed_on, never) = (note(&ann, b"own").await, note(&ann, b"passed").await, note(&ann, b"never").await);
    show(&ann, id, own.id).await;
    let sent = show(&ann, id, passed_on.id).await;
    let kept = pass_on(&bob, id, (id, sent.seq)).await;
    say(&bob, id, "hello").await;
    ann.delete_account().await.unwrap();
    clean(&world).await;
    assert_eq!(objects(&world, never.id), 0);
    world.set_clock(start_ms + 2 * HOUR_MS);
    clean(&world).await;
    assert_eq!(objects(&world, own.id), 0);
    let url = media_of(&bob.message(id, kept.seq).await.unwrap()).url.clone();
    assert_eq!(&world.anyone.download(&url).await.unwrap()[..], b"passed");
    bob.recall_message(id, kept.seq).await.unwrap();
    world.set_clock(start_ms + 4 * HOUR_MS);
    clean(&world).await;
    assert_eq!(objects(&world, passed_on.id), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_of_deleted_accounts_that_stay_keep_their_files() {
    let start_ms = Clock::system().now_ms();
    let world = World::at(Clock::by_hand(start_ms), |settings| settings.chat.deletion = ChatDeletion::Anonymise).await;
    let [ann, bob] = world.people(["ann", "bob"]).await;
    let id = ann.group("group", &[bob.id]).await.unwrap().id;
    let sent = show(&ann, id, note(&ann, b"stays").await.id).await;
    ann.delete_account().await.unwrap();
    clean(&world).await;
    world.set_clock(start_ms + 48 * HOUR_MS);
    clean(&world).await;
    let url = media_of(&bob.message(id, sent.seq).await.unwrap()).url.clone();
    assert_eq!(&world.anyone.download(&url).await.unwrap()[..], b"stays");
    let text = text_message("after", "after");
    assert_eq!(bob.send_message(id, &text).await.unwrap().value.text, "after");
}
