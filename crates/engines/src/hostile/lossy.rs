//! The other ports of a hostile world: objects whose writes fail, signals and values that get lost.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;

use super::world::{Fate, World, unavailable, unknown};
use crate::limits::{check_message, check_object, check_object_key, check_topic};
use crate::local::{EPHEMERAL_BYTES_DEFAULT, LocalBus, LocalEphemeral};
use crate::memory::objects::MemoryObjects;
use crate::ports::{Bus, EngineError, Ephemeral, Object, ObjectMeta, Objects, Subscription};

/// The life of the process that an engine was handed to.
struct Life {
    world: Arc<Mutex<World>>,
    life: u64,
}

impl Life {
    fn new(world: Arc<Mutex<World>>) -> Self {
        let life = world.lock().life;
        Self { world, life }
    }

    fn fate(&self) -> Result<Fate, EngineError> {
        let mut world = self.world.lock();
        world.enter(self.life)?;
        Ok(world.fate())
    }

    fn read(&self) -> Result<(), EngineError> {
        self.world.lock().enter_read(self.life)
    }

    fn loses(&self, percent: impl FnOnce(&World) -> u8) -> Result<bool, EngineError> {
        let mut world = self.world.lock();
        world.enter(self.life)?;
        let percent = percent(&world);
        Ok(world.random.percent(percent))
    }

    fn coin(&self) -> bool {
        self.world.lock().random.percent(50)
    }
}

/// Objects whose puts and deletes may fail, before or after they happened.
pub(super) struct LossyObjects {
    life: Life,
    objects: Arc<MemoryObjects>,
}

impl LossyObjects {
    pub(super) fn new(world: Arc<Mutex<World>>) -> Self {
        let objects = world.lock().objects.clone();
        Self { life: Life::new(world), objects }
    }
}

#[async_trait]
impl Objects for LossyObjects {
    async fn put(&self, key: &str, data: Bytes) -> Result<(), EngineError> {
        check_object_key(key)?;
        check_object(&data)?;
        match self.life.fate()? {
            Fate::Good => self.objects.put(key, data).await,
            Fate::Unavailable => Err(unavailable()),
            Fate::Unknown => {
                if self.life.coin() {
                    self.objects.put(key, data).await?;
                }
                Err(unknown())
            }
        }
    }

    async fn get(&self, key: &str, range: Option<(u64, u64)>) -> Result<Option<Object>, EngineError> {
        self.life.read()?;
        self.objects.get(key, range).await
    }

    async fn head(&self, key: &str) -> Result<Option<ObjectMeta>, EngineError> {
        self.life.read()?;
        self.objects.head(key).await
    }

    async fn delete(&self, key: &str) -> Result<(), EngineError> {
        check_object_key(key)?;
        match self.life.fate()? {
            Fate::Good => self.objects.delete(key).await,
            Fate::Unavailable => Err(unavailable()),
            Fate::Unknown => {
                if self.life.coin() {
                    self.objects.delete(key).await?;
                }
                Err(unknown())
            }
        }
    }
}

/// A bus that loses messages.
pub(super) struct LossyBus {
    life: Life,
    bus: LocalBus,
}

impl LossyBus {
    pub(super) fn new(world: Arc<Mutex<World>>) -> Self {
        Self { life: Life::new(world), bus: LocalBus::default() }
    }
}

#[async_trait]
impl Bus for LossyBus {
    async fn publish(&self, topic: &str, message: Bytes) -> Result<(), EngineError> {
        check_topic(topic)?;
        check_message(&message)?;
        if self.life.loses(|world| world.faults.lost_messages)? {
            return Ok(());
        }
        self.bus.publish(topic, message).await
    }

    async fn subscribe(&self, topic: &str) -> Result<Subscription, EngineError> {
        self.life.read()?;
        self.bus.subscribe(topic).await
    }
}

/// An ephemeral store that loses values.
pub(super) struct LossyEphemeral {
    life: Life,
    values: LocalEphemeral,
}

impl LossyEphemeral {
    pub(super) fn new(world: Arc<Mutex<World>>) -> Self {
        Self { life: Life::new(world), values: LocalEphemeral::new(EPHEMERAL_BYTES_DEFAULT) }
    }

    async fn lose(&self, key: &[u8]) -> Result<(), EngineError> {
        if self.life.loses(|world| world.faults.lost_values)? {
            self.values.take(key).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl Ephemeral for LossyEphemeral {
    async fn put(&self, key: &[u8], value: Bytes, ttl: Duration) -> Result<(), EngineError> {
        self.values.put(key, value, ttl).await?;
        self.lose(key).await
    }

    async fn put_if_absent(&self, key: &[u8], value: Bytes, ttl: Duration) -> Result<bool, EngineError> {
        self.lose(key).await?;
        self.values.put_if_absent(key, value, ttl).await
    }

    async fn get(&self, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        self.lose(key).await?;
        self.values.get(key).await
    }

    async fn take(&self, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        self.lose(key).await?;
        self.values.take(key).await
    }

    async fn renew(&self, key: &[u8], expected: &[u8], ttl: Duration) -> Result<bool, EngineError> {
        self.lose(key).await?;
        self.values.renew(key, expected, ttl).await
    }

    async fn add(&self, key: &[u8], amount: u64, ttl: Duration) -> Result<u64, EngineError> {
        self.lose(key).await?;
        self.values.add(key, amount, ttl).await
    }
}
