//! Turns queued jobs into entries of timelines, one slice at a time.

use std::sync::atomic::{AtomicBool, Ordering};

use super::{FeedCore, policy_name, policy_number};
use crate::base::slot_list::Slot;
use crate::feed::item::FeedItem;
use crate::feed::jobs::Job;
use crate::feed::ring::Entry;
use crate::log::events::Policy;

impl<P: FeedItem> FeedCore<P> {
    /// Queues a job and wakes the worker; false when the queue is full.
    pub(super) fn enqueue(&self, job: Job) -> bool {
        let queued = self.queue.lock().push(job);
        if queued {
            self.work.notify_one();
        }
        queued
    }

    /// Does one slice of one job; false when nothing waits. `slots` is scratch space, kept between turns.
    pub(super) fn turn(&self, slots: &mut Vec<Slot>) -> bool {
        let Some(job) = self.queue.lock().take() else { return false };
        let slice = self.settings.push_slice.max(1);
        slots.clear();
        let copied = self.authors.copy_slots(job.author, job.resume, slice, slots);
        self.timelines.scatter(slots, Entry { id: job.id, author: job.author });
        let number = policy_number(job.policy);
        self.counters.deliveries[number].fetch_add(copied as u64, Ordering::Relaxed);
        metrics::counter!("fanfare_feed_deliveries_total", "source" => P::SOURCE, "policy" => policy_name(job.policy))
            .increment(copied as u64);
        if copied == slice {
            self.queue.lock().put_back(Job { resume: slots.last().copied(), ..job });
        } else {
            self.finished(&job);
        }
        self.turned.notify_all();
        true
    }

    /// A whole fan-out in this thread, slice by slice.
    pub(super) fn scatter_all(&self, entry: Entry, slots: &mut Vec<Slot>) -> usize {
        let (slice, mut resume, mut delivered) = (self.settings.push_slice.max(1), None, 0);
        loop {
            slots.clear();
            let copied = self.authors.copy_slots(entry.author, resume, slice, slots);
            self.timelines.scatter(slots, entry);
            delivered += copied;
            if copied < slice {
                return delivered;
            }
            resume = slots.last().copied();
        }
    }

    fn finished(&self, job: &Job) {
        let lag_us = self.uptime_us().saturating_sub(job.queued_us);
        self.lags.lock()[usize::from(job.policy != Policy::Push)].record(lag_us);
        metrics::histogram!("fanfare_feed_fan_out_lag_seconds", "source" => P::SOURCE, "policy" => policy_name(job.policy))
            .record(lag_us as f64 / 1e6);
        self.queue.lock().finished();
    }

    pub(super) fn quiesce(&self) {
        let mut slots = Vec::new();
        loop {
            while self.turn(&mut slots) {}
            let mut queue = self.queue.lock();
            if queue.is_quiet() {
                return;
            }
            if queue.is_empty() {
                self.turned.wait(&mut queue);
            }
        }
    }

    pub(super) fn work_until(&self, stop: &AtomicBool) {
        let mut slots = Vec::new();
        while !stop.load(Ordering::SeqCst) {
            if self.turn(&mut slots) {
                continue;
            }
            let mut queue = self.queue.lock();
            if queue.is_empty() && !stop.load(Ordering::SeqCst) {
                self.work.wait(&mut queue);
            }
        }
    }

    pub(super) fn wake_worker(&self) {
        // With the lock held, so that a worker between its check and its wait is not missed.
        let _queue = self.queue.lock();
        self.work.notify_all();
    }
}
