//! A data folder in which people have talked with an earlier version: it opens, answers what it answered then, and
//! everybody goes on.

use fanfare::base::clock::Clock;
use fanfare_client::text_message;
use fanfare_protocol::{Id, NewMessage, ServerEvent};
use serde_json::Value;

use crate::deletion::clean;
use crate::formats::{compare, kept};
use crate::realtime::device::poll;
use crate::world::World;

/// Answers that the folder is asked for, at least.
const ASKED_MIN: usize = 290;

/// An answer without what is another each time it is asked for: signed addresses, and cursors.
fn lasting(mut answer: Value) -> Value {
    match &mut answer {
        Value::Object(fields) => {
            if fields.contains_key("content_type") {
                ["url", "thumbnail_url", "expires_at"].iter().for_each(|name| _ = fields.remove(*name));
            }
            fields.remove("changes_cursor");
            fields.values_mut().for_each(|value| *value = lasting(value.take()));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| *item = lasting(item.take())),
        _ => {}
    }
    answer
}

/// The story with what is answered otherwise since: invites of a pair are a conflict, and were no admin's.
fn as_now(mut story: Value) -> Value {
    let asked = story["asked"].as_array_mut().unwrap();
    let is_pair = |one: &&Value| one["answer"]["kind"] == "direct";
    let pairs: Vec<String> = asked.iter().filter(is_pair).map(|one| one["path"].as_str().unwrap().to_owned()).collect();
    let mut changed = 0;
    for one in asked.iter_mut().filter(|one| one["status"] == 403) {
        if one["path"]
            .as_str()
            .unwrap()
            .split_once("/invites")
            .is_some_and(|(of, _)| pairs.iter().any(|pair| pair == of))
        {
            one["status"] = 409.into();
            changed += 1;
        }
    }
    assert!(changed > 0, "{pairs:?}");
    story
}

/// Sends everything again that those sent who are where they were: nothing comes of it.
async fn send_again(world: &World, story: &Value) {
    let stays = |one: &&Value| ["ann", "bob", "eve"].contains(&one["by"].as_str().unwrap());
    for one in story["sends"].as_array().unwrap().iter().filter(stays) {
        let sender = world.anyone.with_token(story["tokens"][one["by"].as_str().unwrap()].as_str().unwrap());
        let conversation: Id = one["conversation"].as_str().unwrap().parse().unwrap();
        let body: NewMessage = serde_json::from_value(one["body"].clone()).unwrap();
        let sent = sender.send_message(conversation, &body).await.unwrap();
        assert!(!sent.created, "{one}");
        assert_eq!(
            (sent.value.id.to_string().as_str(), sent.value.seq),
            (one["id"].as_str().unwrap(), one["seq"].as_u64().unwrap())
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_of_chat_of_an_earlier_version_gives_the_same_answers_and_goes_on() {
    let (folder, story) = kept("chat");
    let story = as_now(story);
    let clock = Clock::by_hand(story["at_ms"].as_u64().unwrap() + 60_000);
    let mut world = World::over(folder, clock, |_| ()).await;
    let text = |name: &str| story[name].as_str().unwrap();
    let client = |world: &World, who: &str| world.anyone.with_token(story["tokens"][who].as_str().unwrap());
    for _ in 0..2 {
        compare(&world, &story, ASKED_MIN, lasting).await;
        send_again(&world, &story).await;
        clean(&world).await;
        world.restart(&mut []).await;
    }
    // A device comes back with the cursor that it had, and an address is as good as before.
    let heard = poll(&world.base, story["tokens"]["bob"].as_str().unwrap(), Some(text("cursor")), 0).await;
    let events: Vec<ServerEvent> = heard.events.iter().map(|frame| frame.event().unwrap()).collect();
    let missed = |event: &ServerEvent| match event {
        ServerEvent::Message(keyed) => keyed.message.conversation_id.to_string() == text("direct"),
        _ => false,
    };
    assert!(
        events.iter().any(missed) && !events.iter().any(|event| matches!(event, ServerEvent::Reset(_))),
        "{events:?}"
    );
    assert_eq!(&world.anyone.download(text("url")).await.unwrap()[..], text("file").as_bytes());
    for name in ["direct", "group"] {
        let conversation: Id = text(name).parse().unwrap();
        let before = client(&world, "bob").conversation(conversation).await.unwrap();
        let sent =
            client(&world, "ann").send_message(conversation, &text_message("new", "and on")).await.unwrap().value;
        assert_eq!(sent.seq, before.last_seq + 1);
        client(&world, "ann").edit_message(conversation, sent.seq, "and on it goes").await.unwrap();
        world.restart(&mut []).await;
        let after = client(&world, "bob").conversation(conversation).await.unwrap();
        assert_eq!((after.last_seq, after.unread_count), (sent.seq, before.unread_count + 1));
        assert_eq!(after.last_message.unwrap().text, "and on it goes");
    }
}
