//! Storage that goes and comes back, and what is said of it.

use std::sync::atomic::AtomicU64;

use super::*;

/// Lines that `work` logs.
fn logged(work: impl FnOnce()) -> String {
    let lines = Lines::default();
    let written = lines.clone();
    let subscriber = tracing_subscriber::fmt().with_writer(move || written.clone()).finish();
    tracing::subscriber::with_default(subscriber, work);
    String::from_utf8(lines.0.lock().clone()).unwrap()
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn the_end_of_storage_is_logged_once_and_stays() {
    let storage = Storage::default();
    let text = logged(|| {
        for _ in 0..3 {
            storage.clone().fail(&"damage");
        }
    });
    assert_eq!(text.matches("storage failed").count(), 1, "{text}");
    storage.works(StoragePart::Rows);
    assert!(!storage.serves() && storage.refuses());
    assert!(matches!(storage.admit(&[], None), Err(EngineError::Closed(_))));
}

#[test]
fn that_it_is_away_and_that_it_is_back_is_said_once_each_whoever_notices() {
    let storage = Storage::default();
    let text = logged(|| {
        assert!(storage.goes(StoragePart::Log, &"gone"));
        assert!(!storage.goes(StoragePart::Log, &"gone"));
        assert!(storage.goes(StoragePart::Rows, &"gone"));
        assert!(!storage.serves());
        assert!(storage.admit(&[StoragePart::Objects], Some(0)).is_ok(), "uploads are elsewhere");
        assert!(matches!(storage.admit(&[StoragePart::Rows], None), Err(EngineError::Unavailable(_))));
        storage.works(StoragePart::Log);
        assert!(!storage.serves(), "rows are away still");
        for _ in 0..3 {
            storage.works(StoragePart::Rows);
        }
    });
    assert!(storage.serves() && storage.admit(&[StoragePart::Rows, StoragePart::Log], Some(1)).is_ok());
    assert_eq!((text.matches("storage is away").count(), text.matches("storage is back").count()), (1, 1), "{text}");
}

#[test]
fn a_full_disk_refuses_what_adds_and_nothing_else() {
    let (storage, free) = (Storage::default(), Arc::new(AtomicU64::new(100)));
    let told = Arc::clone(&free);
    storage.watch_room(&Arc::new(DiskRoom::told_by(move || Some(told.load(Ordering::Relaxed)), 100)));
    // A look holds for a moment.
    let set = |bytes| {
        free.store(bytes, Ordering::Relaxed);
        storage.0.room.get().unwrap().look();
    };
    let text = logged(|| {
        assert!(storage.admit(&[], Some(0)).is_ok());
        set(99);
        for _ in 0..3 {
            assert!(matches!(storage.admit(&[], Some(0)), Err(EngineError::Full(_))));
            assert!(storage.admit(&[], None).is_ok());
        }
        assert!(storage.refuses() && storage.serves());
        set(1_000);
        assert!(storage.admit(&[], Some(900)).is_ok() && !storage.refuses());
    });
    assert_eq!((text.matches("as good as full").count(), text.matches("room again").count()), (1, 1), "{text}");
}

#[test]
fn the_log_is_away_while_one_of_its_owners_is() {
    let storage = Storage::default();
    let (one, other) = (LogPart::new(storage.clone()), LogPart::new(storage.clone()));
    let is_away = || storage.is_away(&[StoragePart::Log]);
    one.goes(&"gone");
    one.goes(&"gone still");
    other.goes(&"gone too");
    one.works();
    assert!(is_away(), "the other is");
    other.works();
    assert!(!is_away());
    other.goes(&"gone again");
    one.works();
    assert!(is_away());
    drop(other);
    assert!(!is_away(), "who ended is no longer away");
}
