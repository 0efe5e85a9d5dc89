//! The receivers of records.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use relay_messages::trace_context::Sampling;
use relay_providers::RelayRequest;
use relay_routing::Pricing;

use super::handle::Observers;
use super::{RecordHandle, RequestRecord};

/// A receiver of records. Each method is called in the task of the request and must not block. A panic is logged, and does not
/// reach other subscribers.
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
    /// Takes in a request whose head has been read: the start of its record. Called exactly once for each request, before every
    /// other method. By default, nothing happens.
    fn started(&self, record: &RecordHandle) {
        let _ = record;
    }

    /// Takes in a request of the Messages API whose body has been read, before it is routed. Not called for requests that are
    /// refused before, and for those that are forwarded without reading their bodies. By default, nothing happens.
    ///
    /// The body belongs to the client's prompt. A subscriber that keeps it, or a part of it, has to bound its memory.
    fn received(&self, record: &RecordHandle, request: &RelayRequest) {
        let _ = (record, request);
    }

    /// Takes in the record of a request that has ended.
    ///
    /// Called exactly once for each request, when the response's body is dropped, or the response's future if the client left
    /// before the response's head. For work that takes long, keep a clone of the `Arc`, and send it to a task of your own.
    fn finished(&self, record: &Arc<RequestRecord>);
}

impl<F: Fn(&Arc<RequestRecord>) + Send + Sync + 'static> RecordSubscriber for F {
    fn finished(&self, record: &Arc<RequestRecord>) {
        self(record);
    }
}

/// The receivers of one layer's records, in the order in which they are called, the prices for the records, and the rule for
/// traces. Cloning shares them.
#[derive(Clone, Default)]
pub(crate) struct Subscribers(Arc<Parts>);

#[derive(Clone, Default)]
struct Parts {
    subscribers: Vec<Arc<dyn RecordSubscriber>>,
    pricing: Option<Arc<dyn Pricing>>,
    sampling: Option<Sampling>,
}

impl Subscribers {
    pub(super) fn push(&mut self, subscriber: Arc<dyn RecordSubscriber>) {
        Arc::make_mut(&mut self.0).subscribers.push(subscriber);
    }

    pub(super) fn set_pricing(&mut self, pricing: Option<Arc<dyn Pricing>>) {
        Arc::make_mut(&mut self.0).pricing = pricing;
    }

    pub(super) fn set_sampling(&mut self, sampling: Option<Sampling>) {
        Arc::make_mut(&mut self.0).sampling = sampling;
    }

    pub(super) fn observers(&self) -> Arc<dyn Observers> {
        Arc::clone(&self.0) as Arc<dyn Observers>
    }

    pub(super) fn started(&self, record: &RecordHandle) {
        self.0.each(record.id().as_str(), |subscriber| subscriber.started(record));
    }
}

impl Observers for Parts {
    fn pricing(&self) -> Option<&dyn Pricing> {
        self.pricing.as_deref()
    }

    fn sampling(&self) -> Option<Sampling> {
        self.sampling
    }

    fn received(&self, record: &RecordHandle, request: &RelayRequest) {
        self.each(record.id().as_str(), |subscriber| subscriber.received(record, request));
    }

    fn finished(&self, record: &Arc<RequestRecord>) {
        self.each(record.id.as_str(), |subscriber| subscriber.finished(record));
    }
}

impl Parts {
    fn each(&self, request_id: &str, call: impl Fn(&dyn RecordSubscriber)) {
        for subscriber in &self.subscribers {
            // A record may be finished by a drop within a panic, where a second one would abort the process.
            let called = catch_unwind(AssertUnwindSafe(|| call(&**subscriber)));
            if called.is_err() {
                tracing::error!(request_id, "a subscriber of request records panicked");
            }
        }
    }
}

impl From<Vec<Arc<dyn RecordSubscriber>>> for Subscribers {
    fn from(subscribers: Vec<Arc<dyn RecordSubscriber>>) -> Self {
        Self(Arc::new(Parts { subscribers, pricing: None, sampling: None }))
    }
}

impl fmt::Debug for Subscribers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Subscribers").field(&self.subscribers.len()).finish()
    }
}
