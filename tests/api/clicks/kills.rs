//! `kill -9` while visitors come in: what was answered is counted once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use fanfare_client::StatsQuery;
use fanfare_protocol::{NewLink, NewUser};

use super::visit;
use crate::process::Process;
use crate::world::{PASSWORD, eventually};

const CONNECTIONS: usize = 64;
const ROUNDS: u64 = 5;
/// Visits that are answered before the kill.
const ANSWERED_MIN: u64 = 300;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answered_visit_is_counted_once_through_kills() {
    let folder = tempfile::tempdir().unwrap();
    // Rows are written so often that kills come between them and the head.
    let settings = [("FANFARE__LINKS__FOLD_S", "1"), ("FANFARE__LINKS__CLICKS_FLUSH_MS", "5")];
    let mut server = Process::serve(folder.path(), &settings).await;
    let new = NewUser { handle: "ann".to_owned(), password: PASSWORD.to_owned(), display_name: None };
    let token = server.anyone.register(&new).await.unwrap().token;
    let code = server.anyone.with_token(&token).make_link(&NewLink::to("https://example.com/"), None).await.unwrap();
    let code = code.link.code;
    let (sent, answered) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    for round in 1..=ROUNDS {
        let visitors: Vec<_> = (0..CONNECTIONS)
            .map(|_| {
                let (client, code) = (server.anyone.clone(), code.clone());
                let (sent, answered) = (Arc::clone(&sent), Arc::clone(&answered));
                tokio::spawn(async move {
                    loop {
                        sent.fetch_add(1, Ordering::Relaxed);
                        let path = format!("/s/{code}");
                        let answer = client.send(hyper::Method::GET, &path, &[], bytes::Bytes::new()).await;
                        match answer {
                            Ok(answer) if answer.status == 302 => answered.fetch_add(1, Ordering::Relaxed),
                            Ok(answer) => panic!("{}", answer.status),
                            Err(_) => return,
                        };
                    }
                })
            })
            .collect();
        let wanted = answered.load(Ordering::Relaxed) + ANSWERED_MIN;
        eventually("visitors are answered", async || (answered.load(Ordering::Relaxed) >= wanted).then_some(())).await;
        server.kill();
        for visitor in visitors {
            visitor.await.unwrap();
        }
        server = Process::serve(folder.path(), &settings).await;
        let owner = server.anyone.with_token(&token);
        let (least, most) = (answered.load(Ordering::Relaxed), sent.load(Ordering::Relaxed));
        let total = eventually("what was answered is counted", async || {
            let total = owner.link_stats(&code, StatsQuery::days()).await.unwrap().total;
            (total >= least).then_some(total)
        })
        .await;
        assert!(total <= most, "round {round}: {total} counted, {least} answered, {most} sent");
        // One more is counted once, so nothing that was counted comes again behind it.
        assert_eq!(visit(&server.anyone, &code, &[]).await.status, 302);
        sent.fetch_add(1, Ordering::Relaxed);
        answered.fetch_add(1, Ordering::Relaxed);
        let settled = eventually("the last visit is counted", async || {
            let total = owner.link_stats(&code, StatsQuery::days()).await.unwrap().total;
            (total > least).then_some(total)
        })
        .await;
        assert!(settled <= most + 1, "round {round}: {settled} counted, {} sent", most + 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_in_the_log_is_counted_without_the_spool() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::serve(folder.path(), &[]).await;
    let new = NewUser { handle: "ann".to_owned(), password: PASSWORD.to_owned(), display_name: None };
    let token = server.anyone.register(&new).await.unwrap().token;
    let link =
        server.anyone.with_token(&token).make_link(&NewLink::to("https://example.com/"), None).await.unwrap().link;
    for _ in 0..20 {
        visit(&server.anyone, &link.code, &[]).await;
    }
    let counted = async |server: &Process| {
        let owner = server.anyone.with_token(&token);
        eventually("all are counted", async || {
            let total = owner.link_stats(&link.code, StatsQuery::days()).await.unwrap().total;
            (total == 20).then_some(())
        })
        .await;
    };
    counted(&server).await;
    server.kill();
    // A loss of power takes what was not synced: of the spool nothing is.
    std::fs::remove_dir_all(folder.path().join("spool")).unwrap();
    counted(&Process::serve(folder.path(), &[]).await).await;
}
