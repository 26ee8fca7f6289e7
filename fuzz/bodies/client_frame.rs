//! Any text as a frame: no panic, and what parses is written and parses to the same again. Compiled by the fuzz target
//! and by the test that replays the seeds.

use fanfare_protocol::{ClientFrame, PresenceWatch, PublishEvent, ReadMarker, ServerFrame};

pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match ClientFrame::parse(text) {
        Ok(frame) => {
            let again = serde_json::to_string(&frame).unwrap();
            // Not its data: a fraction may lose its last bit on the way.
            let again = ClientFrame::parse(&again).unwrap();
            assert_eq!((again.reference, again.kind), (frame.reference, frame.kind));
            let data = frame.data.unwrap_or_default();
            let _ = serde_json::from_value::<PresenceWatch>(data.clone());
            let _ = serde_json::from_value::<ReadMarker>(data);
        }
        Err(error) => assert!(!error.0.is_empty()),
    }
    if let Ok(frame) = serde_json::from_str::<ServerFrame>(text) {
        let _ = frame.event();
    }
    let _ = serde_json::from_str::<PublishEvent>(text);
}
