//! Writes beside the log over engines that fail.

use std::collections::VecDeque;

use parking_lot::Mutex;

use super::*;

fn unknown() -> EngineError {
    EngineError::Unknown("no space left".to_owned())
}

fn away() -> EngineError {
    EngineError::Unavailable("away".to_owned())
}

fn closed() -> EngineError {
    EngineError::Closed("an earlier commit failed".to_owned())
}

/// Objects whose next writes are answered so; afterwards they are done.
struct Failing {
    answers: Mutex<VecDeque<EngineError>>,
    kept: Arc<dyn Objects>,
}

#[async_trait]
impl Objects for Failing {
    async fn put(&self, key: &str, data: Bytes) -> Result<(), EngineError> {
        let answer = self.answers.lock().pop_front();
        match answer {
            Some(error) => Err(error),
            None => self.kept.put(key, data).await,
        }
    }

    async fn get(&self, key: &str, range: Option<(u64, u64)>) -> Result<Option<Object>, EngineError> {
        self.kept.get(key, range).await
    }

    async fn head(&self, key: &str) -> Result<Option<ObjectMeta>, EngineError> {
        self.kept.head(key).await
    }

    async fn delete(&self, _: &str) -> Result<(), EngineError> {
        Err(unknown())
    }
}

/// Engines whose objects answer so first.
fn failing(answers: impl IntoIterator<Item = EngineError>) -> (Engines, Storage) {
    let storage = Storage::default();
    let engines = fanfare_engines::memory::open(1).unwrap();
    let answers = Mutex::new(answers.into_iter().collect());
    let failing = Failing { answers, kept: engines.objects.clone() };
    (watched(Engines { objects: Arc::new(failing), ..engines }, &storage), storage)
}

/// Answer to an upload whose tries are answered so, and whether storage serves afterwards.
async fn told(answers: Vec<EngineError>) -> (Result<(), EngineError>, bool) {
    let (engines, storage) = failing(answers);
    let told = engines.objects.put("key", Bytes::from_static(b"x")).await;
    (told, storage.serves())
}

#[tokio::test(start_paused = true)]
async fn a_write_is_repeated_until_it_is_known_to_be_done() {
    assert!(matches!(told(vec![unknown(), away()]).await, (Ok(()), true)));
    assert!(matches!(told(vec![unknown(), unknown(), away(), unknown()]).await, (Err(EngineError::Unknown(_)), false)));
    assert!(matches!(told(vec![away(), away(), away(), away()]).await, (Err(EngineError::Unavailable(_)), false)));
    let limit = EngineError::Limit("too large".to_owned());
    assert!(matches!(told(vec![limit]).await, (Err(EngineError::Limit(_)), true)));
}

#[tokio::test(start_paused = true)]
async fn what_may_have_happened_before_storage_ended_stays_unknown() {
    assert!(matches!(told(vec![unknown(), closed()]).await, (Err(EngineError::Unknown(_)), false)));
    assert!(matches!(told(vec![closed()]).await, (Err(EngineError::Closed(_)), false)));
    let full = EngineError::Full("1 MiB".to_owned());
    assert!(matches!(told(vec![unknown(), full.clone()]).await, (Err(EngineError::Unknown(_)), true)));
    assert!(matches!(told(vec![full]).await, (Err(EngineError::Full(_)), true)));
}

/// Uploads that failed ended storage until a restart; now it is asked until it works, and then it is back.
#[tokio::test(start_paused = true)]
async fn what_is_away_is_refused_at_once_and_comes_back_by_itself() {
    let (engines, storage) = failing(std::iter::repeat_with(away).take(WRITE_TRIES as usize + 3));
    let put = async || engines.objects.put("key", Bytes::from_static(b"x")).await;
    assert!(matches!(put().await, Err(EngineError::Unavailable(_))));
    assert!(!storage.serves());
    let begun = tokio::time::Instant::now();
    assert!(matches!(put().await, Err(EngineError::Unavailable(_))));
    assert_eq!(begun.elapsed(), Duration::ZERO, "nothing is tried");
    let mut row = Batch::default();
    row.put(RowKey::single(tables::META, "x"), "v");
    engines.tables.write(row).await.unwrap();
    // The clock runs by itself: nobody writes, and it is back.
    while !storage.serves() {
        tokio::time::sleep(Duration::from_millis(ASK_MS)).await;
        assert!(begun.elapsed() < Duration::from_secs(60));
    }
    put().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_file_that_cannot_be_removed_is_its_own_trouble() {
    let (engines, storage) = failing([]);
    assert!(engines.objects.delete("key").await.is_err());
    assert!(storage.serves());
}
