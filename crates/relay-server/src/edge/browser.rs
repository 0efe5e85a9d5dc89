//! Protects the relay from web pages, and admits those that the operator lists (CORS).
//!
//! A browser sends the requests of any page to this machine, and only the answer is kept from the page. Without these rules,
//! every page could spend the relay's keys. Claude Code and the SDKs send none of the headers that are checked here.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::future::Either;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, HOST, HeaderName, HeaderValue, ORIGIN, VARY,
};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use pin_project_lite::pin_project;
use relay_config::{Origin, ServerConfig};
use tower::{Layer, Service};

use super::host::HostRule;
#[cfg(feature = "serve")]
use super::host::SharedHosts;
use crate::error::Error;
use crate::record::RecordHandle;
use crate::respond::{RespondBody, error_response};

/// The relation of the page that caused a request to the target of the request (Fetch Metadata).
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// A preflight for a server on the user's own network (Private Network Access).
const REQUEST_PRIVATE_NETWORK: HeaderName = HeaderName::from_static("access-control-request-private-network");
const ALLOW_PRIVATE_NETWORK: HeaderName = HeaderName::from_static("access-control-allow-private-network");

/// The time in which a browser need not repeat a preflight, in seconds. Chrome's maximum.
const PREFLIGHT_AGE: HeaderValue = HeaderValue::from_static("7200");
const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE");

/// Refuses requests for other hosts and requests of web pages that are not listed. Answers preflights, and adds CORS headers
/// to the answers for listed pages, errors included.
#[derive(Debug, Clone)]
pub(crate) struct BrowserLayer {
    rules: Arc<Rules>,
}

#[derive(Debug)]
struct Rules {
    hosts: HostRule,
    pages: Pages,
}

/// The web pages that may send requests.
#[derive(Debug)]
enum Pages {
    /// The pages of `server.cors.allowed_origins`.
    Listed(Vec<Origin>),
    /// The pages that the listener itself serves.
    #[cfg_attr(not(feature = "serve"), expect(dead_code, reason = "only a listener has pages"))]
    Own,
}

impl BrowserLayer {
    pub(crate) fn new(server: &ServerConfig) -> Self {
        let hosts = HostRule::new(server.allowed_hosts.clone());
        Self { rules: Arc::new(Rules { hosts, pages: Pages::Listed(server.allowed_origins.clone()) }) }
    }

    /// Refuses every web page except those that the listener itself serves. No page of another origin is ever listed, and no
    /// preflight is granted.
    #[cfg(feature = "serve")]
    pub(crate) fn for_own_pages(hosts: SharedHosts) -> Self {
        let hosts = HostRule::shared(hosts);
        Self { rules: Arc::new(Rules { hosts, pages: Pages::Own }) }
    }
}

impl Rules {
    /// Returns the listed origin of `request`, or `None` if no web page sent it.
    fn check<B>(&self, request: &Request<B>) -> Result<Option<HeaderValue>, Error> {
        self.hosts.check(request)?;
        let headers = request.headers();
        let mut origins = headers.get_all(ORIGIN).iter();
        let origin = origins.next();
        if (origin.is_none() || matches!(self.pages, Pages::Own))
            && !headers.get_all(SEC_FETCH_SITE).iter().all(is_own_site)
        {
            return Err(Error::CrossSite);
        }
        let Some(origin) = origin else { return Ok(None) };
        let is_single = origins.next().is_none();
        let text = || String::from_utf8_lossy(origin.as_bytes()).into_owned();
        match &self.pages {
            Pages::Own if is_single && is_own_origin(origin, request) => Ok(None),
            Pages::Own => Err(Error::ForeignOrigin { origin: text() }),
            Pages::Listed(listed) => {
                let origin_of = |value: &HeaderValue| value.to_str().ok().and_then(Origin::parse);
                match is_single && origin_of(origin).is_some_and(|origin| listed.contains(&origin)) {
                    true => Ok(Some(origin.clone())),
                    false => Err(Error::OriginNotAllowed { origin: text() }),
                }
            }
        }
    }
}

