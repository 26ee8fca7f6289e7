//! Sessions of many people from one address, behind a proxy that says where each comes from.

use super::{Wire, status};
use crate::world::{Person, World, eventually};

async fn stream(world: &World, person: &Person, from: &str) -> (Wire, u16) {
    let mut wire = Wire::to(&world.base).await;
    let head = "GET /v1/realtime/sse HTTP/1.1\r\nhost: x\r\n";
    wire.send(format!("{head}authorization: Bearer {}\r\nx-forwarded-for: {from}\r\n\r\n", person.token)).await;
    let answer = wire.answer().await;
    (wire, status(&answer))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_has_so_many_sessions_whoever_they_are_of() {
    let world = World::with(|settings| {
        settings.http.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
        settings.realtime.sessions_per_address_max = 2;
    })
    .await;
    let [ann, bob, cid] = world.people(["ann", "bob", "cid"]).await;
    let (first, status) = stream(&world, &ann, "2001:db8::1").await;
    assert_eq!(status, 200);
    let (_second, status) = stream(&world, &bob, "2001:db8::2").await;
    assert_eq!(status, 200);
    let (_refused, status) = stream(&world, &cid, "2001:db8::3").await;
    assert_eq!(status, 429, "the third of a /64");
    let (_elsewhere, status) = stream(&world, &cid, "192.0.2.1").await;
    assert_eq!(status, 200);
    drop(first);
    let again = async || {
        let (wire, status) = stream(&world, &cid, "2001:db8::3").await;
        (status == 200).then_some(wire)
    };
    eventually("its place is given back", again).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn this_machine_has_as_many_sessions_as_there_are() {
    let world = World::with(|settings| settings.realtime.sessions_per_address_max = 1).await;
    let ann = world.person("ann").await;
    let mut open = Vec::new();
    for _ in 0..3 {
        let (wire, status) = stream(&world, &ann, "192.0.2.1").await;
        assert_eq!(status, 200);
        open.push(wire);
    }
}
