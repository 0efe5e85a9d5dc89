//! The ids of requests in the log: the one that a client reports finds the line of its request.

use relay_tests::fakes::anthropic;
use relay_tests::{Answer, Python, Request, Upstream};
use serde_json::{Value, json};

use crate::process::User;

const KEY: &str = "sk-ant-api03-key-of-the-relay";
const WIDTH: usize = 120;

/// The id in the answer to the request of this number.
fn id(number: usize) -> String {
    format!("req_011CSHoEeqs5C35K2UUqR{number:03}")
}

/// An upstream whose answer the model's name decides. Each answer has an id of its own, except those of a gateway.
fn answer(request: &Request, number: usize) -> Answer {
    let model = request.json()["model"].as_str().unwrap_or_default().to_owned();
    match model.split_once('-') {
        Some(("gateway", status)) => {
            Answer::text(status.parse().unwrap(), "text/html", "<h1>Bad Gateway</h1>")
        }
        Some(("status", status)) => {
            let error = json!({"type": "error", "error": {"type": "api_error", "message": "failed"}, "request_id": id(number)});
            Answer::json(status.parse().unwrap(), &error).with_header("request-id", id(number))
        }
        _ => anthropic::answer(request).with_header("x-number", number.to_string()),
    }
}

/// Makes `calls` through a relay with these settings of the log. Returns their outcomes and the log.
async fn log_of(
    python: &Python,
    settings: &[(&'static str, &'static str)],
    calls: &[Value],
) -> (Vec<Value>, String) {
    let count = std::sync::atomic::AtomicUsize::new(1);
    let upstream = Upstream::answering(move |request| {
        answer(request, count.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
    });
    let upstream = upstream.await;
    let mut user = User::new();
    for (name, value) in settings {
        user = user.with_variable(name, *value);
    }
    let provider =
        json!({"name": "a", "type": "anthropic", "base_url": upstream.url(), "keys": [{"key": KEY}]});
    user.write("config.yaml", &json!({"providers": [provider]}).to_string());
    let (mut relay, address) = user.serve(&[]);
    let outcomes = python.calls(&format!("http://{address}"), "any", calls).await;
    relay.signal("TERM");
    assert_eq!(relay.exit_code(), Some(0));
    (outcomes, relay.seen().to_owned())
}

#[tokio::test]
async fn the_id_in_an_exception_of_the_python_package_finds_the_line_of_its_request_in_every_format() {
    let Some(python) = Python::find() else { return };
    let models = [
        "status-400",
        "status-404",
        "status-500",
        "status-529",
        "gateway-502",
        "gateway-404",
        "claude-opus-5-5",
    ];
    let calls = models.map(|model| json!({"method": "create", "model": model}));
    for settings in [
        &[("CC_RELAY_LOGGING__FORMAT", "json")][..],
        &[("CC_RELAY_LOGGING__FORMAT", "text")],
        &[("CC_RELAY_LOGGING__PRETTY", "true")],
        &[("CC_RELAY_LOGGING__PRETTY", "true"), ("NO_COLOR", "1")],
    ] {
        let (outcomes, log) = log_of(&python, settings, &calls).await;
        for (model, outcome) in models.iter().zip(outcomes) {
            let shown = outcome["error"]["request_id"].as_str().or(outcome["request_id"].as_str());
            let shown = shown.unwrap_or_else(|| panic!("{model}: {outcome}"));
            let found: Vec<_> =
                log.lines().filter(|line| line.contains(shown) && line.contains(*model)).collect();
            assert!(!found.is_empty(), "{model}: {shown} is not in\n{log}");
            let status = outcome["error"]["status"].as_u64().unwrap_or(200).to_string();
            assert!(found.iter().any(|line| line.contains(&status)), "{model}: no {status} in {found:#?}");
        }
        if settings.len() > 1 {
            let long = log.lines().find(|line| line.contains("req_") && line.chars().count() > WIDTH);
            assert_eq!(long, None, "{log}");
            assert!(!log.contains('\x1b'), "{log}");
        }
    }
}
