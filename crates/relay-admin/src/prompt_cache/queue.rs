//! The queue between the data path and the thread that reads prompts.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use relay_messages::MessagesBody;
use relay_server::{RequestId, RequestRecord};

use super::session::SessionKey;

/// The maximum number of jobs that wait.
const JOBS: usize = 4096;
/// The maximum size of the bodies that wait, in bytes. It is that of the largest body with the default of `server.max_body_bytes`.
const BYTES: usize = 32 << 20;

/// Work that does not delay the request.
#[derive(Debug)]
pub(super) enum Job {
    /// The prompt of a request is to be read.
    Received { id: RequestId, key: SessionKey, body: MessagesBody },
    /// A request has ended.
    Finished(Arc<RequestRecord>),
}

impl Job {
    /// The size of the body that the job holds.
    fn bytes(&self) -> usize {
        match self {
            Self::Received { body, .. } => body.bytes().len(),
            Self::Finished(_) => 0,
        }
    }
}

/// A queue with a bound of jobs and of the bodies that they hold. A job without room is dropped, and its request is not diagnosed.
#[derive(Debug, Default)]
pub(super) struct Queue(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    jobs: Vec<Job>,
    bytes: usize,
    /// The number of requests whose prompts were dropped.
    dropped: u64,
    /// True if the thread has been woken since the last [`Queue::take`].
    is_woken: bool,
}

impl Queue {
    /// Adds a job, or drops it if there is no room. Returns `true` if the thread has to be woken.
    pub(super) fn push(&self, job: Job) -> bool {
        let size = job.bytes();
        let mut waiting = self.lock();
        if waiting.jobs.len() >= JOBS || waiting.bytes + size > BYTES {
            waiting.dropped += u64::from(matches!(job, Job::Received { .. }));
            return false;
        }
        waiting.bytes += size;
        waiting.jobs.push(job);
        !mem::replace(&mut waiting.is_woken, true)
    }

    /// Takes all jobs, in the order in which they were added. `jobs` is empty, and its allocation is used for the next ones.
    pub(super) fn take(&self, jobs: &mut Vec<Job>) {
        let mut waiting = self.lock();
        mem::swap(&mut waiting.jobs, jobs);
        (waiting.bytes, waiting.is_woken) = (0, false);
    }

    /// The number of requests whose prompts were dropped.
    pub(super) fn dropped(&self) -> u64 {
        self.lock().dropped
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(size: usize) -> Job {
        let text = format!(r#"{{"model":"m","system":"{}"}}"#, "x".repeat(size));
        let body = MessagesBody::parse(text.into()).unwrap();
        Job::Received { id: RequestId::random(), key: SessionKey { client: None, session: "s".into() }, body }
    }

    #[test]
    fn the_thread_is_woken_once_until_it_takes_the_jobs() {
        let (queue, mut jobs) = (Queue::default(), Vec::new());
        assert!(queue.push(received(1)));
        assert!(!queue.push(received(1)));
        queue.take(&mut jobs);
        assert_eq!(jobs.len(), 2);
        jobs.clear();
        assert!(queue.push(received(1)));
    }

    #[test]
    fn prompts_without_room_are_dropped_and_counted() {
        let (queue, mut jobs) = (Queue::default(), Vec::new());
        queue.push(received(BYTES / 2));
        queue.push(received(BYTES / 2));
        queue.push(received(1));
        assert_eq!(queue.dropped(), 1, "two halves and the members around them exceed the bound");
        queue.take(&mut jobs);
        assert_eq!(jobs.len(), 2);
        for _ in 0..JOBS + 1 {
            queue.push(received(0));
        }
        assert_eq!(queue.dropped(), 2);
    }
}
