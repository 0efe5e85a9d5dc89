//! The access log: one event for each request, after it has ended.

use std::sync::Arc;

use relay_messages::cut;
use relay_routing::AttemptRecord;

use crate::record::{RecordSubscriber, RequestEnd, RequestRecord};

/// The paths that machines request again and again. Their requests are logged at level `debug`.
const PROBES: [&str; 5] = ["/health", "/healthz", "/readyz", "/", "/api/hello"];

/// Emits one event, at a level that tracing needs to know at compile time.
macro_rules! log_event {
    ($is_probe:expr, $($fields:tt)*) => {
        if $is_probe { tracing::debug!($($fields)*) } else { tracing::info!($($fields)*) }
    };
}

/// Logs each request by its record.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AccessLog;

impl RecordSubscriber for AccessLog {
    fn finished(&self, record: &Arc<RequestRecord>) {
        let last = record.attempts.last();
        log_event!(
            PROBES.contains(&&*record.path),
            request_id = record.id.as_str(),
            method = &*cut(record.method.as_str()),
            path = &*cut(&record.path),
            status = record.status.map(|status| status.as_u16()),
            model = record.model_requested.as_deref().map(cut).as_deref(),
            client = record.client.as_deref().map(cut).as_deref(),
            provider = last.map(|attempt| attempt.provider.as_str()),
            attempts = (record.strategy.is_some() || last.is_some()).then(|| describe(&record.attempts)),
            error = record.error.as_deref().map(cut).as_deref(),
            head_ms = record.head.map(|latency| latency.as_millis() as u64),
            content_ms = record.content_latency().map(|latency| latency.as_millis() as u64),
            total_ms = record.duration().as_millis() as u64,
            bytes = record.bytes_sent,
            input_tokens = record.usage.input_tokens,
            cache_read_tokens = record.usage.cache_read_input_tokens,
            cache_write_tokens = record.usage.cache_creation_input_tokens,
            output_tokens = record.usage.output_tokens,
            end = record.end.map(RequestEnd::as_str),
            "request"
        );
    }
}

/// Formats attempts as `zai/1f2e3d4c glm-5.3 529 overloaded 120ms, anthropic/… claude-opus-5-5 200 success 800ms`.
fn describe(attempts: &[AttemptRecord]) -> String {
    let attempts = attempts.iter().map(|attempt| {
        let status = attempt.status.map(|status| format!(" {status}")).unwrap_or_default();
        let AttemptRecord { provider, credential, result, latency, .. } = attempt;
        let model = match &*attempt.model {
            "" => String::new(),
            model => format!(" {}", cut(model)),
        };
        let error = attempt.error.as_ref().map(|error| format!(" ({})", cut(error))).unwrap_or_default();
        format!("{provider}/{credential}{model}{status} {result}{error} {}ms", latency.as_millis())
    });
    attempts.collect::<Vec<_>>().join(", ")
}
