//! Hostile web pages, and odd requests.

use relay_tests::Call;
use serde_json::json;

use crate::fixture::{Fixture, Settings};

const PAUSE: &str = "/admin/v1/providers/first/pause";

/// A page of another site, or one whose own name resolves to this machine, reaches nothing.
#[tokio::test]
async fn a_foreign_web_page_reaches_nothing() {
    let fixture = Fixture::start().await;
    let text = ("content-type", "text/plain");
    for headers in [
        &[("origin", "https://evil.example"), text][..],
        &[("origin", "null")],
        &[("origin", "")],
        &[("origin", "http://localhost:1")],
        &[("origin", "http://127.0.0.1:8787")],
        &[("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
        &[("host", "evil.example"), ("sec-fetch-site", "same-origin")],
        &[("host", "evil.example:8788"), ("origin", "http://evil.example:8788")],
        &[("host", "127.0.0.1.evil.example")],
        &[("host", "")],
        &[("host", ":8788")],
        &[("host", "0.0.0.0:8788")],
    ] {
        for path in [
            "/admin/v1/state",
            "/admin/v1/events",
            "/admin/v1/openapi.json",
            "/",
            "/healthz",
            "/metrics",
            "/x",
        ] {
            let get = headers.iter().fold(Call::get(path), |call, (name, value)| call.header(name, *value));
            let response = get.send(fixture.address).await;
            assert_eq!(
                (response.status, &response.json()["error"]["type"]),
                (403, &json!("permission_error")),
                "{get:?}"
            );
            assert!(response.headers.get("access-control-allow-origin").is_none());
            assert_eq!(response.headers.get("x-content-type-options"), Some("nosniff"));
        }
        let post = headers.iter().fold(Call::post(PAUSE), |call, (name, value)| call.header(name, *value));
        assert_eq!(post.send(fixture.address).await.status, 403, "{post:?}");
    }
    assert_eq!(fixture.json("/admin/v1/state").await["providers"][0]["is_paused"], false);
}

#[tokio::test]
async fn the_absolute_form_of_a_target_is_checked_like_the_host() {
    let fixture = Fixture::start().await;
    for (target, status) in [
        ("http://evil.example/admin/v1/state", 403),
        ("http://localhost/admin/v1/state", 200),
        ("http://x@localhost/admin/v1/state", 403),
    ] {
        assert_eq!(
            Call::get(target).header("host", "localhost").send(fixture.address).await.status,
            status,
            "{target}"
        );
    }
}

#[tokio::test]
async fn a_page_of_the_listener_itself_may_act() {
    let fixture = Fixture::start().await;
    let own = format!("http://{}", fixture.address);
    for origin in [own.clone(), own.replace("http:", "https:")] {
        let call = Call::post(PAUSE).header("origin", origin).header("sec-fetch-site", "same-origin");
        assert_eq!(call.send(fixture.address).await.status, 200);
    }
    let typed = Call::get("/healthz").header("sec-fetch-site", "none").header("sec-fetch-mode", "navigate");
    assert_eq!(typed.send(fixture.address).await.status, 200);
}

#[tokio::test]
async fn a_host_of_the_configuration_is_accepted() {
    let fixture = Fixture::with(Settings { allowed_hosts: &["relay.example"], ..Settings::default() }).await;
    let call = Call::post(PAUSE).header("host", "relay.example").header("origin", "https://relay.example");
    assert_eq!(call.send(fixture.address).await.status, 200);
}

#[tokio::test]
async fn no_preflight_is_granted_and_no_other_method_is_served() {
    let fixture = Fixture::start().await;
    let own = format!("http://{}", fixture.address);
    for origin in [own.as_str(), "https://evil.example"] {
        let preflight = Call::new("OPTIONS", PAUSE)
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "authorization")
            .header("access-control-request-private-network", "true");
        let response = preflight.send(fixture.address).await;
        assert!([403, 405].contains(&response.status), "{}", response.status);
        assert!(!response.headers.iter().any(|(name, _)| name.to_lowercase().starts_with("access-control")));
    }
    for method in ["OPTIONS", "TRACE", "PUT", "DELETE", "PATCH", "PROPFIND"] {
        for path in ["/admin/v1/state", PAUSE, "/x"] {
            let response = Call::new(method, path).send(fixture.address).await;
            assert_eq!(
                (response.status, &response.json()["type"]),
                (405, &json!("error")),
                "{method} {path}"
            );
        }
    }
    // Reading never changes anything, and an action is not a link.
    for method in ["GET", "HEAD"] {
        assert_eq!(Call::new(method, PAUSE).send(fixture.address).await.status, 405);
        assert_eq!(Call::new(method, "/admin/v1/reload").send(fixture.address).await.status, 405);
    }
    assert_eq!(Call::post("/admin/v1/state").send(fixture.address).await.status, 405);
    assert_eq!(fixture.json("/admin/v1/state").await["providers"][0]["is_paused"], false);
    let head = Call::new("HEAD", "/admin/v1/events").send(fixture.address).await;
    assert_eq!((head.status, head.body().len(), fixture.events.readers()), (200, 0, 0));
}

#[tokio::test]
async fn everything_but_the_check_of_health_needs_the_token() {
    let fixture =
        Fixture::with(Settings { token: Some("the-token-of-the-operator"), ..Settings::default() }).await;
    for path in [
        "/admin/v1/state",
        "/admin/v1/requests",
        "/admin/v1/events",
        "/admin/v1/openapi.json",
        "/metrics",
        "/unknown",
    ] {
        for (header, value, accepted) in [
            ("x-other", "1", false),
            ("authorization", "Bearer the-token-of-the-operatof", false),
            ("authorization", "Bearer the-token-of-the-operator-and-more", false),
            ("authorization", "Bearer ", false),
            ("authorization", "Basic dGhlLXRva2VuLW9mLXRoZS1vcGVyYXRvcg==", false),
            ("cookie", "token=the-token-of-the-operator", false),
            ("authorization", "Bearer the-token-of-the-operator", true),
            ("x-api-key", "the-token-of-the-operator", true),
        ] {
            let get = Call::new("HEAD", path).header(header, value).send(fixture.address).await;
            assert_eq!(get.status != 401, accepted, "{path} {header}: {value}");
            assert!(get.headers.get("set-cookie").is_none());
        }
    }
    let refused = Call::post(PAUSE).send(fixture.address).await;
    assert_eq!((refused.status, &refused.json()["error"]["type"]), (401, &json!("authentication_error")));
    assert_eq!(
        Call::get("/admin/v1/state?token=the-token-of-the-operator").send(fixture.address).await.status,
        401
    );
    assert_eq!(fixture.get("/healthz").await.status, 200);
    #[cfg(feature = "dashboard")]
    {
        // The page holds no data. It asks the operator for the token.
        let page = fixture.get("/").await;
        assert_eq!(page.status, 200);
        let policy = page.headers.get("content-security-policy");
        assert!(policy.is_some_and(|policy| policy.contains("frame-ancestors 'none'")));
        assert_eq!(fixture.get("/assets/unknown.js").await.status, 404);
    }
    // The token does not open the API to a web page.
    let page = Call::get("/admin/v1/state")
        .header("authorization", "Bearer the-token-of-the-operator")
        .header("origin", "https://evil.example");
    assert_eq!(page.send(fixture.address).await.status, 403);
}

#[tokio::test]
async fn odd_targets_are_answered_with_errors() {
    let fixture = Fixture::start().await;
    let long = "x".repeat(60_000);
    for (target, status) in [
        (format!("/admin/v1/requests?q={long}"), 200),
        (format!("/admin/v1/requests/{long}"), 404),
        (format!("/admin/v1/requests?{}", "q=a&".repeat(10_000)), 400),
        ("/admin/v1/requests?q=%ff%00%0a".to_owned(), 200),
        ("/admin/v1/requests?limit=-1".to_owned(), 400),
        ("/admin/v1/requests?limit=99999999999999999999".to_owned(), 400),
        ("/admin/v1/requests/%2e%2e%2fstate".to_owned(), 404),
        ("/admin/v1/../v1/state".to_owned(), 404),
        ("/admin/v1/%73tate".to_owned(), 404),
        ("//admin/v1/state".to_owned(), 404),
        ("/admin/v1/state/".to_owned(), 404),
        ("/ADMIN/v1/state".to_owned(), 404),
        ("/admin/v1/requests/%zz".to_owned(), 404),
        ("/admin/v1/series?minutes=61".to_owned(), 400),
    ] {
        let response = Call::get(target.clone()).send(fixture.address).await;
        let start = &target[..target.len().min(60)];
        assert_eq!(response.status, status, "{start}: {:?}", response.body());
        assert!(response.body().len() < 2_000, "{start}: an error is short");
    }
    let too_long =
        Call::get(format!("/admin/v1/requests?q={}", "x".repeat(70_000))).send(fixture.address).await;
    assert_eq!(too_long.status, 414);
}
