//! Log-ins of many addresses at once, behind a proxy that says where each comes from.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::world::{PASSWORD, World, eventually, json, raw};

/// Requests of the storm at once: more than may wait.
const STORM: usize = 150;
const OTHERS: usize = 15;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_log_ins_from_one_address_shuts_nobody_else_out() {
    let world = World::with(|settings| {
        settings.http.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
        settings.auth.wrong_passwords_per_address = 100_000;
        // A hash that takes a while: the storm is faster than the gate.
        settings.auth.argon2_memory_kib = 4_096;
    })
    .await;
    world.person("ann").await;
    let (over, shed) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let storm: Vec<_> = (0..STORM)
        .map(|number| {
            let (client, over, shed) = (world.anyone.clone(), Arc::clone(&over), Arc::clone(&shed));
            tokio::spawn(async move {
                let body = format!(r#"{{"handle": "nobody{number}", "password": "{PASSWORD}"}}"#);
                let headers = [("x-forwarded-for", "203.0.113.1"), ("content-type", "application/json")];
                while !over.load(Ordering::Relaxed) {
                    let answer = raw(&client, "POST", "/v1/sessions", &headers, &body).await;
                    assert!([401, 429, 503].contains(&answer.status.as_u16()), "{answer:?}");
                    shed.fetch_add(u64::from(answer.status != 401), Ordering::Relaxed);
                }
            })
        })
        .collect();
    eventually("the storm is more than the gate takes", async || (shed.load(Ordering::Relaxed) > 100).then_some(()))
        .await;
    let body = format!(r#"{{"handle": "ann", "password": "{PASSWORD}"}}"#);
    let mut passed = Vec::new();
    for other in 0..OTHERS {
        let from = format!("198.51.100.{other}");
        let headers = [("x-forwarded-for", from.as_str()), ("content-type", "application/json")];
        passed.push(raw(&world.anyone, "POST", "/v1/sessions", &headers, &body).await.status.as_u16());
    }
    over.store(true, Ordering::Relaxed);
    for one in storm {
        one.await.unwrap();
    }
    assert_eq!(passed, [201; OTHERS]);
    // What was refused is counted.
    let metrics = raw(&world.operator, "GET", "/metrics", &[], "").await;
    let text = String::from_utf8_lossy(&metrics.body).into_owned();
    assert!(
        text.contains("fanfare_shed_total{what=\"hashes\"}") || text.contains("what=\"log_ins_of_address\""),
        "{text}"
    );
    assert_eq!(json(&world.anyone, "POST", "/v1/sessions", &body).await.status, 201);
}
