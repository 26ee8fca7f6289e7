//! Reports: what people tell operators of others, whom they may tell of, and what operators see of it.

use fanfare::base::clock::Clock;
use fanfare_client::{Paging, Upload, media_message};
use fanfare_protocol::{
    Code, FiledReport, Id, MessageKind, NewReport, PatchChatPreferences, PatchUser, ReportKind, ReportState, WhoMay,
};

use crate::chat::say;
use crate::deletion::clean;
use crate::world::{Person, World, all_pages, json, raw, refused, refused_field};

fn of(kind: ReportKind, id: Id) -> NewReport {
    NewReport { kind, id, conversation_id: None, reason: "spam".to_owned() }
}

async fn listed(world: &World, state: ReportState) -> Vec<FiledReport> {
    let read = async |cursor: Option<String>| world.operator.reports(state, Paging::at(2, cursor.as_deref())).await;
    all_pages(read, 2).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_keeps_a_copy_of_what_its_maker_saw() {
    let mut world = World::new().await;
    let [mut ann, mut bob] = world.people(["ann", "bob"]).await;
    let id = ann.group("a title", &[bob.id]).await.unwrap().id;
    let first = say(&bob, id, "buy this").await;
    bob.patch_me(&PatchUser { bio: Some(Some("I sell".into())), ..PatchUser::default() }).await.unwrap();
    let upload = Upload { filename: "a.txt", alt: None, bytes: b"proof" };
    let media = bob.upload_for_messages(&upload).await.unwrap();
    let file = bob.send_message(id, &media_message("m", MessageKind::File, media.id)).await.unwrap().value;
    let by_id = ann.report(&of(ReportKind::Message, first.id)).await.unwrap();
    let named = NewReport { conversation_id: Some(id), ..of(ReportKind::Message, file.id) };
    ann.report(&named).await.unwrap();
    ann.report(&of(ReportKind::User, bob.id)).await.unwrap();
    ann.report(&of(ReportKind::Conversation, id)).await.unwrap();
    // What comes later changes nothing in it.
    bob.edit_message(id, first.seq, "hello").await.unwrap();
    bob.recall_message(id, first.seq).await.unwrap();
    bob.patch_me(&PatchUser { bio: Some(None), ..PatchUser::default() }).await.unwrap();
    world.restart(&mut [&mut ann, &mut bob]).await;
    let open = listed(&world, ReportState::Open).await;
    let texts: Vec<&str> = open.iter().map(|report| report.text.as_str()).collect();
    assert_eq!(texts, ["a title", "I sell", "", "buy this"], "newest first");
    let [group, person, file_report, words] = &open[..] else { panic!("{open:?}") };
    assert_eq!((words.conversation_id, words.seq, words.target_id), (Some(id), Some(first.seq), first.id));
    for report in [person, file_report, words] {
        assert_eq!(report.user.as_ref().unwrap().handle, "bob");
    }
    assert!(open.iter().all(|report| report.reporter.id == ann.id && report.reason == "spam"));
    assert_eq!((group.user.as_ref(), group.conversation_id), (None, Some(id)));
    let proof = file_report.attachment.as_ref().unwrap();
    assert_eq!(&world.anyone.download(&proof.media.url).await.unwrap()[..], b"proof");
    assert_eq!(ann.own_report(by_id.id).await.unwrap(), by_id);
    assert_eq!(refused(bob.own_report(by_id.id).await), Code::NotFound);
    // An account that is gone leaves the report, without its maker's name.
    ann.delete_account().await.unwrap();
    clean(&world).await;
    let open = listed(&world, ReportState::Open).await;
    assert!(open.len() == 4 && open.iter().all(|report| report.reporter.handle.is_empty()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_somebody_sees_can_be_reported() {
    let world = World::new().await;
    let [ann, bob, eve, asked, late] = world.people(["ann", "bob", "eve", "asked", "late"]).await;
    let asks = PatchChatPreferences { who_may_add: Some(Some(WhoMay::Requests)), ..PatchChatPreferences::default() };
    asked.prefer(&asks).await.unwrap();
    let id = ann.group("group", &[bob.id, asked.id]).await.unwrap().id;
    let secret = say(&ann, id, "secret").await;
    let message = of(ReportKind::Message, secret.id);
    let named = NewReport { conversation_id: Some(id), ..message.clone() };
    ann.add_member(id, late.id).await.unwrap();
    let wrong = async |person: &Person, report: &NewReport| refused_field(person.report(report).await);
    for stranger in [&eve, &asked, &late] {
        assert_eq!(wrong(stranger, &message).await, "id");
        assert_eq!(wrong(stranger, &named).await, "id");
    }
    assert_eq!(wrong(&eve, &of(ReportKind::Conversation, id)).await, "id");
    // Whoever is asked to join sees that there is something to report.
    asked.report(&of(ReportKind::Conversation, id)).await.unwrap();
    late.report(&of(ReportKind::Conversation, id)).await.unwrap();
    bob.report(&message).await.unwrap();
    ann.remove_member(id, bob.id).await.unwrap();
    assert_eq!(wrong(&bob, &NewReport { conversation_id: Some(id), ..of(ReportKind::Message, Id(1)) }).await, "id");
    assert_eq!(wrong(&bob, &of(ReportKind::Conversation, id)).await, "id");
    // Neither oneself, nor what is one's own, nor whoever is not there for the caller.
    assert_eq!(wrong(&ann, &message).await, "id");
    assert_eq!(wrong(&ann, &of(ReportKind::User, ann.id)).await, "id");
    assert_eq!(wrong(&ann, &of(ReportKind::User, Id(7))).await, "id");
    bob.block(ann.id).await.unwrap();
    assert_eq!(wrong(&ann, &of(ReportKind::User, bob.id)).await, "id");
    bob.report(&of(ReportKind::User, ann.id)).await.unwrap();
    for (body, field) in [
        (format!(r#"{{"kind": "post", "id": "{id}", "reason": "a"}}"#), "kind"),
        (format!(r#"{{"kind": "user", "id": "{}", "reason": " "}}"#, eve.id), "reason"),
        (format!(r#"{{"kind": "user", "id": "{}", "reason": "{}"}}"#, eve.id, "x".repeat(1_001)), "reason"),
        (
            format!(r#"{{"kind": "user", "id": "{}", "reason": "a", "conversation_id": "{id}"}}"#, eve.id),
            "conversation_id",
        ),
    ] {
        let answer = json(&ann, "POST", "/v1/reports", &body).await;
        let problem: serde_json::Value = answer.json().unwrap();
        assert_eq!((answer.status.as_u16(), &problem["errors"][0]["field"]), (422, &field.into()), "{problem}");
    }
    assert_eq!(refused(world.anyone.report(&of(ReportKind::User, bob.id)).await), Code::Unauthenticated);
    assert_eq!(listed(&world, ReportState::All).await.len(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_is_made_once_and_resolved_once_with_a_line_in_the_audit() {
    let world = World::new().await;
    let [ann, bob, cid] = world.people(["ann", "bob", "cid"]).await;
    let report = ann.report(&of(ReportKind::User, bob.id)).await.unwrap();
    let again = NewReport { reason: "more of it".into(), ..of(ReportKind::User, bob.id) };
    assert_eq!(ann.report(&again).await.unwrap(), report, "as long as it is open");
    let of_cid = cid.report(&again).await.unwrap();
    assert_ne!(of_cid.id, report.id);
    for person in [&ann, &bob] {
        assert_eq!(refused(person.reports(ReportState::Open, Paging::default()).await), Code::Forbidden);
        assert_eq!(refused(person.resolve_report(report.id, "no").await), Code::Forbidden);
    }
    assert_eq!(refused_field(world.operator.resolve_report(report.id, " \n").await), "note");
    assert_eq!(refused(world.operator.resolve_report(Id(7), "done").await), Code::NotFound);
    let resolved = world.operator.resolve_report(report.id, "suspended").await.unwrap();
    let end = resolved.resolution.clone().unwrap();
    assert_eq!((end.by.as_str(), end.note.as_str()), ("admin.token", "suspended"));
    assert_eq!(world.operator.resolve_report(report.id, "suspended").await.unwrap(), resolved);
    assert_eq!(refused(world.operator.resolve_report(report.id, "other").await), Code::Conflict);
    let audit = world.operator.audit(Paging::default()).await.unwrap().items;
    let lines: Vec<_> = audit.iter().filter(|line| line.action == "report.resolve").collect();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_eq!(
        (lines[0].target.clone(), lines[0].reason.as_deref()),
        (format!("reports/{}", report.id), Some("suspended"))
    );
    assert!(ann.own_report(report.id).await.unwrap().resolved);
    let ids = |reports: Vec<FiledReport>| reports.iter().map(|one| one.id).collect::<Vec<_>>();
    assert_eq!(ids(listed(&world, ReportState::Open).await), [of_cid.id]);
    assert_eq!(ids(listed(&world, ReportState::Resolved).await), [report.id]);
    assert_eq!(ids(listed(&world, ReportState::All).await), [of_cid.id, report.id]);
    // From then on it is another one.
    assert_ne!(ann.report(&again).await.unwrap().id, report.id);
    // An operator by role does not resolve what is said of operators.
    world.operator.set_admin(bob.id, true).await.unwrap();
    assert_eq!(refused(bob.resolve_report(of_cid.id, "nothing to see").await), Code::Forbidden);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn open_reports_of_one_person_are_bounded_and_reports_go_after_400_days() {
    let start_ms = Clock::system().now_ms();
    let world = World::at(Clock::by_hand(start_ms), |_| ()).await;
    let [ann, bob] = world.people(["ann", "bob"]).await;
    let id = ann.group("group", &[bob.id]).await.unwrap().id;
    let mut first = None;
    for number in 0..100 {
        let message = say(&bob, id, &format!("m{number}")).await;
        let new = NewReport { conversation_id: Some(id), ..of(ReportKind::Message, message.id) };
        first = first.or(Some(ann.report(&new).await.unwrap()));
    }
    let body = format!(r#"{{"kind": "user", "id": "{}", "reason": "a"}}"#, bob.id);
    let kind = [("content-type", "application/json")];
    let answer = raw(&ann, "POST", "/v1/reports", &kind, &body).await;
    assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (429, "3600"));
    world.operator.resolve_report(first.unwrap().id, "seen").await.unwrap();
    ann.report(&of(ReportKind::User, bob.id)).await.unwrap();
    clean(&world).await;
    assert_eq!(listed(&world, ReportState::All).await.len(), 101);
    world.set_clock(start_ms + 401 * 86_400_000);
    assert!(listed(&world, ReportState::All).await.is_empty() && listed(&world, ReportState::Open).await.is_empty());
}
