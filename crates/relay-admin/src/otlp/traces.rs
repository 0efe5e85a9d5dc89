//! The subscriber that exports the spans of requests, and its task.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanExporter as _};
use relay_server::{RecordSubscriber, RequestRecord};
use relay_transport::{Proxies, TlsError, Transport, TransportSettings, TrustRoots};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};
use tower::BoxError;

use super::client::Client;
use super::settings::TraceSettings;
use super::spans::spans;

/// Exports the spans of the requests whose traces are recorded. Clones share the exporter.
#[derive(Debug, Clone)]
pub struct Traces(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    queue: mpsc::Sender<Arc<RequestRecord>>,
    dropped: Arc<AtomicU64>,
    stop: watch::Sender<bool>,
    /// `None` once a shutdown waits for it.
    task: Mutex<Option<JoinHandle<()>>>,
}

/// A reason for which no exporter can be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TracesError {
    /// The certificates of the collector cannot be used.
    #[error("the certificates for the collector of traces cannot be used")]
    Tls(#[from] TlsError),
    /// The exporter refuses its settings.
    #[error("the exporter of traces cannot be built")]
    Exporter(#[source] BoxError),
}

impl Traces {
    /// Starts the task that exports, on the current runtime. No connection is opened before the first spans.
    ///
    /// # Errors
    /// [`TracesError`] for settings that cannot be used.
    ///
    /// # Panics
    /// If there is no current tokio runtime.
    pub fn start(settings: TraceSettings, proxies: Proxies) -> Result<Self, TracesError> {
        let transport = TransportSettings::default().with_ca_file(settings.ca_file.clone());
        let transport = Transport::new(&transport, &TrustRoots::on_demand(), proxies)?;
        let mut exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Client::new(transport, settings.timeout))
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(&settings.endpoint)
            .with_timeout(settings.timeout)
            .with_headers(settings.headers.clone())
            .build()
            .map_err(|error| TracesError::Exporter(error.into()))?;
        let attributes =
            settings.resource.iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone()));
        exporter.set_resource(&Resource::builder_empty().with_attributes(attributes).build());

        let (queue, records) = mpsc::channel(settings.queue);
        let (stop, stopped) = watch::channel(false);
        let dropped = Arc::new(AtomicU64::new(0));
        let scope = InstrumentationScope::builder("cc-relay").with_version(env!("CARGO_PKG_VERSION")).build();
        let export = Export {
            exporter,
            scope,
            records,
            stopped,
            delay: settings.delay,
            batch: settings.batch,
            dropped: Arc::clone(&dropped),
            is_failing: false,
        };
        let task = Mutex::new(Some(tokio::spawn(export.run())));
        Ok(Self(Arc::new(Shared { queue, dropped, stop, task })))
    }

    /// The number of requests whose spans were dropped: the queue was full, or the collector refused them.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.0.dropped.load(Ordering::Relaxed)
    }

    /// Exports what is in the queue, and ends the task. It is cut after `limit`. Later requests are not exported.
    pub async fn shutdown(&self, limit: Duration) {
        self.0.stop.send_replace(true);
        let task = self.0.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut task) = task else { return };
        if timeout(limit, &mut task).await.is_err() {
            task.abort();
            tracing::warn!("the last traces were not exported within {limit:?}");
        }
    }
}

impl RecordSubscriber for Traces {
    fn finished(&self, record: &Arc<RequestRecord>) {
        let is_sampled = record.trace.as_ref().is_some_and(|trace| trace.is_sampled());
        if is_sampled && self.0.queue.try_send(Arc::clone(record)).is_err() {
            self.0.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The task that exports. It runs on the runtime, since the HTTP client needs its reactor.
struct Export {
    exporter: SpanExporter,
    scope: InstrumentationScope,
    records: mpsc::Receiver<Arc<RequestRecord>>,
    stopped: watch::Receiver<bool>,
    delay: Duration,
    batch: usize,
    dropped: Arc<AtomicU64>,
    /// True after a failure, so that a collector that is down is logged once.
    is_failing: bool,
}

impl Export {
    /// Exports a batch once it is full, or after the delay, until the shutdown has emptied the queue.
    async fn run(mut self) {
        let mut records = Vec::new();
        loop {
            let deadline = Instant::now() + self.delay;
            while records.len() < self.batch {
                let received = tokio::select! {
                    biased;
                    _ = self.stopped.wait_for(|stopped| *stopped), if !self.records.is_closed() => {
                        self.records.close();
                        continue;
                    }
                    received = timeout_at(deadline, self.records.recv()) => received,
                };
                match received {
                    Ok(Some(record)) => records.push(record),
                    Ok(None) | Err(_) => break,
                }
            }
            let is_last = self.records.is_closed() && self.records.is_empty();
            if !records.is_empty() {
                self.export(std::mem::take(&mut records)).await;
            }
            if is_last {
                return;
            }
        }
    }

    async fn export(&mut self, records: Vec<Arc<RequestRecord>>) {
        let count = records.len();
        let spans: Vec<SpanData> = records
            .iter()
            .filter_map(|record| Some(spans(record, record.trace.as_ref()?, &self.scope)))
            .flatten()
            .collect();
        // Records hold no more memory while the collector answers.
        drop(records);
        match self.exporter.export(spans).await {
            Ok(()) if self.is_failing => {
                self.is_failing = false;
                tracing::info!("traces are exported again");
            }
            Ok(()) => {}
            Err(error) => {
                self.dropped.fetch_add(count as u64, Ordering::Relaxed);
                if !self.is_failing {
                    self.is_failing = true;
                    tracing::warn!(%error, "traces cannot be exported; those of this time are lost");
                }
            }
        }
    }
}
