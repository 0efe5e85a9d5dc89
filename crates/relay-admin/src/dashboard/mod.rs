//! The dashboard: a page for browsers, which reads everything from the admin API.
//!
//! ```text
//! GET /          the page
//! GET /assets/…  its styles, its icon, and the modules of its script
//! ```
//! The files are embedded in the program. They contain no data of the relay, so that they need no token. The page has no
//! inline script or style and loads nothing from another host, which its content security policy enforces.
//!
//! ```
//! use http::{HeaderMap, Method, StatusCode};
//! use relay_admin::dashboard::Dashboard;
//!
//! let dashboard = Dashboard::new();
//! let response = dashboard.respond(&Method::GET, "/", &HeaderMap::new()).expect("the page");
//! assert_eq!(response.status(), StatusCode::OK);
//! assert!(dashboard.respond(&Method::GET, "/admin/v1/state", &HeaderMap::new()).is_none());
//! ```

mod files;

use std::hash::{DefaultHasher, Hasher};
use std::sync::Arc;

use bytes::Bytes;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH,
    REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};

use files::{File, PAGE, SCRIPTS};

/// The content security policy of the page: its own files only, nothing inline, and no other page around it.
pub const CONTENT_SECURITY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The headers of each answer. A browser revalidates a file each time, so that a new version of the relay is seen at once.
const HEADERS: [(HeaderName, HeaderValue); 6] = [
    (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    (CONTENT_SECURITY_POLICY, HeaderValue::from_static(CONTENT_SECURITY)),
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
];

/// The files of the dashboard with their validators. Cloning shares them.
#[derive(Debug, Clone)]
pub struct Dashboard {
    assets: Arc<[Asset]>,
}

#[derive(Debug)]
struct Asset {
    file: File,
    content_type: HeaderValue,
    etag: HeaderValue,
}

impl Dashboard {
    /// Creates the dashboard. Computes the validator of each file.
    #[must_use]
    pub fn new() -> Self {
        Self { assets: PAGE.iter().chain(&SCRIPTS).map(Asset::new).collect() }
    }

    /// Returns the answer to a request for a file of the dashboard; `None` if no file has this path.
    ///
    /// `GET` and `HEAD` get the file, or 304 if `if-none-match` has its validator. Other methods get 405. `path` has no query.
    #[must_use]
    pub fn respond(&self, method: &Method, path: &str, headers: &HeaderMap) -> Option<Response<Bytes>> {
        let asset = self.assets.iter().find(|asset| asset.file.path == path)?;
        let mut response = match *method {
            Method::GET | Method::HEAD if asset.matches(headers) => status(StatusCode::NOT_MODIFIED),
            Method::GET => Response::new(Bytes::from_static(asset.file.bytes)),
            Method::HEAD => asset.head(),
            _ => return Some(method_not_allowed()),
        };
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, asset.content_type.clone());
        headers.insert(ETAG, asset.etag.clone());
        headers.extend(HEADERS.map(|(name, value)| (Some(name), value)));
        Some(response)
    }
}

impl Default for Dashboard {
    fn default() -> Self {
        Self::new()
    }
}

impl Asset {
    fn new(file: &File) -> Self {
        let mut hasher = DefaultHasher::new();
        hasher.write(file.bytes);
        // Weak, since a layer around the answer may compress it.
        let etag = format!("W/\"{:016x}\"", hasher.finish());
        let etag = HeaderValue::try_from(etag).unwrap_or_else(|_| HeaderValue::from_static("\"\""));
        Self { file: *file, content_type: content_type(file.path), etag }
    }

    /// Answers `HEAD`: the length of the file, without its content.
    fn head(&self) -> Response<Bytes> {
        let mut response = Response::default();
        response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(self.file.bytes.len()));
        response
    }

    /// Compares weakly, as RFC 9110 requires for `if-none-match`.
    fn matches(&self, headers: &HeaderMap) -> bool {
        let tags = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
        let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
        let own = self.etag.to_str().map(opaque).unwrap_or_default();
        tags.flat_map(|value| value.split(',')).any(|tag| tag.trim() == "*" || opaque(tag) == own)
    }
}

