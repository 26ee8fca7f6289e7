//! Conversations as the Rust client keeps them: what it shows is what the server answers.

use fanfare_client::conversations::{Chat, Draft, Failure, Line, Way};
use fanfare_client::realtime::Options;
use fanfare_client::{ClientError, MessagePlace, Upload};
use fanfare_protocol::{Code, Id, Message, MessageKind, Timestamp};

use crate::world::{Person, World, eventually};

fn shown(chat: &Chat, id: Id) -> Vec<Message> {
    chat.lines(id).iter().filter_map(Line::message).cloned().collect()
}

/// Whether a client shows what the server answers.
async fn agrees(chat: &Chat, person: &Person, id: Id) -> Option<()> {
    let told = person.conversation(id).await.ok()?;
    let mut page = person.messages(id, MessagePlace::Newest, 100).await.ok()?.items;
    page.reverse();
    (chat.conversation(id)? == told && shown(chat, id) == page).then_some(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_sends_a_picture_and_gets_addresses_that_are_good() -> Result<(), ClientError> {
    let world = World::new().await;
    let [ann, bob] = world.people(["ann", "bob"]).await;
    let id = ann.direct(bob.id).await?.id;
    let (anns, bobs) =
        (Chat::connect(&ann, ann.id, Options::default()), Chat::connect(&bob, bob.id, Options::default()));
    anns.open(id);
    bobs.open(id);
    let media = ann.upload_for_messages(&Upload { filename: "a.txt", alt: None, bytes: b"words" }).await?;
    let draft = Draft { media: Some((media.id, MessageKind::File)), ..Draft::default() };
    assert!(anns.send(id, draft).is_some());
    let message = eventually("the file", async || shown(&bobs, id).pop()).await;
    let ended = message.attachment.clone().map(|mut attachment| {
        attachment.media.expires_at = Some(Timestamp(0));
        attachment.media.url.clear();
        attachment
    });
    for message in [message.clone(), Message { attachment: ended, ..message }] {
        let attachment = bob.attachment(&message).await?;
        let url = attachment.map(|attachment| attachment.media.url).unwrap_or_default();
        assert_eq!(&bob.download(&url).await?[..], b"words");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_shows_what_the_server_answers() -> Result<(), ClientError> {
    let world = World::new().await;
    let [ann, bob] = world.people(["ann", "bob"]).await;
    let id = ann.direct(bob.id).await?.id;
    let anns = Chat::connect(&ann, ann.id, Options::default());
    let bobs = Chat::connect(&bob, bob.id, Options::default());
    anns.open(id);
    bobs.open(id);
    for number in 0..60 {
        let from = if number % 3 == 0 { &bobs } else { &anns };
        assert!(from.send(id, format!("text {number}").as_str()).is_some());
    }
    eventually("all to arrive", async || (shown(&anns, id).len() == 60 && shown(&bobs, id).len() == 60).then_some(()))
        .await;
    let own: Vec<String> =
        shown(&bobs, id).into_iter().filter(|one| one.sender.id == ann.id).map(|one| one.text).collect();
    let written: Vec<String> =
        (0..60).filter(|number| number % 3 != 0).map(|number| format!("text {number}")).collect();
    assert_eq!(own, written, "each once, in the order of writing");
    let first = shown(&anns, id).into_iter().find(|one| one.sender.id == ann.id).map_or(0, |one| one.seq);
    ann.edit_message(id, first, "another text").await?;
    bob.react(id, first, "👍").await?;
    ann.recall_message(id, first + 1).await.or(Ok::<(), ClientError>(()))?;
    bobs.mark_read(id, None);
    eventually("both to agree with the server", async || {
        agrees(&anns, &ann, id).await?;
        agrees(&bobs, &bob, id).await
    })
    .await;
    eventually("the marks", async || {
        anns.lines(id).iter().filter_map(Line::way).all(|way| way == Way::Read).then_some(())
    })
    .await;
    let blank = anns.send(id, " ").unwrap_or_default();
    let failure = eventually("the refusal", async || {
        anns.lines(id).into_iter().find_map(|line| match line {
            Line::Outgoing(outgoing, Way::Failed) => outgoing.failed,
            _ => None,
        })
    })
    .await;
    assert!(matches!(failure, Failure::Refused(problem) if problem.code == Code::ValidationFailed));
    assert!(anns.discard(id, &blank));
    Ok(())
}
