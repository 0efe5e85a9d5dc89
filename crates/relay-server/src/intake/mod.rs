//! Turns a client's HTTP request into a [`RelayRequest`]: collects, decompresses and parses the body, within limits.

mod budget;
mod collect;
mod decode;
mod head;

use std::num::NonZeroUsize;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, HeaderMap};
use http::{Request, Response};
use relay_messages::{BodyError, MessagesBody};
use relay_providers::{Deadline, Endpoint, RelayRequest};
use relay_transport::in_time;
use tower::Service;

use crate::auth::Client;
use crate::error::Error;
use crate::listener_rules::ListenerRules;
use crate::offload::Offload;
use crate::record::RecordHandle;
use crate::request_body::ClientBody;
use crate::response::{ResponseBody, ResponseFuture};
pub(crate) use budget::BodyBudget;
use collect::collect;
use decode::{content_coding, decode};
use head::check_content_type;
pub(crate) use head::check_lists;

/// The number of bytes of a body that are scanned before other tasks of the thread get their turn: about 450,000 instructions.
const TURN: NonZeroUsize = NonZeroUsize::new(128 * 1024).expect("it is not zero");

/// Reads the requests of one endpoint, and serves them by an operation. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Intake<S>(Arc<Parts<S>>);

#[derive(Debug)]
struct Parts<S> {
    operation: S,
    endpoint: Endpoint,
    limits: IntakeLimits,
}

/// An operation on requests that have been read. Its future is a part of the one of [`Intake`], which is boxed once.
pub(crate) trait ReadService: Send + Sync + 'static {
    /// Serves `request`.
    fn serve(
        &self,
        request: ReadRequest,
    ) -> impl Future<Output = Result<Response<ResponseBody>, Error>> + Send;
}

/// A request that intake has read, and its record.
#[derive(Debug)]
pub(crate) struct ReadRequest {
    pub(crate) request: RelayRequest,
    /// `None` outside of the record layer.
    pub(crate) record: Option<RecordHandle>,
}

/// The limits on a request, and the budget that it shares with all others.
#[derive(Debug, Clone)]
pub(crate) struct IntakeLimits {
    /// `server.max_body_bytes`: bytes of the body, before and after decoding.
    pub(crate) body_bytes: usize,
    /// `server.timeout_ms`: the time from the request's head to the response's head.
    pub(crate) time: Option<Duration>,
    /// `server.max_buffered_bytes`.
    pub(crate) budget: BodyBudget,
}

impl<S> Intake<S> {
    pub(crate) fn new(operation: S, endpoint: Endpoint, limits: IntakeLimits) -> Self {
        Self(Arc::new(Parts { operation, endpoint, limits }))
    }
}

impl<S, B> Service<Request<B>> for Intake<S>
where
    S: ReadService,
    B: ClientBody,
{
    type Response = Response<ResponseBody>;
    type Error = Error;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let parts = Arc::clone(&self.0);
        // Written into its box: `Box::pin` would copy the whole future, of which only the arguments are in use.
        let place = Box::new_uninit();
        let future = Box::write(place, async move {
            let (request, offload) = read(request, parts.endpoint, &parts.limits).await?;
            offload.future(parts.operation.serve(request)).await
        });
        Box::into_pin(future)
    }
}

async fn read(
    request: Request<impl ClientBody>,
    endpoint: Endpoint,
    limits: &IntakeLimits,
) -> Result<(ReadRequest, Offload), Error> {
    let deadline = limits.time.map(Deadline::after);
    let (mut parts, body) = request.into_parts();
    check_lists(&parts.headers)?;
    check_content_type(&mut parts.headers)?;
    let body = read_body(&parts.headers, body, limits, deadline).await?;
    parts.headers.remove(CONTENT_ENCODING);
    let listener = parts.extensions.get::<ListenerRules>();
    let offload = Offload::of(body.len(), listener.and_then(|listener| listener.may_block));
    let body = scan(body).await?;
    let client = parts.extensions.remove::<Client>();
    let record = parts.extensions.remove::<RecordHandle>();
    let headers: HeaderMap = parts.headers;
    let request = RelayRequest::new(endpoint, parts.uri.query(), headers, body).with_deadline(deadline);
    let request = match &record {
        Some(record) => with_trace(request.with_id(record.id().shared()), record),
        None => request,
    };
    if let Some(record) = &record {
        record.set_request(&request);
    }
    if let Some(client) = &client {
        client.check_models(request.body())?;
    }
    let request = match client {
        Some(client) => request
            .with_keys_allowed(client.may_use_configured_keys())
            .with_client_credential(client.into_credential()),
        None => request,
    };
    Ok((ReadRequest { request, record }, offload))
}

