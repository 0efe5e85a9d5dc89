//! The receivers of finished records.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::RequestRecord;

/// A receiver of finished records.
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU64, Ordering};
///
/// use relay_config::{Format, Loader};
/// use relay_server::{Relay, RequestRecord};
///
/// let output_tokens = Arc::new(AtomicU64::new(0));
/// let counter = Arc::clone(&output_tokens);
/// let config = Loader::new().with_text("embedded.yaml", Format::Yaml, "providers: [{ name: a, type: mock }]");
/// let relay = Relay::builder(config.load()?.config)
///     .on_finished(move |record: &Arc<RequestRecord>| {
///         counter.fetch_add(record.usage.output_tokens.unwrap_or(0), Ordering::Relaxed);
///     })
///     .build()?;
/// # let _ = relay;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait RecordSubscriber: Send + Sync + 'static {
    /// Takes in the record of a request that has ended.
    ///
    /// Called exactly once for each request, in the task that drops the response's body, or the response's future if the
    /// client left before the response's head. It must not block: keep a clone of the `Arc`, and send it to a task of your own.
    /// A panic is logged, and does not reach other subscribers.
    fn finished(&self, record: &Arc<RequestRecord>);
}

impl<F: Fn(&Arc<RequestRecord>) + Send + Sync + 'static> RecordSubscriber for F {
    fn finished(&self, record: &Arc<RequestRecord>) {
        self(record);
    }
}

/// The receivers of one layer's records, in the order in which they are called. Cloning shares them.
#[derive(Clone, Default)]
pub(crate) struct Subscribers(Arc<[Arc<dyn RecordSubscriber>]>);

impl Subscribers {
    pub(super) fn push(&mut self, subscriber: Arc<dyn RecordSubscriber>) {
        self.0 = self.0.iter().cloned().chain([subscriber]).collect();
    }

    pub(super) fn finished(&self, record: &Arc<RequestRecord>) {
        for subscriber in &*self.0 {
            // A record may be finished by a drop within a panic, where a second one would abort the process.
            let called = catch_unwind(AssertUnwindSafe(|| subscriber.finished(record)));
            if called.is_err() {
                tracing::error!(request_id = record.id.as_str(), "a subscriber of request records panicked");
            }
        }
    }
}

impl From<Vec<Arc<dyn RecordSubscriber>>> for Subscribers {
    fn from(subscribers: Vec<Arc<dyn RecordSubscriber>>) -> Self {
        Self(subscribers.into())
    }
}

impl fmt::Debug for Subscribers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Subscribers").field(&self.0.len()).finish()
    }
}
