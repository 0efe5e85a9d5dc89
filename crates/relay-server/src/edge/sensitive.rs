//! Marks headers with credentials as sensitive.
//!
//! A marked value is printed as `Sensitive` by `Debug`, also by a layer of a program, and never enters the tables of a
//! compressed HTTP/2 head.

use http::header::{AUTHORIZATION, COOKIE, HeaderName, PROXY_AUTHORIZATION, SET_COOKIE};
use http::{HeaderMap, Request, Response};

static OF_REQUESTS: [HeaderName; 4] =
    [AUTHORIZATION, HeaderName::from_static("x-api-key"), COOKIE, PROXY_AUTHORIZATION];

/// Marks the credentials of a request.
pub(crate) fn mark_request<B>(mut request: Request<B>) -> Request<B> {
    mark(request.headers_mut(), &OF_REQUESTS);
    request
}

/// Marks the cookies of a response, which a layer of a program can set.
pub(crate) fn mark_response<B>(mut response: Response<B>) -> Response<B> {
    mark(response.headers_mut(), &[SET_COOKIE]);
    response
}

/// Marks the values of `names`. An entry of the map, as tower-http's layer takes one, would make a full map grow for a header that
/// it does not have.
fn mark(headers: &mut HeaderMap, names: &[HeaderName]) {
    headers
        .iter_mut()
        .filter(|(name, _)| names.contains(name))
        .for_each(|(_, value)| value.set_sensitive(true));
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn credentials_are_not_printed() {
        let request = Request::get("/")
            .header("authorization", "Bearer secret")
            .header("x-api-key", "secret-1")
            .header("x-api-key", "secret-2")
            .header("cookie", "a=secret")
            .header("proxy-authorization", "Basic secret")
            .header("x-app", "plain");
        let printed = format!("{:?}", mark_request(request.body(()).unwrap()));
        assert!(!printed.contains("secret") && printed.contains("plain"), "{printed}");

        let response = Response::builder().header("set-cookie", "a=secret").body(()).unwrap();
        let response = mark_response(response);
        assert!(!format!("{response:?}").contains("secret"), "{response:?}");
        assert_eq!(response.headers()["set-cookie"], "a=secret");
    }

    #[test]
    fn every_value_of_a_credential_is_marked_and_no_other() {
        let request = Request::builder()
            .header("x-api-key", "one")
            .header("X-Api-Key", "two")
            .header("cookie", "three")
            .header("accept", "four");
        let request = mark_request(request.body(()).unwrap());
        let marked = |name: &str| {
            request.headers().get_all(name).iter().map(HeaderValue::is_sensitive).collect::<Vec<_>>()
        };
        assert_eq!(marked("x-api-key"), [true, true]);
        assert_eq!((marked("cookie"), marked("accept")), (vec![true], vec![false]));
    }

    #[test]
    fn a_full_map_does_not_grow() {
        let mut response = Response::new(());
        for name in ["content-type", "request-id", "a", "b", "c", "d"] {
            response.headers_mut().insert(HeaderName::from_static(name), "value".parse().unwrap());
        }
        let before = response.headers().capacity();
        let response = mark_response(response);
        assert_eq!((response.headers().len(), response.headers().capacity()), (before, before));
    }
}