/// Scans `body`. Other tasks get their turn while a large one is scanned.
async fn scan(body: Bytes) -> Result<MessagesBody, BodyError> {
    if body.len() <= 2 * TURN.get() {
        return MessagesBody::parse(body);
    }
    // Few bodies are large: the memory of a scan in turns is not part of every request.
    Box::pin(MessagesBody::parse_in_turns(body, TURN, tokio::task::yield_now)).await
}

/// Adds the trace of the record, for the headers of attempts.
fn with_trace(request: RelayRequest, record: &RecordHandle) -> RelayRequest {
    match record.trace() {
        Some(trace) => request.with_extension(trace),
        None => request,
    }
}

/// Collects and decodes `body`. Its bytes count against the budget until the last slice of them is dropped.
async fn read_body(
    headers: &HeaderMap,
    body: impl ClientBody,
    limits: &IntakeLimits,
    deadline: Option<Deadline>,
) -> Result<Bytes, Error> {
    let coding = content_coding(headers)?;
    let mut permit = limits.budget.permit();
    let collecting = collect(body, limits.body_bytes, &mut permit);
    let body = match deadline {
        None => collecting.await?,
        Some(deadline) => {
            let collected = in_time(|| deadline.remaining(), pin!(collecting)).await;
            collected.ok_or(Error::BodyTooSlow { limit: deadline.limit() })??
        }
    };
    let body = match coding {
        None => body,
        Some(coding) => decode(body, coding, limits.body_bytes, &mut permit).await?,
    };
    Ok(permit.attach(body))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use http_body_util::channel::Channel;
    use http_body_util::{BodyExt, Full};
    use tower::BoxError;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_slow_body_has_no_more_time_than_its_request() {
        let (mut sender, body) = Channel::<Bytes, BoxError>::new(1);
        let drip = async {
            while sender.send_data("x".into()).await.is_ok() {
                tokio::time::sleep(Duration::from_secs(20)).await;
            }
        };
        let limits = IntakeLimits {
            body_bytes: 1 << 20,
            time: Some(Duration::from_secs(600)),
            budget: BodyBudget::new(None),
        };
        let started = tokio::time::Instant::now();
        let result = tokio::select! {
            result = read(Request::new(body), Endpoint::Messages, &limits) => result,
            () = drip => panic!("the body is read without a time limit"),
        };
        assert!(matches!(result, Err(Error::BodyTooSlow { limit }) if limit == Duration::from_secs(600)));
        assert_eq!(started.elapsed(), Duration::from_secs(600));
    }

    /// Counts the turns of another task of the same thread while a body of `size` bytes is read.
    async fn turns_of_another_task(size: usize) -> usize {
        let body = format!(r#"{{"model":"m","system":"{}"}}"#, "x".repeat(size));
        let limits = IntakeLimits { body_bytes: 2 * size, time: None, budget: BodyBudget::new(None) };
        let request = Request::new(Full::new(Bytes::from(body)).map_err(BoxError::from));
        let turns = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&turns);
        let other = tokio::spawn(async move {
            loop {
                counted.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
            }
        });
        read(request, Endpoint::Messages, &limits).await.unwrap();
        other.abort();
        turns.load(Ordering::Relaxed)
    }

    #[tokio::test]
    async fn other_tasks_run_while_a_large_body_is_scanned() {
        const MANY: usize = 80;
        let turns = turns_of_another_task(MANY * TURN.get()).await;
        assert!((MANY..=MANY + MANY / 8 + 1).contains(&turns), "{turns}");
        assert_eq!(turns_of_another_task(TURN.get()).await, 0);
    }
}
