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

/// A picture that the server can decode.
pub fn picture_bytes() -> Vec<u8> {
    picture(ImageFormat::Png)
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
    // Told to the uploader, not to those who see the post.
    assert!(file.notice.as_ref().is_some_and(|notice| notice.contains("metadata")) && media.notice.is_none());
    let file = Media { notice: None, ..file };

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
    let head = raw(&world.anyone, "HEAD", &file.url, &[("range", "bytes=1-6")], "").await;
    assert_eq!((head.status.as_u16(), head.header("content-length"), head.header("content-range")), (200, "25", ""));
    let past = raw(&world.anyone, "HEAD", &file.url, &[("range", "bytes=900-")], "").await;
    assert_eq!(past.status.as_u16(), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_place_of_a_photo_is_removed_from_every_type() {
    let world = World::new().await;
    let ann = world.person("ann").await;
    let files: [(&str, MediaKind, &[u8]); 9] = [
        ("image/jpeg", MediaKind::Image, include_bytes!("media/place.jpg")),
        ("image/png", MediaKind::Image, include_bytes!("media/place.png")),
        ("image/webp", MediaKind::Image, include_bytes!("media/place.webp")),
        ("image/heif", MediaKind::File, include_bytes!("media/place.heic")),
        ("image/avif", MediaKind::File, include_bytes!("media/place.avif")),
        ("image/tiff", MediaKind::File, include_bytes!("media/place.tiff")),
        ("video/mp4", MediaKind::File, include_bytes!("media/place.mp4")),
        ("video/mp4", MediaKind::File, include_bytes!("media/fragments.mp4")),
        ("video/quicktime", MediaKind::File, include_bytes!("media/place.mov")),
    ];
    // Names and numbers in plain bytes, and degrees and minutes as Exif's rationals in both orders.
    let signs: [&[u8]; 5] =
        [b"Berlin", b"SN-4711", b"+52.5200", b"\x34\0\0\0\x01\0\0\0\x1f\0\0\0", b"\0\0\0\x34\0\0\0\x01\0\0\0\x1f"];
    let holds = |bytes: &[u8], sign: &[u8]| bytes.windows(sign.len()).any(|window| window == sign);
    for (content_type, kind, bytes) in files {
        let media = ann.upload(&Upload { filename: "place", alt: None, bytes }).await.unwrap();
        assert_eq!((media.content_type.as_str(), media.kind, &media.notice), (content_type, kind, &None));
        let served = world.anyone.download(&media.url).await.unwrap();
        for sign in signs {
            assert!(!holds(&served, sign), "{content_type} {sign:?}");
        }
    }
    // What is not understood is stored as it came, and the answer says so.
    for (bytes, content_type) in [
        (&[include_bytes!("media/place.mp4"), &b"a trailer of some camera"[..]].concat(), "video/mp4"),
        (&[&b"\x1a\x45\xdf\xa3\x93\x42\x82\x88matroska"[..], &[0; 250]].concat(), "video/x-matroska"),
        (&b"%PDF-1.7".to_vec(), "application/pdf"),
    ] {
        let media = ann.upload(&Upload { filename: "a", alt: None, bytes }).await.unwrap();
        assert_eq!((media.content_type.as_str(), media.kind), (content_type, MediaKind::File));
        assert!(media.notice.is_some_and(|notice| notice.contains("could not be removed")), "{content_type}");
        assert_eq!(&world.anyone.download(&media.url).await.unwrap()[..], &bytes[..]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_keeps_the_name_that_only_an_extended_parameter_can_say() {
    let world = World::new().await;
    let ann = world.person("ann").await;
    let body = "--x\r\ncontent-disposition: form-data; name=\"file\"; filename=\"??.txt\"; \
                filename*=UTF-8''%e4%bd%a0%e5%a5%bd.txt\r\n\r\nhello\r\n--x--\r\n";
    let kind = [("content-type", "multipart/form-data; boundary=x")];
    let media: Media = raw(&ann, "POST", "/v1/media", &kind, body).await.json().unwrap();
    let served = raw(&world.anyone, "GET", &media.url, &[], "").await;
    assert!(served.header("content-disposition").contains("%E4%BD%A0%E5%A5%BD.txt"), "{served:?}");
    // One that cannot be read leaves the plain name.
    let body = body.replace("??.txt", "plain.txt").replace("%e4", "%ff");
    let media: Media = raw(&ann, "POST", "/v1/media", &kind, &body).await.json().unwrap();
    let served = raw(&world.anyone, "GET", &media.url, &[], "").await;
    assert!(served.header("content-disposition").contains("\"plain.txt\""), "{served:?}");
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
