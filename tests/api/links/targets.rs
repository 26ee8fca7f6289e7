//! Targets of links: hostile addresses at every way in, and rules that change.

use fanfare_protocol::{NewLink, PatchLink};

use super::{follow, led, made, named};
use crate::world::{World, refused_field};

const HOSTILE: &[&str] = &[
    "",
    "example.com",
    "//example.com",
    "javascript:alert(1)",
    "data:text/html,x",
    "file:///etc/passwd",
    "ftp://example.com",
    " https://example.com",
    "https://example.com ",
    "https://exam\tple.com",
    "https://example.com/\r\nSet-Cookie:a=b",
    "https://ann:secret@example.com",
    "http://127.0.0.1/",
    "http://2130706433/",
    "http://0x7f.1/",
    "http://017700000001/",
    "http://[::1]/",
    "http://[::ffff:10.0.0.1]/",
    "http://[64:ff9b::a00:1]/",
    "http://localhost:7070/",
    "http://a.LOCALHOST./",
    "http://printer.local/",
    "http://vault.internal/",
    "http:\\\\192.168.0.1",
    "http://169.254.169.254/latest/meta-data/",
    "https://Social.Example/s/abc",
    "https://s.example:8443/abc",
    "https://social.example./",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_led_where_they_must_not_go_by_any_way_in() {
    let world = World::with(|settings| {
        settings.links.short_url = Some("https://s.example".parse().unwrap());
        settings.http.public_url = Some("https://social.example".parse().unwrap());
    })
    .await;
    let ann = world.person("ann").await;
    made(&ann, &named("https://example.com/", "mine")).await;
    for url in HOSTILE {
        assert_eq!(refused_field(ann.make_link(&NewLink::to(url), None).await), "url", "{url:?}");
        let patch = PatchLink { url: Some((*url).to_owned()), ..PatchLink::default() };
        assert_eq!(refused_field(ann.change_link("mine", &patch).await), "url", "{url:?}");
    }
    assert_eq!(led(&follow(&ann, "mine").await), (302, "https://example.com/"));
    let idn = made(&ann, &NewLink::to("https://bücher.example/ä?ö#ü")).await;
    assert_eq!(idn.url, "https://xn--bcher-kva.example/%C3%A4?%C3%B6#%C3%BC");
    assert_eq!(led(&follow(&ann, &idn.code).await), (302, idn.url.as_str()));
}

/// A link that was allowed once does not lead on under other rules, and does again under the old ones.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rules_hold_for_links_that_are_there() {
    let mut world = World::with(|settings| {
        settings.links.allow_private = true;
        settings.links.schemes = ["https", "myapp"].map(|scheme| scheme.parse().unwrap()).to_vec();
    })
    .await;
    let mut ann = world.person("ann").await;
    made(&ann, &named("https://intranet.local/", "inside")).await;
    made(&ann, &named("myapp://open/thing", "app")).await;
    assert_eq!(refused_field(ann.make_link(&NewLink::to("http://example.com/"), None).await), "url");
    for (private, app) in [(302, 302), (403, 403)] {
        assert_eq!(follow(&ann, "inside").await.status, private);
        assert_eq!(follow(&ann, "app").await.status, app);
        world.settings.links = fanfare::config::Links::default();
        world.restart(&mut [&mut ann]).await;
    }
}
