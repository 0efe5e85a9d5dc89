//! The records of requests that have ended, until the parts that show them take them in.
//!
//! ```text
//! finished ─▶ queue ──▶ thread, or a reader before it reads ──▶ each part, in their order
//!             bounded   after 20 ms, and a rest after 1 s without records
//! ```
//! A request that ends adds its record to the queue, and does not wait for the parts. A reader that [flushes](Backlog::flush) the
//! backlog before it reads misses no request. If the queue is full, the request itself empties it: no record is lost.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::{fmt, mem};

use relay_server::{RecordSubscriber, RequestRecord};

use crate::worker::Worker;

/// The maximum number of records that wait. To take them in needs about a millisecond.
const RECORDS: usize = 1024;

/// The records that wait for the parts of [`ObserverParts`](crate::observers::ObserverParts). Clones share them. The last one that
/// is dropped flushes.
#[derive(Clone, Default)]
pub struct Backlog(Arc<Shared>);

#[derive(Default)]
struct Shared {
    parts: OnceLock<Parts>,
    waiting: Mutex<Waiting>,
    /// The records of the last round, all of which are taken in. Their allocation is used again. Locked while records are taken in,
    /// so that their order is kept.
    taken: Mutex<Vec<Arc<RequestRecord>>>,
    worker: Worker,
}

struct Parts {
    subscribers: Vec<Arc<dyn RecordSubscriber>>,
    /// The work that is left for a time without requests.
    rest: Box<dyn Fn() + Send + Sync>,
}

#[derive(Default)]
struct Waiting {
    records: Vec<Arc<RequestRecord>>,
    /// True if the thread has been woken since the records were taken.
    is_woken: bool,
}

/// The step that follows an addition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// The thread is awake.
    Nothing,
    /// The thread has to be woken.
    Wake,
    /// The queue is full.
    Flush,
}

impl Backlog {
    /// Creates an empty backlog. Its parts are set by
    /// [`ObserverParts::attach`](crate::observers::ObserverParts::attach).
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Hands all records that wait to the parts. Requests that have ended before the call are then part of what the parts show. It
    /// takes a millisecond at most.
    pub fn flush(&self) {
        self.0.work();
    }

    /// Sets the parts, and the work that is left for a time without requests, unless they are set already.
    pub(crate) fn set_parts(
        &self,
        subscribers: Vec<Arc<dyn RecordSubscriber>>,
        rest: impl Fn() + Send + Sync + 'static,
    ) {
        // A builder that is attached later has clones of the same parts.
        let _ = self.0.parts.set(Parts { subscribers, rest: Box::new(rest) });
    }
}

impl Shared {
    fn parts(&self) -> &[Arc<dyn RecordSubscriber>] {
        self.parts.get().map_or(&[], |parts| &parts.subscribers)
    }

    fn rest(&self) {
        if let Some(parts) = self.parts.get() {
            // The records of the largest round so far.
            lock(&self.taken).shrink_to_fit();
            (parts.rest)();
        }
    }

    fn push(&self, record: &Arc<RequestRecord>) -> Next {
        let mut waiting = lock(&self.waiting);
        waiting.records.push(Arc::clone(record));
        match (waiting.records.len() < RECORDS, mem::replace(&mut waiting.is_woken, true)) {
            (false, _) => Next::Flush,
            (true, true) => Next::Nothing,
            (true, false) => Next::Wake,
        }
    }

    /// Hands all records that wait to each part.
    fn work(&self) {
        let mut records = lock(&self.taken);
        let mut waiting = lock(&self.waiting);
        mem::swap(&mut waiting.records, &mut *records);
        waiting.is_woken = false;
        drop(waiting);
        for part in self.parts() {
            records.iter().for_each(|record| finish(&**part, record));
        }
        records.clear();
    }
}

/// Hands a record to a part, whose panic does not reach the other parts and records.
fn finish(part: &dyn RecordSubscriber, record: &Arc<RequestRecord>) {
    if catch_unwind(AssertUnwindSafe(|| part.finished(record))).is_err() {
        tracing::error!(request_id = record.id.as_str(), "a part that observes requests panicked");
    }
}