fn content_type(path: &str) -> HeaderValue {
    HeaderValue::from_static(match path.rsplit_once('.').map(|(_, extension)| extension) {
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "text/html; charset=utf-8",
    })
}

fn status(status: StatusCode) -> Response<Bytes> {
    let mut response = Response::default();
    *response.status_mut() = status;
    response
}

fn method_not_allowed() -> Response<Bytes> {
    let mut response = status(StatusCode::METHOD_NOT_ALLOWED);
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(path: &str, headers: &HeaderMap) -> Response<Bytes> {
        Dashboard::new().respond(&Method::GET, path, headers).expect("a file")
    }

    #[track_caller]
    fn check_type(path: &str, expected: &str) {
        assert_eq!(get(path, &HeaderMap::new()).headers()[CONTENT_TYPE], expected);
    }

    #[test]
    fn each_file_has_the_type_of_its_extension() {
        check_type("/", "text/html; charset=utf-8");
        check_type("/assets/js/main.js", "text/javascript; charset=utf-8");
        check_type("/assets/base.css", "text/css; charset=utf-8");
        check_type("/assets/icon.svg", "image/svg+xml");
    }

    #[test]
    fn head_has_the_headers_of_get_and_no_content() {
        let dashboard = Dashboard::new();
        let head = dashboard.respond(&Method::HEAD, "/", &HeaderMap::new()).expect("the page");
        let get = get("/", &HeaderMap::new());
        assert_eq!(head.headers()[ETAG], get.headers()[ETAG]);
        let length = head.headers()[CONTENT_LENGTH].to_str().expect("digits").to_owned();
        assert_eq!(length, get.into_body().len().to_string());
        assert!(head.into_body().is_empty());
    }

    #[test]
    fn a_file_that_the_browser_has_is_not_sent_again() {
        let etag =
            get("/assets/base.css", &HeaderMap::new()).headers()[ETAG].to_str().expect("ASCII").to_owned();
        for tags in [etag.clone(), format!("\"other\", {etag}"), etag.replace("W/", ""), "*".to_owned()] {
            let headers =
                HeaderMap::from_iter([(IF_NONE_MATCH, HeaderValue::try_from(tags).expect("a tag"))]);
            let response = get("/assets/base.css", &headers);
            assert_eq!(response.status(), StatusCode::NOT_MODIFIED);
            assert!(response.into_body().is_empty());
        }
        let headers = HeaderMap::from_iter([(IF_NONE_MATCH, HeaderValue::from_static("\"other\""))]);
        assert_eq!(get("/assets/base.css", &headers).status(), StatusCode::OK);
    }

    #[test]
    fn every_answer_forbids_foreign_content_and_frames() {
        for path in ["/", "/assets/js/main.js"] {
            let response = get(path, &HeaderMap::new());
            assert_eq!(response.headers()[CONTENT_SECURITY_POLICY], CONTENT_SECURITY);
            assert_eq!(response.headers()[X_CONTENT_TYPE_OPTIONS], "nosniff");
        }
    }

    #[test]
    fn only_get_and_head_are_allowed() {
        let dashboard = Dashboard::new();
        let response = dashboard.respond(&Method::POST, "/", &HeaderMap::new()).expect("an answer");
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(response.headers()[ALLOW], "GET, HEAD");
    }

    #[test]
    fn other_paths_are_not_of_the_dashboard() {
        for path in ["/admin/v1/state", "/assets/", "/assets/../Cargo.toml", "/index.html", ""] {
            assert!(Dashboard::new().respond(&Method::GET, path, &HeaderMap::new()).is_none(), "{path}");
        }
    }
}
