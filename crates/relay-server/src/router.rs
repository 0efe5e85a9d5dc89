//! Routes paths to operations.

mod future;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use http::{Method, Request, Response, StatusCode};
use relay_config::ClientLimits;
use relay_routing::Planner;
use serde_json::json;
use tower::{BoxError, Layer, Service};

use self::future::RouterFuture;
use crate::auth::{AuthLayer, ConfiguredKeys};
use crate::catalog::{Catalog, MODEL_PATH};
use crate::concurrency::{ConcurrencyLayer, PermitBody};
use crate::debug_log::DebugLog;
use crate::error::Error;
use crate::forward::Forwarder;
use crate::intake::Intake;
use crate::layers::Layers;
use crate::limits::Limits;
use crate::messages::Messages;
use crate::operation::Operation;
use crate::path::canonical;
use crate::rate_limit::{LimitedBody, RateLimitLayer};
use crate::request_body::ClientBody;
use crate::response::{ResponseBody, json};
use crate::spending::SpendingLayer;

const MESSAGES: &str = "/v1/messages";
const COUNT_TOKENS: &str = "/v1/messages/count_tokens";
const MODELS: &str = "/v1/models";
const PROVIDERS: &str = "/v1/providers";

/// The methods that any path may take. `CONNECT` and `TRACE` could make an upstream open a tunnel or return the relay's key,
/// `OPTIONS` is answered by the CORS rules alone, and Anthropic's API has no other methods.
const METHODS: &[&str] = &["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];

/// An operation for admitted clients, within the limit on requests in flight.
type Relayed<S> = <ConcurrencyLayer as Layer<Admitted<Budgeted<Limited<S>>>>>::Service;
/// An operation for admitted clients.
type Admitted<S> = <AuthLayer<ConfiguredKeys> as Layer<S>>::Service;
/// An operation within the budget of its client.
type Budgeted<S> = <SpendingLayer as Layer<S>>::Service;
/// An operation within the limits of its client.
type Limited<S> = <RateLimitLayer as Layer<S>>::Service;
/// An operation on requests that are read and routed.
type ReadOperation = Relayed<Operation<Intake<DebugLog<Messages>>>>;
/// The operation on requests that are forwarded unread.
type ApiOperation = Relayed<Operation<Forwarder>>;
/// An operation that answers from lists.
type Lists = Admitted<Operation<Catalog>>;
/// The future of an operation.
type FutureOf<S, B> = <S as Service<Request<B>>>::Future;
/// The body of every operation's response.
type RoutedBody = PermitBody<LimitedBody<ResponseBody>>;

/// The readiness of the relay for new requests, as `/readyz` reports it.
#[derive(Debug)]
pub(crate) struct Readiness {
    draining: AtomicBool,
    planner: Arc<Planner>,
}

impl Readiness {
    pub(crate) fn new(planner: Arc<Planner>) -> Self {
        Self { draining: AtomicBool::new(false), planner }
    }

    pub(crate) fn planner(&self) -> &Arc<Planner> {
        &self.planner
    }

    pub(crate) fn start_draining(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Returns `true` if `/readyz` answers 200.
    pub(crate) fn is_ready(&self) -> bool {
        !self.is_draining() && self.planner.has_usable()
    }

    fn answer(&self) -> Response<ResponseBody> {
        match (self.is_draining(), self.planner.has_usable()) {
            (false, true) => json(StatusCode::OK, &json!({ "status": "ready" })),
            (true, _) => json(StatusCode::SERVICE_UNAVAILABLE, &json!({ "status": "draining" })),
            (false, false) => {
                json(StatusCode::SERVICE_UNAVAILABLE, &json!({ "status": "no usable provider" }))
            }
        }
    }
}

/// The operations of the relay. Clones share them: a request clones the one that it needs.
#[derive(Debug, Clone)]
pub(crate) struct Router(Arc<Routes>);

#[derive(Debug)]
struct Routes {
    messages: ReadOperation,
    count_tokens: ReadOperation,
    api: ApiOperation,
    /// True if a provider serves the rest of Anthropic's API.
    has_api: bool,
    models: Lists,
    providers: Lists,
    readiness: Arc<Readiness>,
}

/// The layers that depend on the client.
pub(crate) struct ClientLayers<'a> {
    pub(crate) auth: AuthLayer<ConfiguredKeys>,
    pub(crate) spending: SpendingLayer,
    pub(crate) limits: &'a Limits,
}

/// The operations, each without the layers around it.
#[derive(Debug)]
pub(crate) struct Operations {
    pub(crate) messages: Intake<DebugLog<Messages>>,
    pub(crate) count_tokens: Intake<DebugLog<Messages>>,
    pub(crate) api: Forwarder,
    pub(crate) catalog: Catalog,
}

impl Router {
    pub(crate) fn new(
        operations: Operations,
        clients: &ClientLayers<'_>,
        layers: &Layers,
        readiness: Arc<Readiness>,
    ) -> Self {
        // Anthropic counts the requests of `count_tokens` apart, and Claude Code sends 25 of them at once.
        let unlimited = RateLimitLayer::new(ClientLimits::default());
        // The bodies of other routes are not read, and their length says nothing about tokens.
        let requests_only = clients.limits.clients.clone().without_tokens();
        let (concurrency, limits) = (&clients.limits.concurrency, &clients.limits.clients);
        let ClientLayers { auth, spending, .. } = clients;
        // A count of tokens costs nothing.
        let free = SpendingLayer::unlimited();
        Self(Arc::new(Routes {
            messages: concurrency
                .layer(auth.layer(spending.layer(limits.layer(Operation::new(operations.messages, layers))))),
            count_tokens: concurrency.layer(
                auth.layer(free.layer(unlimited.layer(Operation::new(operations.count_tokens, layers)))),
            ),
            has_api: !operations.api.is_empty(),
            api: concurrency.layer(
                auth.layer(spending.layer(requests_only.layer(Operation::new(operations.api, layers)))),
            ),
            models: auth.layer(Operation::new(operations.catalog.clone(), layers)),
            providers: auth.layer(Operation::new(operations.catalog.providers(), layers)),
            readiness,
        }))
    }

    /// Answers a request that needs no operation.
    fn answer(&self, route: OwnRoute) -> Response<ResponseBody> {
        match route {
            OwnRoute::Health => {
                json(StatusCode::OK, &json!({ "status": "ok", "version": env!("CARGO_PKG_VERSION") }))
            }
            OwnRoute::Ready => self.0.readiness.answer(),
            OwnRoute::Root => json(StatusCode::OK, &json!({ "service": "cc-relay" })),
            OwnRoute::Hello => Response::new(ResponseBody::empty()),
        }
    }
}

impl<B: ClientBody> Service<Request<B>> for Router {
    type Response = Response<RoutedBody>;
    type Error = BoxError;
    type Future = RouterFuture<FutureOf<ReadOperation, B>, FutureOf<ApiOperation, B>, FutureOf<Lists, B>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    /// Calls the operation without polling it: each of them is ready at all times.
    fn call(&mut self, request: Request<B>) -> Self::Future {
        let Self(routes) = self;
        let route = match Route::of(request.method(), request.uri().path()) {
            Ok(route) => route,
            Err(error) => return RouterFuture::own(Err(error.into())),
        };
        match route {
            Route::Messages => RouterFuture::read(routes.messages.clone().call(request)),
            Route::CountTokens => RouterFuture::read(routes.count_tokens.clone().call(request)),
            Route::Api => RouterFuture::api(routes.api.clone().call(request)),
            // Anthropic's own entry has more facts than the catalog's.
            Route::Model if routes.has_api => RouterFuture::api(routes.api.clone().call(request)),
            Route::Model | Route::Models => RouterFuture::list(routes.models.clone().call(request)),
            Route::Providers => RouterFuture::list(routes.providers.clone().call(request)),
            Route::Own(route) => RouterFuture::own(Ok(self.answer(route))),
        }
    }
}

/// An operation, as a path selects it.
#[derive(Debug, PartialEq, Eq)]
enum Route {
    Messages,
    CountTokens,
    /// Every other operation of Anthropic's API.
    Api,
    Models,
    /// One model, by its id.
    Model,
    Providers,
    Own(OwnRoute),
}

/// A request that the relay answers at once.
#[derive(Debug, PartialEq, Eq)]
enum OwnRoute {
    Health,
    Ready,
    Root,
    /// The probe that Claude Code sends before its first message.
    Hello,
}

impl Route {
    fn of(method: &Method, path: &str) -> Result<Self, Error> {
        if !METHODS.contains(&method.as_str()) {
            let (method, path) = (method.clone(), path.to_owned());
            return Err(Error::MethodNotAllowed { method, path, allowed: METHODS });
        }
        const GET: &[&str] = &["GET", "HEAD"];
        const POST: &[&str] = &["POST"];
        let (route, allowed) = match path {
            MESSAGES => (Self::Messages, POST),
            COUNT_TOKENS => (Self::CountTokens, POST),
            MODELS => (Self::Models, GET),
            PROVIDERS => (Self::Providers, GET),
            "/health" | "/healthz" => (Self::Own(OwnRoute::Health), GET),
            "/readyz" => (Self::Own(OwnRoute::Ready), GET),
            "/" => (Self::Own(OwnRoute::Root), GET),
            "/api/hello" => (Self::Own(OwnRoute::Hello), GET),
            _ if is_model(method, path) => (Self::Model, GET),
            _ if is_api(path) => return Ok(Self::Api),
            _ => return Err(Error::NotFound { path: path.to_owned(), hint: hint(path) }),
        };
        if allowed.contains(&method.as_str()) {
            return Ok(route);
        }
        Err(Error::MethodNotAllowed { method: method.clone(), path: path.to_owned(), allowed })
    }
}

/// Returns the route of `path` for traces: one of a few names, and no text of the client.
pub(crate) fn route_name(path: &str) -> &'static str {
    const OWN: [&str; 9] =
        [MESSAGES, COUNT_TOKENS, MODELS, PROVIDERS, "/health", "/healthz", "/readyz", "/", "/api/hello"];
    let own = OWN.into_iter().find(|own| *own == path);
    own.unwrap_or_else(|| match path.strip_prefix(MODEL_PATH) {
        Some(id) if !id.contains('/') => "/v1/models/{id}",
        _ if path.starts_with("/v1/") => "/v1/{*}",
        _ => "other",
    })
}