impl RecordSubscriber for Backlog {
    fn finished(&self, record: &Arc<RequestRecord>) {
        if self.0.parts().is_empty() {
            return;
        }
        match self.0.push(record) {
            Next::Nothing => {}
            Next::Wake => self.0.worker.wake("observers", &self.0, Shared::work, Shared::rest),
            Next::Flush => self.flush(),
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.work();
    }
}

impl fmt::Debug for Backlog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backlog")
            .field("waiting", &lock(&self.0.waiting).records.len())
            .finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::time::Duration;

    use bytes::Bytes;
    use http::{Request, Response};
    use http_body_util::Full;
    use relay_server::record::RecordLayer;
    use tower::{ServiceBuilder, ServiceExt, service_fn};

    use super::*;

    /// Returns the record of a request that has ended.
    pub(crate) async fn record() -> Arc<RequestRecord> {
        record_of("/").await
    }

    /// Returns the record of a request for `path` that has ended.
    pub(crate) async fn record_of(path: &str) -> Arc<RequestRecord> {
        let kept = Arc::new(Mutex::new(None));
        let records = Arc::clone(&kept);
        let keep = move |record: &Arc<RequestRecord>| *lock(&records) = Some(Arc::clone(record));
        let answer = |_| std::future::ready(Ok::<_, std::io::Error>(Response::new(Full::<Bytes>::default())));
        let service = ServiceBuilder::new().layer(RecordLayer::new().with_subscriber(keep));
        let request = Request::get(path).body(Full::<Bytes>::default()).unwrap();
        drop(service.service(service_fn(answer)).oneshot(request).await.unwrap());
        lock(&kept).take().unwrap()
    }

    /// A backlog whose thread never works.
    fn without_thread() -> Backlog {
        let mut shared = Shared::default();
        shared.worker = Worker::idle();
        Backlog(Arc::new(shared))
    }

    /// A part that sends the name `part` for each record.
    fn part(names: &Sender<&'static str>, name: &'static str) -> Arc<dyn RecordSubscriber> {
        let names = names.clone();
        Arc::new(move |_: &Arc<RequestRecord>| names.send(name).unwrap())
    }

    fn received(names: &Receiver<&'static str>) -> Vec<&'static str> {
        names.try_iter().collect()
    }

    #[tokio::test]
    async fn records_reach_the_parts_in_order_by_a_flush_and_by_the_thread() {
        let (record, backlog, (names, parts)) = (record().await, Backlog::new(), channel());
        backlog.set_parts(vec![part(&names, "a"), part(&names, "b")], || {});
        backlog.finished(&record);
        backlog.flush();
        assert_eq!(received(&parts), ["a", "b"]);
        backlog.finished(&record);
        let limit = Duration::from_secs(10);
        assert_eq!((parts.recv_timeout(limit), parts.recv_timeout(limit)), (Ok("a"), Ok("b")));
        while Arc::strong_count(&backlog.0) > 1 {
            std::thread::yield_now();
        }
        backlog.finished(&record);
        drop(backlog);
        assert_eq!(received(&parts), ["a", "b"], "the last handle flushes");
    }

    #[tokio::test]
    async fn a_full_queue_is_emptied_by_the_request_that_fills_it() {
        let (record, backlog) = (record().await, without_thread());
        let count = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&count);
        backlog.set_parts(
            vec![Arc::new(move |_: &Arc<RequestRecord>| {
                counted.fetch_add(1, Ordering::Relaxed);
            })],
            || {},
        );
        for _ in 0..RECORDS - 1 {
            backlog.finished(&record);
        }
        assert_eq!(count.load(Ordering::Relaxed), 0);
        backlog.finished(&record);
        assert_eq!(count.load(Ordering::Relaxed), RECORDS);
    }

    #[tokio::test]
    async fn a_panic_of_a_part_reaches_neither_other_parts_nor_other_records() {
        let (record, backlog, (names, parts)) = (record().await, without_thread(), channel());
        let panics = |_: &Arc<RequestRecord>| panic!("a part panics, as this test wants");
        backlog.set_parts(vec![Arc::new(panics), part(&names, "b")], || {});
        backlog.finished(&record);
        backlog.finished(&record);
        backlog.flush();
        assert_eq!(received(&parts), ["b", "b"]);
    }
}
