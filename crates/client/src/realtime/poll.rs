//! A link by polls: long ones that wait at the server, or short ones that wait here.

use std::time::{Duration, Instant};

use bytes::Bytes;
use fanfare_protocol::{AUTHOR_DELETED, PollAnswer, REALTIME_VERSION};
use hyper::{Method, StatusCode};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::ladder::Ended;
use super::link::{Signal, Target, answer_says, refused};

/// Pause after a long poll that was answered at once and with nothing, so that a proxy which answers by itself is not
/// asked without pause.
const EMPTY_PAUSE: Duration = Duration::from_millis(200);
/// A poll that was answered by nothing for so long had reached somebody.
const CUT_AFTER: Duration = Duration::from_secs(1);

/// Polls until one fails.
pub(super) async fn run(mut target: Target, long: bool, signals: &mpsc::Sender<Signal>) -> Ended {
    let wait_s = if long { target.options.poll_wait_s } else { 0 };
    let patience = target.options.first_byte + Duration::from_secs(wait_s);
    let mut open = false;
    loop {
        let asked = Instant::now();
        let answer = match timeout(patience, poll(&target, wait_s)).await {
            Err(_) => return if open { Ended::Silent } else { Ended::NoFirstByte },
            // Cut while it waited: something between here and the server does not let it wait.
            Ok(Err(Ended::Unreachable(why) | Ended::Lost(why))) if asked.elapsed() > CUT_AFTER => {
                return Ended::Lost(why);
            }
            Ok(Err(ended)) => return ended,
            Ok(Ok(answer)) => answer,
        };
        open = true;
        target.cursor = Some(answer.cursor.clone());
        let idle = answer.events.is_empty() && asked.elapsed() < EMPTY_PAUSE;
        if signals.send(Signal::Answer(answer)).await.is_err() {
            return Ended::Lost("nobody listens".to_owned());
        }
        if !long {
            sleep(target.options.short_poll).await;
        } else if idle {
            sleep(EMPTY_PAUSE).await;
        }
    }
}

async fn poll(target: &Target, wait_s: u64) -> Result<PollAnswer, Ended> {
    // A cursor is URL-safe (`api.md`).
    let cursor = target.cursor.as_ref().map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
    let path = format!("/v1/realtime/poll?v={REALTIME_VERSION}&knows={AUTHOR_DELETED}&wait={wait_s}{cursor}");
    let answer = target.client.send(Method::GET, &path, &[], Bytes::new()).await.map_err(|error| refused(&error))?;
    if wait_s > 0 && answer.status == StatusCode::GATEWAY_TIMEOUT {
        return Err(Ended::NotSpoken(answer.status.to_string()));
    }
    if answer.status != StatusCode::OK {
        return Err(answer_says(&answer));
    }
    answer.json().map_err(|error| Ended::NotSpoken(error.to_string()))
}