/// Returns `true` for a request for one model.
fn is_model(method: &Method, path: &str) -> bool {
    let id = path.strip_prefix(MODEL_PATH).filter(|id| !id.is_empty() && !id.contains('/'));
    id.is_some() && is_api(path) && matches!(*method, Method::GET | Method::HEAD)
}

/// Returns `true` if `path` is below `/v1`, and no server could read it as a path outside of it or as one of the operations
/// that the relay serves itself: these have their own limits and their own choice of a provider.
fn is_api(path: &str) -> bool {
    let is_below = path.strip_prefix("/v1/").is_some_and(|rest| !rest.is_empty() && !rest.starts_with("v1/"));
    let is_other = |path: String| {
        path.starts_with("/v1/") && ![MESSAGES, COUNT_TOKENS, MODELS, PROVIDERS].contains(&&*path)
    };
    is_below && canonical(path).is_some_and(is_other)
}

/// Returns a hint at the usual reason for an unknown path, or nothing.
fn hint(path: &str) -> &'static str {
    match canonical(path) {
        Some(path) if path.starts_with("/v1/v1/") => {
            ". The base URL that the client is given must not end in /v1"
        }
        Some(canonical) if canonical != path && canonical.starts_with("/v1/") => {
            ". Write the path without percent-encoding, `;`, `\\`, empty segments and a slash at the end"
        }
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_select_operations() {
        #[track_caller]
        fn check(method: Method, path: &str, expected: Result<Route, StatusCode>) {
            assert_eq!(Route::of(&method, path).map_err(|error| error.status()), expected, "{method} {path}");
        }
        check(Method::POST, "/v1/messages", Ok(Route::Messages));
        check(Method::GET, "/v1/messages", Err(StatusCode::METHOD_NOT_ALLOWED));
        check(Method::POST, "/v1/messages/count_tokens", Ok(Route::CountTokens));
        check(Method::POST, "/v1/messages/batches", Ok(Route::Api));
        check(Method::DELETE, "/v1/files/file_1", Ok(Route::Api));
        check(Method::GET, "/v1/models/claude-opus-5-5", Ok(Route::Model));
        check(Method::POST, "/v1/models/claude-opus-5-5", Ok(Route::Api));
        check(Method::GET, "/v1/models/a/b", Ok(Route::Api));
        check(Method::GET, "/v1/models/anthropic%2Fclaude", Ok(Route::Model));
        check(Method::GET, "/v1/files/a%2Fb;c//d", Ok(Route::Api));
        check(Method::GET, "/v1/models", Ok(Route::Models));
        check(Method::HEAD, "/v1/providers", Ok(Route::Providers));
        check(Method::HEAD, "/", Ok(Route::Own(OwnRoute::Root)));
        check(Method::HEAD, "/api/hello", Ok(Route::Own(OwnRoute::Hello)));
        check(Method::GET, "/healthz", Ok(Route::Own(OwnRoute::Health)));
        check(Method::POST, "/readyz", Err(StatusCode::METHOD_NOT_ALLOWED));
        for path in
            ["/v1", "/v1/", "/v2/messages", "/v1/v1/messages", "/v1/../admin", "/v1/a/%2E./b", "/v1/./x", ""]
        {
            check(Method::GET, path, Err(StatusCode::NOT_FOUND));
        }
        for path in ["/v1/messages", "/v1/files", "/health", "/nowhere", "*", ""] {
            for method in ["TRACE", "CONNECT", "OPTIONS", "PROPFIND", "get", "X"] {
                let method = Method::from_bytes(method.as_bytes()).unwrap();
                check(method, path, Err(StatusCode::METHOD_NOT_ALLOWED));
            }
        }
    }

    #[test]
    fn the_route_of_a_trace_has_no_text_of_the_client() {
        for (path, expected) in [
            ("/v1/messages", "/v1/messages"),
            ("/v1/messages/count_tokens", "/v1/messages/count_tokens"),
            ("/v1/models", "/v1/models"),
            ("/v1/models/sk-ant-secret", "/v1/models/{id}"),
            ("/v1/models/a/b", "/v1/{*}"),
            ("/v1/files/sk-ant-secret", "/v1/{*}"),
            ("/sk-ant-secret", "other"),
            ("*", "other"),
            ("", "other"),
        ] {
            assert_eq!(route_name(path), expected, "{path}");
        }
    }

    #[test]
    fn no_spelling_of_an_own_operation_is_forwarded() {
        for path in [
            "/v1/messages/",
            "/v1/messages;x",
            "/v1//messages",
            "//v1/messages",
            "/v1/%6dessages",
            "/v1/messages%2f",
            "/v1/Messages",
            "/v1/messages%2Fcount_tokens",
            "/v1/messages\\count_tokens",
            "/v1/messages/count_tokens/",
            "/v1/models/",
            "/v1/%6dodels",
            "/v1/providers/",
            "/v1/files/..%2fmessages",
            "/v1/models/%252e%252e%252fmessages",
            "/v1/%2e%2e/health",
        ] {
            for method in [Method::GET, Method::POST, Method::DELETE] {
                let route = Route::of(&method, path).map_err(|error| error.status());
                assert_eq!(route, Err(StatusCode::NOT_FOUND), "{method} {path}");
            }
        }
    }
}