/// Returns `true` if `origin` is that of the host that `request` names. [`HostRule`] has accepted this host. The scheme is
/// https if a proxy in front of the listener terminates TLS.
fn is_own_origin<B>(origin: &HeaderValue, request: &Request<B>) -> bool {
    let host = request.headers().get(HOST).map(HeaderValue::as_bytes);
    let host = host.or_else(|| request.uri().authority().map(|authority| authority.as_str().as_bytes()));
    let origin = origin.as_bytes();
    let authority = origin.strip_prefix(b"http://").or_else(|| origin.strip_prefix(b"https://"));
    host.is_some() && authority == host
}

/// Returns `true` if a request with this `sec-fetch-site` was not caused by another site's page: the user has typed the
/// address, or the page is the relay's own.
fn is_own_site(value: &HeaderValue) -> bool {
    matches!(value.as_bytes().trim_ascii(), b"none" | b"same-origin")
}

impl<S> Layer<S> for BrowserLayer {
    type Service = Browser<S>;

    fn layer(&self, inner: S) -> Browser<S> {
        Browser { inner, rules: Arc::clone(&self.rules) }
    }
}

/// The service of [`BrowserLayer`].
#[derive(Debug, Clone)]
pub(crate) struct Browser<S> {
    inner: S,
    rules: Arc<Rules>,
}

impl<S, B, R> Service<Request<B>> for Browser<S>
where
    S: Service<Request<B>, Response = Response<RespondBody<R>>, Error = Infallible>,
{
    type Response = Response<RespondBody<R>>;
    type Error = Infallible;
    type Future = Either<BrowserFuture<S::Future>, Ready<Result<Response<RespondBody<R>>, Infallible>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // The target of `CONNECT` is not a host of this relay. The router refuses it, with all other unknown methods.
        let origin = match request.method() {
            &Method::CONNECT => Ok(None),
            _ => self.rules.check(&request),
        };
        match origin {
            Err(error) => {
                let record = request.extensions().get::<RecordHandle>();
                Either::Right(ready(Ok(error_response(error, record))))
            }
            Ok(Some(origin)) if is_preflight(&request) => {
                Either::Right(ready(Ok(preflight(origin, request.headers()))))
            }
            Ok(origin) => Either::Left(BrowserFuture { inner: self.inner.call(request), origin }),
        }
    }
}

fn is_preflight<B>(request: &Request<B>) -> bool {
    request.method() == Method::OPTIONS && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// Builds the answer to a preflight with `headers` from a page of a listed `origin`: every method and every header may follow.
fn preflight<B: From<Bytes>>(origin: HeaderValue, headers: &HeaderMap) -> Response<B> {
    let mut response = Response::new(B::from(Bytes::new()));
    *response.status_mut() = StatusCode::NO_CONTENT;
    let answer = response.headers_mut();
    answer.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    answer.insert(ACCESS_CONTROL_MAX_AGE, PREFLIGHT_AGE);
    for names in headers.get_all(ACCESS_CONTROL_REQUEST_HEADERS) {
        answer.append(ACCESS_CONTROL_ALLOW_HEADERS, names.clone());
    }
    if headers.contains_key(REQUEST_PRIVATE_NETWORK) {
        answer.insert(ALLOW_PRIVATE_NETWORK, HeaderValue::from_static("true"));
    }
    allow(origin, answer);
    response
}

/// Allows the page of `origin` to read a response with these `headers`.
fn allow(origin: HeaderValue, headers: &mut HeaderMap) {
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("*"));
    headers.append(VARY, HeaderValue::from_static("origin"));
}

pin_project! {
    /// The future of [`Browser`].
    pub(crate) struct BrowserFuture<F> {
        #[pin]
        inner: F,
        origin: Option<HeaderValue>,
    }
}

impl<F, R> Future for BrowserFuture<F>
where
    F: Future<Output = Result<Response<R>, Infallible>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        this.inner.poll(cx).map_ok(|mut response| {
            if let Some(origin) = this.origin.take() {
                allow(origin, response.headers_mut());
            }
            response
        })
    }
}
