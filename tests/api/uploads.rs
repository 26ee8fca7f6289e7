//! Media: uploads, on posts and profiles, and how they are served.

use std::io::Cursor;

use fanfare_client::Upload;
use fanfare_protocol::{Code, Id, Media, MediaKind, NewPost, PatchUser};
use image::{ImageFormat, RgbImage};

use crate::world::{World, raw, refused, refused_field};

fn picture(format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    RgbImage::from_fn(64, 48, |x, y| image::Rgb([x as u8 * 4, y as u8 * 5, 7])).write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn with_media(media: &[&Media]) -> NewPost {
    NewPost { media_ids: media.iter().map(|media| media.id).collect(), ..NewPost::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pictures_and_files_stand_on_posts_and_are_served_safely() {
    let mut world = World::new().await;
    let [mut ann, mut bob] = world.people(["ann", "bob"]).await;
    let png = picture(ImageFormat::Png);
    let media = ann.upload(&Upload { filename: "a.png", alt: Some("stripes"), bytes: &png }).await.unwrap();
    assert_eq!((media.kind, media.width, media.height), (MediaKind::Image, Some(64), Some(48)));
    assert_eq!((media.alt.as_deref(), media.content_type.as_str()), (Some("stripes"), "image/png"));
    let file =
        ann.upload(&Upload { filename: "a.html", alt: None, bytes: b"<script>alert(1)</script>" }).await.unwrap();
    assert_eq!(file.kind, MediaKind::File);

    let post = ann.publish(&with_media(&[&media, &file]), None).await.unwrap().post;
    assert_eq!((post.text.as_str(), &post.media), ("", &vec![media.clone(), file.clone()]));
    bob.follow(ann.id).await.unwrap();
    world.restart(&mut [&mut ann, &mut bob]).await;
    assert_eq!(world.anyone.post(post.id).await.unwrap().media, post.media);
    assert_eq!(bob.feed(Default::default()).await.unwrap().items[0].media, post.media);

    for url in [&media.url, media.thumbnail_url.as_ref().unwrap()] {
        assert!(image::load_from_memory(&world.anyone.download(url).await.unwrap()).is_ok(), "{url}");
    }
    let served = raw(&world.anyone, "GET", &file.url, &[], "").await;
    assert_eq!(&served.body[..], b"<script>alert(1)</script>");
    assert!(!served.header("content-type").contains("html"), "{}", served.header("content-type"));
    assert!(served.header("content-disposition").starts_with("attachment"));
    assert_eq!(served.header("x-content-type-options"), "nosniff");
    let part = raw(&world.anyone, "GET", &file.url, &[("range", "bytes=1-6")], "").await;
    assert_eq!((part.status.as_u16(), &part.body[..]), (206, &b"script"[..]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_ones_own_uploads_can_be_used_and_each_once() {
    let world = World::new().await;
    let [ann, bob] = world.people(["ann", "bob"]).await;
    let media = ann.upload(&Upload { filename: "a.png", alt: None, bytes: &picture(ImageFormat::Png) }).await.unwrap();
    assert_eq!(refused_field(bob.publish(&with_media(&[&media]), None).await), "media_ids[0]");
    assert_eq!(refused_field(ann.publish(&with_media(&[&media, &media]), None).await), "media_ids[1]");
    let as_avatar = PatchUser { avatar_media_id: Some(Some(media.id)), ..PatchUser::default() };
    assert_eq!(refused_field(bob.patch_me(&as_avatar).await), "avatar_media_id");
    let ann_now = ann.patch_me(&as_avatar).await.unwrap();
    assert_eq!(ann_now.avatar_url.as_deref(), Some(media.url.as_str()));
    assert!(ann.say("hello").await.unwrap().author.avatar_url.is_some());
    let file = ann.upload(&Upload { filename: "a.txt", alt: None, bytes: b"text" }).await.unwrap();
    let no_image = PatchUser { avatar_media_id: Some(Some(file.id)), ..PatchUser::default() };
    assert_eq!(refused_field(ann.patch_me(&no_image).await), "avatar_media_id");
    let cleared = ann.patch_me(&PatchUser { avatar_media_id: Some(None), ..PatchUser::default() }).await.unwrap();
    assert!(cleared.avatar_url.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_media_are_refused() {
    let world = World::with(|settings| {
        settings.media.image_pixels_max = 1_000;
        settings.media.file_bytes_max = 4_096;
        settings.media.image_bytes_max = 4_096;
    })
    .await;
    let ann = world.person("ann").await;
    let upload = async |bytes: &[u8]| ann.upload(&Upload { filename: "a.png", alt: None, bytes }).await;
    let broken = [&picture(ImageFormat::Png)[..40], &[0; 100]].concat();
    for (what, bytes, codes) in [
        ("too many pixels", picture(ImageFormat::Png), [Code::ValidationFailed, Code::UnsupportedMediaType]),
        ("a broken picture", broken, [Code::UnsupportedMediaType, Code::ValidationFailed]),
        ("nothing", Vec::new(), [Code::ValidationFailed, Code::ValidationFailed]),
        ("too many bytes", vec![7; 5_000], [Code::PayloadTooLarge, Code::PayloadTooLarge]),
        ("far too many bytes", vec![7; 4 << 20], [Code::PayloadTooLarge, Code::PayloadTooLarge]),
    ] {
        let refusal = refused(upload(&bytes).await);
        assert!(codes.contains(&refusal), "{what}: {refusal:?}");
    }
    for (headers, body) in
        [("application/json", "{}"), ("multipart/form-data", ""), ("multipart/form-data; boundary=x", "junk")]
    {
        let answer = raw(&ann, "POST", "/v1/media", &[("content-type", headers)], body).await;
        assert!([400, 415, 422].contains(&answer.status.as_u16()), "{headers} {}", answer.status);
        crate::world::problem_of(&answer);
    }
    assert_eq!(refused(world.anyone.download(&format!("/media/{}/original", Id(5))).await), Code::NotFound);
    assert!(upload(b"small enough").await.is_ok());
}
