//! The fan-out queue: which job's slice runs next. Pure; the service wraps it in a lock, the worker turns it.
//!
//! Ordinary jobs go first; late jobs, which belong to big authors, get a slice at least every [`LATE_EVERY`] turns and
//! take turns among themselves. Both queues are bounded: what does not fit goes back to the caller, who lets readers
//! pull that post instead, so that nothing blocks and nothing is lost.

use std::collections::VecDeque;

use super::interner::UserIndex;
use crate::base::slot_list::Slot;
use crate::log::events::Policy;

/// A late slice runs at least once every so many ordinary turns, so that late jobs cannot starve.
const LATE_EVERY: u32 = 8;

/// A post on its way into followers' timelines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Job {
    /// Author of the post.
    pub author: UserIndex,
    /// The post.
    pub id: u64,
    /// `Push` for ordinary jobs, `PushLate` for late ones.
    pub policy: Policy,
    /// Moment at which it was queued, in microseconds since the feed started.
    pub queued_us: u64,
    /// The last slot that was served, `None` at the start.
    pub resume: Option<Slot>,
}

/// Two bounded queues with fair turns.
#[derive(Debug)]
pub struct JobQueue {
    ordinary: VecDeque<Job>,
    late: VecDeque<Job>,
    ordinary_max: usize,
    late_max: usize,
    ordinary_in_a_row: u32,
    running: usize,
}

impl JobQueue {
    /// Empty queues with their bounds.
    #[must_use]
    pub fn new(ordinary_max: usize, late_max: usize) -> Self {
        let (ordinary, late) = (VecDeque::new(), VecDeque::new());
        Self { ordinary, late, ordinary_max, late_max, ordinary_in_a_row: 0, running: 0 }
    }

    /// Queues a job; false when its queue is full.
    #[must_use]
    pub fn push(&mut self, job: Job) -> bool {
        let (queue, max) = match job.policy {
            Policy::Push => (&mut self.ordinary, self.ordinary_max),
            Policy::PushLate | Policy::Pull => (&mut self.late, self.late_max),
        };
        if queue.len() >= max {
            return false;
        }
        queue.push_back(job);
        true
    }

    /// The job whose slice runs now. Answer it with [`finished`](Self::finished) or [`put_back`](Self::put_back).
    pub fn take(&mut self) -> Option<Job> {
        let late_is_due = self.ordinary.is_empty() || self.ordinary_in_a_row >= LATE_EVERY;
        let job = if late_is_due && !self.late.is_empty() {
            self.ordinary_in_a_row = 0;
            self.late.pop_front()
        } else {
            self.ordinary_in_a_row = self.ordinary_in_a_row.saturating_add(1);
            self.ordinary.pop_front()
        };
        self.running += usize::from(job.is_some());
        job
    }

    /// The taken job is done.
    pub fn finished(&mut self) {
        self.running = self.running.saturating_sub(1);
    }

    /// The taken job has more slices: it queues behind its equals. May exceed the bound by the number of turners.
    pub fn put_back(&mut self, job: Job) {
        self.finished();
        match job.policy {
            Policy::Push => self.ordinary.push_back(job),
            Policy::PushLate | Policy::Pull => self.late.push_back(job),
        }
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ordinary.is_empty() && self.late.is_empty()
    }

    /// Whether nothing waits and nothing runs.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.is_empty() && self.running == 0
    }

    /// Ordinary and late jobs that wait.
    #[must_use]
    pub fn lengths(&self) -> (usize, usize) {
        (self.ordinary.len(), self.late.len())
    }

    /// Moment at which the oldest job at the head of a queue was queued, in microseconds since the feed started.
    #[must_use]
    pub fn oldest_us(&self) -> Option<u64> {
        self.ordinary.front().into_iter().chain(self.late.front()).map(|job| job.queued_us).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(id: u64, policy: Policy) -> Job {
        Job { author: 0, id, policy, queued_us: id, resume: None }
    }

    #[test]
    fn late_jobs_take_turns_and_wait_for_at_most_so_many_ordinary_ones() {
        let mut queue = JobQueue::new(100, 100);
        for id in 0..20 {
            assert!(queue.push(job(id, Policy::Push)));
        }
        assert!(queue.push(job(100, Policy::PushLate)) && queue.push(job(200, Policy::PushLate)));
        let mut order = Vec::new();
        while order.len() < 26 {
            let Some(taken) = queue.take() else { break };
            order.push(taken.id);
            if taken.policy == Policy::PushLate {
                queue.put_back(taken);
            } else {
                queue.finished();
            }
        }
        let expected: Vec<u64> =
            (0..8).chain([100]).chain(8..16).chain([200]).chain(16..20).chain([100, 200, 100, 200]).collect();
        assert_eq!(order, expected);
    }

    #[test]
    fn a_sliced_ordinary_job_goes_behind_the_others() {
        let mut queue = JobQueue::new(2, 2);
        assert!(queue.push(job(1, Policy::Push)) && queue.push(job(2, Policy::Push)));
        let Some(first) = queue.take() else { panic!("two jobs wait") };
        queue.put_back(Job { resume: Some(7), ..first });
        assert_eq!(queue.take().map(|job| (job.id, job.resume)), Some((2, None)));
        assert_eq!(queue.take().map(|job| (job.id, job.resume)), Some((1, Some(7))));
        assert!(queue.is_empty() && !queue.is_quiet());
        queue.finished();
        queue.finished();
        assert!(queue.is_quiet());
    }

    #[test]
    fn full_queues_refuse() {
        let mut queue = JobQueue::new(1, 1);
        assert!(queue.push(job(1, Policy::Push)));
        assert!(!queue.push(job(2, Policy::Push)));
        assert!(queue.push(job(3, Policy::PushLate)));
        assert!(!queue.push(job(4, Policy::PushLate)));
        assert_eq!((queue.lengths(), queue.oldest_us()), ((1, 1), Some(1)));
    }
}
