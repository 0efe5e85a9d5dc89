//! Marks headers with credentials as sensitive.
//!
//! A marked value is printed as `Sensitive` by `Debug`, also by a layer of a program, and never enters the tables of a
//! compressed HTTP/2 head.

use http::header::{AUTHORIZATION, COOKIE, HeaderName, PROXY_AUTHORIZATION, SET_COOKIE};
use tower_http::sensitive_headers::{SetSensitiveRequestHeadersLayer, SetSensitiveResponseHeadersLayer};

/// Marks the credentials of a request.
pub(crate) fn sensitive_request_headers() -> SetSensitiveRequestHeadersLayer {
    let api_key = HeaderName::from_static("x-api-key");
    SetSensitiveRequestHeadersLayer::new([AUTHORIZATION, api_key, COOKIE, PROXY_AUTHORIZATION])
}

/// Marks the cookies of a response, which a layer of a program can set.
pub(crate) fn sensitive_response_headers() -> SetSensitiveResponseHeadersLayer {
    SetSensitiveResponseHeadersLayer::new([SET_COOKIE])
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http::{Request, Response};
    use tower::{ServiceBuilder, ServiceExt, service_fn};

    use super::*;

    #[tokio::test]
    async fn credentials_are_not_printed() {
        let service = ServiceBuilder::new()
            .layer(sensitive_request_headers())
            .layer(sensitive_response_headers())
            .service(service_fn(|request: Request<()>| async move {
                let printed = format!("{request:?}");
                assert!(!printed.contains("secret") && printed.contains("plain"), "{printed}");
                Ok::<_, Infallible>(Response::builder().header("set-cookie", "a=secret").body(()).unwrap())
            }));
        let request = Request::get("/")
            .header("authorization", "Bearer secret")
            .header("x-api-key", "secret-1")
            .header("x-api-key", "secret-2")
            .header("cookie", "a=secret")
            .header("proxy-authorization", "Basic secret")
            .header("x-app", "plain");
        let response = service.oneshot(request.body(()).unwrap()).await.unwrap();
        assert!(!format!("{response:?}").contains("secret"), "{response:?}");
        assert_eq!(response.headers()["set-cookie"], "a=secret");
    }
}
