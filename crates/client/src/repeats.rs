//! Requests of which the server does not know whether they were done: sent again where that does no harm.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use bytes::Bytes;
use fanfare_protocol::{Code, Problem};
use hyper::{Method, StatusCode};

use crate::{Answer, Client, Result};

/// Tries after the first.
const REPEATS_MAX: u32 = 3;
/// Milliseconds before the first of them, where the server names no time; doubled each time.
const PAUSE_MS: u64 = 200;
/// Longest `Retry-After` that is waited for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(10);

impl Client {
    /// Sends a request, and sends it again after `outcome_unknown`; the last answer, whatever it is.
    ///
    /// # Errors
    /// As [`send`](Self::send): a request whose answer was lost is not sent again here.
    pub async fn send_again(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Result<Answer> {
        let keyed = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("idempotency-key"));
        let harmless = keyed || method.is_idempotent();
        let mut perhaps_done = false;
        for tries in 0.. {
            let mut answer = self.send(method.clone(), path, headers, body.clone()).await?;
            let again = match code_of(&answer) {
                Some(Code::OutcomeUnknown) => {
                    perhaps_done = true;
                    true
                }
                // The first request with the key is still at work.
                Some(Code::Conflict) => perhaps_done && keyed,
                // An earlier try has done it.
                Some(Code::Gone) if perhaps_done && method == Method::DELETE => {
                    (answer.status, answer.body) = (StatusCode::NO_CONTENT, Bytes::new());
                    return Ok(answer);
                }
                _ => false,
            };
            if !(again && harmless && tries < REPEATS_MAX) {
                return Ok(answer);
            }
            tokio::time::sleep(pause(&answer, tries)).await;
        }
        unreachable!("the last try returns")
    }
}

/// The code of a refusal.
fn code_of(answer: &Answer) -> Option<Code> {
    let refused = !answer.status.is_success();
    refused.then(|| answer.json::<Problem>().ok()).flatten().map(|problem| problem.code)
}

/// Pause before the next try: what the server asks for, or a growing one; and up to as much again, so that many clients
/// do not come back at once.
fn pause(answer: &Answer, tries: u32) -> Duration {
    let asked = answer.header("retry-after").parse().ok().map(Duration::from_secs);
    let least = asked.unwrap_or_else(|| Duration::from_millis(PAUSE_MS << tries)).min(RETRY_AFTER_MAX);
    let dice = RandomState::new().hash_one(tries) % 1_000;
    least + Duration::from_millis((PAUSE_MS << tries) * dice / 1_000)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    /// A server that gives these answers, one a request, and says how often it was asked.
    async fn server(answers: &'static [(u16, &'static str)]) -> (Client, &'static AtomicUsize) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = Client::new(&format!("http://{}", listener.local_addr().unwrap()));
        let asked: &AtomicUsize = Box::leak(Box::default());
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut head = [0; 4_096];
                let _ = stream.read(&mut head).await;
                let (status, code) = answers[asked.fetch_add(1, Ordering::SeqCst).min(answers.len() - 1)];
                let problem = Problem { status, ..Problem::new(serde_json::from_str(code).unwrap(), "") };
                let body = serde_json::to_string(&problem).unwrap();
                let head = format!(
                    "HTTP/1.1 {status} x\r\ncontent-type: application/problem+json\r\nretry-after: 0\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
                    body.len()
                );
                let _ = stream.write_all(head.as_bytes()).await;
            }
        });
        (client, asked)
    }

    async fn status(client: &Client, method: Method, key: bool) -> u16 {
        let headers: &[(&str, &str)] = if key { &[("idempotency-key", "k")] } else { &[] };
        client.send_again(method, "/x", headers, Bytes::new()).await.unwrap().status.as_u16()
    }

    const UNKNOWN: (u16, &str) = (503, "\"outcome_unknown\"");

    #[tokio::test]
    async fn what_has_a_key_is_sent_again_until_the_outcome_is_known() {
        let (client, asked) = server(&[UNKNOWN, (409, "\"conflict\""), (422, "\"validation_failed\"")]).await;
        assert_eq!(status(&client, Method::POST, true).await, 422);
        assert_eq!(asked.load(Ordering::SeqCst), 3);
        let (client, asked) = server(&[UNKNOWN]).await;
        assert_eq!(status(&client, Method::POST, true).await, 503);
        assert_eq!(asked.load(Ordering::SeqCst), 1 + REPEATS_MAX as usize);
    }

    #[tokio::test]
    async fn what_would_be_done_twice_is_not_sent_again() {
        let (client, asked) = server(&[UNKNOWN]).await;
        assert_eq!(status(&client, Method::POST, false).await, 503);
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        // Nor what is refused for another reason.
        for refusal in [&[(409, "\"conflict\"")], &[(503, "\"overloaded\"")]] {
            let (client, asked) = server(refusal).await;
            status(&client, Method::PUT, true).await;
            assert_eq!(asked.load(Ordering::SeqCst), 1);
        }
    }

    #[tokio::test]
    async fn a_deletion_that_finds_nothing_was_done_before() {
        let (client, _) = server(&[UNKNOWN, (410, "\"gone\"")]).await;
        assert_eq!(status(&client, Method::DELETE, false).await, 204);
        let (client, _) = server(&[(410, "\"gone\"")]).await;
        assert_eq!(status(&client, Method::DELETE, false).await, 410);
    }
}
