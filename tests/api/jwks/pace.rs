//! Pace of fetching keys: at once for a new one, never often, and again and again so that withdrawn ones go.

use std::sync::Arc;
use std::time::Duration;

use fanfare::users::jwt::JwtError;
use futures_util::stream::{self, StreamExt as _};
use parking_lot::Mutex;
use tokio::task::JoinHandle;
use tracing::field::{Field, Visit};
use tracing::{Event, Metadata, Subscriber, span};

use super::*;
use crate::world::eventually;

/// No waits to speak of.
fn quick() -> Pace {
    let short = Duration::from_millis(10);
    Pace { refresh: short, life: (short, short), retry: short, ..Pace::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_key_is_taken_at_once_and_a_withdrawn_one_is_refused_from_then_on() {
    let (old, new) = (Signer::es256("2026-01"), Signer::es256("2026-02"));
    let provider = Provider::new(Reply::Document(jwks(&[&old]))).await;
    let world = world(&provider).await;
    let ann = comes(&world, &old.sign(&claims("ann"))).me().await.unwrap();
    provider.publish(&[&new]);
    assert_eq!(comes(&world, &new.sign(&claims("ann"))).me().await.unwrap().id, ann.id);
    assert_eq!(refused(comes(&world, &old.sign(&claims("ann"))).me().await), Code::Unauthenticated);
    assert_eq!(provider.asked(), 2, "at the start, and for the new key");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_withdrawn_key_is_refused_after_a_refresh_that_nobody_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let (old, new) = (Signer::es256("old"), Signer::es256("new"));
    let provider = Provider::new(Reply::Document(jwks(&[&old]))).await;
    let verifier = JwtVerifier::open(published(&provider, folder.path(), quick())).await.unwrap();
    let refreshing = tokio::spawn(verifier.refreshing().unwrap());
    let token = old.sign(&claims("ann"));
    assert!(verifier.verify(&token, NOW_S as f64).await.is_ok());
    provider.publish(&[&new]);
    eventually("the old key goes", async || verifier.verify(&token, NOW_S as f64).await.err()).await;
    // The kept set follows.
    let kept = fanfare::users::jwks::kept::Kept::new(folder.path(), &provider.url());
    eventually("the new set is kept", async || kept.load().filter(|set| set.sources == [new.jwk.clone()])).await;
    refreshing.abort();
}

/// A verifier whose fetches may take as long as a test wants.
async fn patient(provider: &Provider, folder: &Path) -> Arc<JwtVerifier> {
    let pace = Pace { fetch: Duration::from_secs(120), ..Pace::default() };
    let verifier = JwtVerifier::open(published(provider, folder, pace)).await.unwrap();
    tokio::spawn(verifier.refreshing().unwrap());
    Arc::new(verifier)
}

type Verdict = Result<String, JwtError>;

fn ask(verifier: &Arc<JwtVerifier>, token: String) -> JoinHandle<Verdict> {
    let verifier = Arc::clone(verifier);
    tokio::spawn(async move { verifier.verify(&token, NOW_S as f64).await.map(|claims| claims.sub) })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_with_a_new_key_wait_for_the_fetch_that_is_under_way() {
    let folder = tempfile::tempdir().unwrap();
    let (old, new) = (Signer::es256("old"), Signer::es256("new"));
    let provider = Provider::new(Reply::Document(jwks(&[&old]))).await;
    let verifier = patient(&provider, folder.path()).await;
    provider.publish(&[&old, &new]);
    provider.hold(true);
    let waiting: Vec<_> = (0..20).map(|_| ask(&verifier, new.sign(&claims("ann")))).collect();
    eventually("the provider is asked", async || (provider.asked() == 2).then_some(())).await;
    // Who has a known key does not wait.
    assert_eq!(ask(&verifier, old.sign(&claims("bob"))).await.unwrap(), Ok("bob".to_owned()));
    assert!(waiting.iter().all(|request| !request.is_finished()));
    provider.hold(false);
    for request in waiting {
        assert_eq!(request.await.unwrap(), Ok("ann".to_owned()));
    }
    assert_eq!(provider.asked(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_key_without_a_name_is_taken_at_once_too() {
    let folder = tempfile::tempdir().unwrap();
    let nameless = || {
        let mut signer = Signer::es256("");
        signer.jwk.as_object_mut().unwrap().remove("kid");
        signer
    };
    let (old, new) = (nameless(), nameless());
    let provider = Provider::new(Reply::Document(jwks(&[&old]))).await;
    let verifier = patient(&provider, folder.path()).await;
    provider.publish(&[&new]);
    assert_eq!(ask(&verifier, new.sign(&claims("ann"))).await.unwrap(), Ok("ann".to_owned()));
    assert_eq!(ask(&verifier, old.sign(&claims("ann"))).await.unwrap(), Err(JwtError::Signature));
    assert_eq!(provider.asked(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_forged_keys_cost_the_provider_one_request() {
    let (known, forger) = (Signer::es256("known"), Signer::es256("forged"));
    let provider = Provider::new(Reply::Document(jwks(&[&known]))).await;
    let world = world(&provider).await;
    // Tokens that no key could save ask nobody.
    let mut elsewhere = claims("ann");
    elsewhere["iss"] = json!("https://elsewhere.example/");
    let mut expired = claims("ann");
    expired["exp"] = json!(NOW_S - 3_600);
    for (index, claims) in [elsewhere, expired, json!({ "sub": "ann" }), json!(["ann"])].iter().enumerate() {
        let token = forger.sign_as(Some(&format!("hopeless-{index}")), claims);
        assert_eq!(refused(comes(&world, &token).me().await), Code::Unauthenticated);
    }
    assert_eq!(provider.asked(), 1, "at the start");
    let forged = (0..1_000).map(|index| {
        let caller = comes(&world, &forger.sign_as(Some(&format!("forged-{index}")), &claims("ann")));
        async move { refused(caller.me().await) }
    });
    let codes: Vec<Code> = stream::iter(forged).buffer_unordered(32).collect().await;
    assert!(codes.iter().all(|code| *code == Code::Unauthenticated), "{codes:?}");
    assert_eq!(provider.asked(), 2, "at the start, and once for all of them");
    assert!(comes(&world, &known.sign(&claims("ann"))).me().await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forged_keys_hold_up_few_requests_while_a_provider_is_slow() {
    let folder = tempfile::tempdir().unwrap();
    let (known, forger) = (Signer::es256("known"), Signer::es256("forged"));
    let provider = Provider::new(Reply::Document(jwks(&[&known]))).await;
    let verifier = patient(&provider, folder.path()).await;
    provider.hold(true);
    let forged: Vec<_> = (0..100)
        .map(|index| ask(&verifier, forger.sign_as(Some(&format!("forged-{index}")), &claims("ann"))))
        .collect();
    let turned_away = || forged.iter().filter(|request| request.is_finished()).count();
    eventually("all but 64 are turned away", async || (turned_away() == 36).then_some(())).await;
    assert_eq!(ask(&verifier, known.sign(&claims("bob"))).await.unwrap(), Ok("bob".to_owned()));
    provider.hold(false);
    let mut verdicts = Vec::new();
    for request in forged {
        verdicts.push(request.await.unwrap());
    }
    let count = |wanted: JwtError| verdicts.iter().filter(|verdict| **verdict == Err(wanted)).count();
    assert_eq!((count(JwtError::Busy), count(JwtError::UnknownKey)), (36, 64));
    assert_eq!(provider.asked(), 2);
}

/// Messages of warnings and what is worth knowing.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<String>>>);

impl Told {
    fn count(&self, words: &str) -> usize {
        self.0.lock().iter().filter(|message| message.contains(words)).count()
    }
}

impl Subscriber for Told {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= tracing::Level::INFO && metadata.target().starts_with("fanfare::users")
    }
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn event(&self, event: &Event<'_>) {
        struct Message<'a>(&'a mut String);
        impl Visit for Message<'_> {
            fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
                if field.name() == "message" {
                    *self.0 = format!("{value:?}");
                }
            }
        }
        let mut message = String::new();
        event.record(&mut Message(&mut message));
        self.0.lock().push(message);
    }
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

/// On one thread, so that what is told here is told to this test.
#[tokio::test]
async fn a_row_of_failures_is_told_once_and_so_is_its_end() {
    let told = Told::default();
    let _listening = tracing::subscriber::set_default(told.clone());
    let folder = tempfile::tempdir().unwrap();
    let signer = Signer::es256("e1");
    let provider = Provider::new(Reply::Document(jwks(&[&signer]))).await;
    let verifier = JwtVerifier::open(published(&provider, folder.path(), quick())).await.unwrap();
    assert_eq!(verifier.remarks(), [""; 0]);
    let refreshing = tokio::spawn(verifier.refreshing().unwrap());
    for row in 1..=2 {
        provider.answer(provider::http("500 Internal Server Error", &[], ""));
        let asked = provider.asked();
        eventually("it fails again and again", async || (provider.asked() > asked + 4).then_some(())).await;
        assert_eq!(told.count("JWKS not fetched"), row);
        assert!(verifier.verify(&signer.sign(&claims("ann")), NOW_S as f64).await.is_ok());
        assert!(verifier.remarks()[0].contains("it answers 500"), "{:?}", verifier.remarks());
        provider.publish(&[&signer]);
        eventually("it is well again", async || (told.count("JWKS fetched again") == row).then_some(())).await;
    }
    refreshing.abort();
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_is_told_and_costs_nothing_else() {
    let told = Told::default();
    let _listening = tracing::subscriber::set_default(told.clone());
    let folder = tempfile::tempdir().unwrap();
    let no_folder = folder.path().join("file");
    std::fs::write(&no_folder, "").unwrap();
    let signer = Signer::es256("e1");
    let provider = Provider::new(Reply::Document(jwks(&[&signer]))).await;
    let verifier = JwtVerifier::open(published(&provider, &no_folder, quick())).await.unwrap();
    let refreshing = tokio::spawn(verifier.refreshing().unwrap());
    eventually("it goes on", async || (provider.asked() > 3).then_some(())).await;
    assert_eq!(told.count("is not kept"), 1);
    assert!(verifier.verify(&signer.sign(&claims("ann")), NOW_S as f64).await.is_ok());
    refreshing.abort();
}
