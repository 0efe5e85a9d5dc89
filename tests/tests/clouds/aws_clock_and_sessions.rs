//! A wrong clock, and expired sessions of AWS's own tools.

use std::time::{Duration, SystemTime};

use relay_tests::fakes::bedrock::{self, ACCESS_KEY, REGION};
use relay_tests::{Answer, Call, Relay, RelayProcess, Request, Upstream};
use serde_json::json;

const MODEL: &str = "eu.anthropic.claude-sonnet-4-5-20250929-v1:0";
const BODY: &str = r#"{"model":"claude-sonnet-4-5","max_tokens":8,"messages":[]}"#;

/// Returns `x-amz-date` for a time.
fn amz_date(time: SystemTime) -> String {
    let date = httpdate::fmt_http_date(time);
    let part = |range: std::ops::Range<usize>| date[range].to_owned();
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = months.iter().position(|month| *month == &date[8..11]).expect("a month of RFC 9110") + 1;
    format!("{}{month:02}{}T{}{}{}Z", part(12..16), part(5..7), part(17..19), part(20..22), part(23..25))
}

/// Answers like a Bedrock whose clock is `ahead` of this machine's, and refuses other times of signatures with `refusal`.
fn at_another_time(
    ahead: Duration,
    refusal: (&'static str, &'static str),
    has_date: bool,
) -> impl Fn(&Request) -> Answer + Send + Sync {
    move |request| {
        let now = SystemTime::now() + ahead;
        let signed = request.header("x-amz-date").to_owned();
        let accepted: Vec<_> = (0..5).map(|seconds| amz_date(now - Duration::from_secs(seconds))).collect();
        if accepted.contains(&signed) {
            return bedrock::answer(request);
        }
        let (name, message) = refusal;
        let error = bedrock::error(403, name, message);
        if has_date { error.with_header("date", httpdate::fmt_http_date(now)) } else { error }
    }
}

const EXPIRED: (&str, &str) = (
    "InvalidSignatureException",
    "Signature expired: 20260101T000000Z is now earlier than 20260101T010000Z (5 min.)",
);

#[tokio::test]
async fn a_wrong_clock_is_corrected_by_the_date_of_the_answer() {
    for refusal in [
        EXPIRED,
        (
            "InvalidSignatureException",
            "Signature not yet current: 20260101T000000Z is still later than 20260101T010000Z",
        ),
        (
            "RequestTimeTooSkewed",
            "The difference between the request time and the current time is too large.",
        ),
    ] {
        let upstream = Upstream::answering(at_another_time(Duration::from_secs(3600), refusal, true)).await;
        let relay = Relay::start(&json!({"providers": [bedrock::provider(&upstream.url(), MODEL)]})).await;
        for _ in 0..2 {
            assert_eq!(Call::messages(BODY).send(relay.address()).await.status, 200, "{refusal:?}");
        }
        // The first request was sent twice; the second one was signed with AWS's time at once.
        assert_eq!(upstream.requests().len(), 3, "{refusal:?}");
    }
}

#[tokio::test]
async fn a_refusal_of_the_time_without_a_better_one_is_not_repeated() {
    for has_date in [false, true] {
        // The answer's own date is that of this machine, so that another signature would have the same time.
        let answer = move |_: &Request| {
            let error = bedrock::error(403, EXPIRED.0, EXPIRED.1);
            if has_date {
                error.with_header("date", httpdate::fmt_http_date(SystemTime::now()))
            } else {
                error
            }
        };
        let upstream = Upstream::answering(answer).await;
        let relay = Relay::start(&json!({"providers": [bedrock::provider(&upstream.url(), MODEL)]})).await;
        assert_eq!(Call::messages(BODY).send(relay.address()).await.status, 502);
        assert_eq!(upstream.requests().len(), 1);
    }
}

#[tokio::test]
async fn another_refusal_of_a_signature_is_not_about_the_clock() {
    let text = "The request signature we calculated does not match the signature you provided.";
    let answer = at_another_time(Duration::from_secs(3600), ("InvalidSignatureException", text), true);
    let upstream = Upstream::answering(answer).await;
    let relay = Relay::start(&json!({"providers": [bedrock::provider(&upstream.url(), MODEL)]})).await;
    assert_eq!(Call::messages(BODY).send(relay.address()).await.status, 502);
    assert_eq!(upstream.requests().len(), 1);
    assert!(upstream.only_request().header("authorization").contains(ACCESS_KEY));
}

/// Sends a message through a relay whose profile `work` has these lines, and returns the client's error.
async fn error_of_profile(lines: &str) -> String {
    let home = tempfile::tempdir().expect("a directory");
    let file = home.path().join("config");
    std::fs::write(&file, lines).expect("a writable directory");
    let provider = json!({
        "name": "bedrock", "type": "bedrock", "base_url": "http://127.0.0.1:9", "aws_region": REGION,
        "aws_profile": "work", "model_mapping": {"*": MODEL},
    });
    let environment = [
        ("AWS_CONFIG_FILE", file.to_str().expect("UTF-8")),
        ("HOME", home.path().to_str().expect("UTF-8")),
        ("AWS_EC2_METADATA_DISABLED", "true"),
    ];
    let program = env!("CARGO_BIN_EXE_relay-under-test");
    let relay = RelayProcess::start(program, &json!({"providers": [provider]}), &environment).await;
    let response = Call::messages(BODY).send(relay.address()).await;
    response.json()["error"]["message"].as_str().expect("a message").to_owned()
}

#[tokio::test]
async fn an_expired_session_names_the_command_that_renews_it() {
    let sso = "[profile work]\nsso_session = s\nsso_account_id = 123456789012\nsso_role_name = r\n[sso-session s]\n\
               sso_region = us-east-1\nsso_start_url = https://d.awsapps.com/start\n";
    let message = error_of_profile(sso).await;
    assert!(message.contains("run `aws sso login --profile work`"), "{message}");
    let message =
        error_of_profile("[profile work]\nlogin_session = arn:aws:iam::123456789012:user/A\n").await;
    assert!(message.contains("run `aws login --profile work`"), "{message}");
}
