//! A scripted day of traffic with known tokens, and what `cc-relay usage` makes of it.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use relay_tests::{Answer, Call, Client, Connection, Response, Upstream, sse};
use serde_json::{Value, json};

use crate::process::{Process, User};

/// The longest time until a request that has ended is in the ledger.
pub(crate) const WRITTEN_WITHIN: Duration = Duration::from_secs(10);

/// The script of the first upstream, by the text of a request.
async fn main_upstream(mut connection: Connection) {
    while let Some(request) = connection.receive().await {
        let text = String::from_utf8_lossy(&request.body).into_owned();
        let has = |word: &str| text.contains(word);
        if request.target.contains("count_tokens") {
            connection.answer(&Answer::json(200, &json!({ "input_tokens": 7 }))).await.unwrap();
        } else if has("refused") {
            let error = json!({ "type": "invalid_request_error", "message": "no" });
            connection.answer(&Answer::json(400, &json!({ "type": "error", "error": error }))).await.unwrap();
        } else if has("cached") {
            connection.answer(&Answer::sse([cached_start(), delta(), end(500), stop()])).await.unwrap();
        } else if has("failed-over") {
            connection.answer(&Answer::sse([start(), sse::error("overloaded_error", "busy")])).await.unwrap();
        } else if has("broken") {
            connection.send_head(&Answer::event_stream()).await;
            connection.send_chunk(&start()).await;
            connection.send_chunk(&delta()).await;
            return connection.finish().await;
        } else if has("abandoned") {
            connection.send_head(&Answer::event_stream()).await;
            connection.send_chunk(&start()).await;
            connection.send_chunk(&delta()).await;
            connection.peer_closed().await;
            return;
        } else {
            connection.answer(&Answer::json(200, &message(1000, 500))).await.unwrap();
        }
    }
}

fn message(input: u64, output: u64) -> Value {
    let usage = json!({ "input_tokens": input, "output_tokens": output });
    json!({ "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-opus-5-5", "content": [],
            "stop_reason": "end_turn", "stop_sequence": null, "usage": usage })
}

fn message_start(usage: Value) -> Bytes {
    let mut message = message(0, 0);
    message["usage"] = usage;
    message["stop_reason"] = Value::Null;
    sse::event("message_start", &json!({ "type": "message_start", "message": message }))
}

fn start() -> Bytes {
    message_start(json!({ "input_tokens": 1000, "output_tokens": 1 }))
}

fn cached_start() -> Bytes {
    message_start(json!({
        "input_tokens": 100, "output_tokens": 1, "cache_read_input_tokens": 10_000,
        "cache_creation_input_tokens": 2300,
        "cache_creation": { "ephemeral_5m_input_tokens": 2000, "ephemeral_1h_input_tokens": 300 },
    }))
}

/// 35 bytes of text, which are 10 tokens by the estimate.
fn delta() -> Bytes {
    let block =
        json!({ "type": "content_block_start", "index": 0, "content_block": { "type": "text", "text": "" } });
    let text = json!({ "type": "text_delta", "text": "x".repeat(35) });
    let delta = json!({ "type": "content_block_delta", "index": 0, "delta": text });
    [sse::event("content_block_start", &block), sse::event("content_block_delta", &delta)].concat().into()
}

fn end(output: u64) -> Bytes {
    let block = sse::event("content_block_stop", &json!({ "type": "content_block_stop", "index": 0 }));
    let delta = json!({ "stop_reason": "end_turn", "stop_sequence": null });
    let usage = json!({ "output_tokens": output });
    let end = json!({ "type": "message_delta", "delta": delta, "usage": usage });
    [block, sse::event("message_delta", &end)].concat().into()
}

fn stop() -> Bytes {
    sse::event("message_stop", &json!({ "type": "message_stop" }))
}

fn body(text: &str, is_stream: bool) -> String {
    let messages = json!([{ "role": "user", "content": text }]);
    json!({ "model": "claude-opus-5-5", "max_tokens": 64, "stream": is_stream, "messages": messages })
        .to_string()
}

/// A request of a client. Each request of `bob` has a session of its own, since a session leaves a provider whose stream broke.
pub(crate) fn call(client: &str, text: &str, is_stream: bool) -> Call {
    let session = if client == "alice" { client.to_owned() } else { format!("{client}-{text}") };
    Call::messages(body(text, is_stream))
        .header("x-api-key", format!("key-of-{client}"))
        .header("x-claude-code-session-id", session)
}

/// Waits until the ledger of a user has this number of requests, and returns the report of `usage` with these arguments.
pub(crate) async fn recorded(user: &User, arguments: &[&str], requests: u64) -> Value {
    let deadline = Instant::now() + WRITTEN_WITHIN;
    loop {
        // The first request may come before the file.
        let report = user.run(&[&["usage", "--json"], arguments].concat()).stdout;
        let report: Value = serde_json::from_str(&report).unwrap_or_default();
        if report["total"]["requests"] == requests {
            return report;
        }
        assert!(Instant::now() < deadline, "{requests} requests were expected: {report:#}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The program with two upstreams of one model and two clients.
pub(crate) struct Day {
    pub(crate) user: User,
    _upstreams: [Upstream; 2],
}

impl Day {
    pub(crate) async fn new() -> Self {
        Self::with_client("").await
    }

    /// Opens the admin listener of the relays, on a free port.
    #[cfg(feature = "ledger")]
    pub(crate) fn observed(self) -> Self {
        let user = self.user.with_variable("CC_RELAY_ADMIN__ENABLED", "true");
        Self { user: user.with_variable("CC_RELAY_ADMIN__LISTEN", "127.0.0.1:0"), ..self }
    }

    /// Writes the configuration, with further settings of the client `bob`.
    pub(crate) async fn with_client(settings: &str) -> Self {
        let main = Upstream::scripted(main_upstream).await;
        let spare = Upstream::answering(|_| Answer::sse([start(), delta(), end(100), stop()])).await;
        let user = User::new().with_variable("CC_RELAY_USAGE__ENABLED", "true");
        let provider = |name: &str, upstream: &Upstream, rank: i32| {
            format!(
                "  - {{ name: {name}, type: anthropic, base_url: {}, keys: [{{ key: sk-{name}, name: key-{name}, priority: {rank} }}] }}\n",
                upstream.url()
            )
        };
        let config = format!(
            "server:\n  auth:\n    api_keys:\n      - {{ name: alice, key: key-of-alice }}\n      \
             - {{ name: bob, key: key-of-bob{settings} }}\nproviders:\n{}{}",
            provider("main", &main, 2),
            provider("spare", &spare, 1)
        );
        user.write("config.yaml", &config);
        Self { user, _upstreams: [main, spare] }
    }

    fn report(&self, arguments: &[&str]) -> Value {
        let outcome = self.user.run(&[&["usage", "--json"], arguments].concat());
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        serde_json::from_str(&outcome.stdout).unwrap()
    }

    /// Waits until the ledger has this number of requests, and returns the total.
    pub(crate) async fn total(&self, requests: u64) -> Value {
        let deadline = Instant::now() + WRITTEN_WITHIN;
        // The first request may come before the file.
        while self.user.run(&["usage"]).code != Some(0) && Instant::now() < deadline {}
        loop {
            let total = self.report(&[])["total"].take();
            if total["requests"] == requests {
                return total;
            }
            assert!(Instant::now() < deadline, "{requests} requests were expected: {total:#}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The costs of the groups in nanodollars.
    fn costs(&self, by: &str) -> Vec<(String, u64)> {
        let report = self.report(&["--by", by]);
        let rows = report["rows"].as_array().unwrap().iter();
        rows.map(|row| (row["group"].as_str().unwrap_or("-").to_owned(), nanos(&row["cost_usd"]))).collect()
    }
}

pub(crate) fn nanos(dollars: &Value) -> u64 {
    (dollars.as_f64().unwrap() * 1e9).round() as u64
}

/// Sends one request of each kind, and returns when all of them have ended.
pub(crate) async fn traffic(address: SocketAddr) {
    let send = |call: Call| async move { call.send(address).await };
    let status = |response: Response| response.status;
    assert_eq!(status(send(call("alice", "whole", false)).await), 200);
    assert_eq!(status(send(call("alice", "cached", true)).await), 200);
    let broken = send(call("bob", "broken", true)).await;
    assert!(!broken.events().iter().any(|event| event.name == "message_stop"), "{broken:?}");
    assert_eq!(status(send(call("bob", "refused", false)).await), 400);
    let count = Call::post("/v1/messages/count_tokens").json(body("counted", false));
    assert_eq!(status(send(count.header("x-api-key", "key-of-alice")).await), 200);
    assert_eq!(status(send(Call::messages(body("whole", false)).header("x-api-key", "unknown")).await), 401);
    let mut client = Client::connect(address).await;
    client.call(&call("alice", "abandoned", true)).await;
    client.head().await;
    while !String::from_utf8_lossy(&client.chunk().await.unwrap()).contains("text_delta") {}
    client.disconnect();
    let answered = send(call("bob", "failed-over", true)).await;
    assert!(answered.events().iter().any(|event| event.name == "message_stop"), "{answered:?}");
}

/// Checks the totals of [`traffic`].
#[track_caller]
pub(crate) fn check_total(total: &Value) {
    // In microdollars: whole 14,000, cached 24,800, broken and abandoned 4,200 each, failed over 4,020 and 6,000.
    assert_eq!(nanos(&total["cost_usd"]), 57_220_000, "{total:#}");
    // Without a cache, the cached request costs 59,600.
    assert_eq!(nanos(&total["uncached_usd"]), 92_020_000, "{total:#}");
    assert_eq!(nanos(&total["saved_usd"]), 34_800_000, "{total:#}");
    for (name, expected) in [
        ("requests", 7),
        ("attempts", 8),
        ("failed", 4),
        ("input_tokens", 5100),
        ("output_tokens", 1121),
        ("cache_read_tokens", 10_000),
        ("cache_write_5m_tokens", 2000),
        ("cache_write_1h_tokens", 300),
        ("estimated_requests", 3),
        ("unpriced_requests", 0),
    ] {
        assert_eq!(total[name], expected, "{name}: {total:#}");
    }
    let rate = total["cache_hit_rate"].as_f64().unwrap();
    assert!((rate - 10_000.0 / 17_400.0).abs() < 1e-9, "{rate}");
}

#[tokio::test(flavor = "multi_thread")]
async fn usage_shows_a_day_to_the_cent_also_after_the_process_was_killed() {
    let day = Day::new().await;
    let outcome = day.user.run(&["usage"]);
    assert!(
        outcome.code == Some(1) && outcome.stderr.contains("there is no usage ledger at "),
        "{outcome:?}"
    );

    let (relay, address) = day.user.serve(&[]);
    traffic(address).await;
    check_total(&day.total(7).await);
    // The process gets SIGKILL.
    drop(relay);
    check_total(&day.total(7).await);

    let group = |name: &str, nanos| (name.to_owned(), nanos);
    assert_eq!(day.costs("provider"), [group("main", 51_220_000), group("spare", 6_000_000)]);
    assert_eq!(day.costs("key"), [group("main/key-main", 51_220_000), group("spare/key-spare", 6_000_000)]);
    assert_eq!(day.costs("client"), [group("alice", 43_000_000), group("bob", 14_220_000)]);
    let sessions = [
        group("alice", 43_000_000),
        group("bob-failed-over", 10_020_000),
        group("bob-broken", 4_200_000),
        group("-", 0),
        group("bob-refused", 0),
    ];
    assert_eq!(day.costs("session"), sessions);
    assert_eq!(day.costs("model"), [group("claude-opus-5-5", 57_220_000)]);
    assert_eq!(day.costs("day").iter().map(|(_, cost)| cost).sum::<u64>(), 57_220_000);

    let (relay, address) = day.user.serve(&[]);
    assert_eq!(call("alice", "whole", false).send(address).await.status, 200);
    assert_eq!(nanos(&day.total(8).await["cost_usd"]), 71_220_000);
    drop(relay);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_writes_the_last_requests() {
    let day = Day::new().await;
    let (mut relay, address) = day.user.serve(&[]);
    assert_eq!(call("alice", "whole", false).send(address).await.status, 200);
    stop_regularly(&mut relay);
    assert_eq!(day.report(&[])["total"]["requests"], 1);
}

#[track_caller]
fn stop_regularly(relay: &mut Process) {
    relay.signal("TERM");
    assert_eq!(relay.exit_code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_table_fits_a_terminal_and_csv_has_a_line_for_each_group() {
    let day = Day::new().await;
    let (mut relay, address) = day.user.serve(&[]);
    traffic(address).await;
    stop_regularly(&mut relay);
    let output = |arguments: &[&str]| {
        let outcome = day.user.run(&[&["usage"], arguments].concat());
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        outcome.stdout
    };
    for by in ["provider", "model", "key", "client", "session", "day", "hour"] {
        let table = output(&["--by", by]);
        assert!(table.lines().all(|line| line.chars().count() <= 80), "{table}");
        assert!(
            table.lines().any(|line| line.starts_with("total ") && line.ends_with("~$0.0572")),
            "{table}"
        );
    }
    let csv = output(&["--by", "client", "--csv"]);
    let lines: Vec<&str> = csv.lines().collect();
    assert!(lines[0].starts_with("group,requests,attempts,failed,input_tokens,"), "{csv}");
    assert!(lines[1].starts_with("alice,4,4,1,2100,1010,10000,2000,300,0,0,0.043000000,"), "{csv}");
    assert!(lines[2].starts_with("bob,3,4,3,3000,111,0,0,0,0,0,0.014220000,"), "{csv}");
    let summary = output(&[]);
    assert!(summary.contains("cost            $0.0572\n"), "{summary}");
    assert!(summary.contains("saved by cache  $0.0348 (37.8%)\n"), "{summary}");
    assert!(
        summary.contains("~ 3 answers with an estimate: cut ones, and cache writes of an unknown lifetime\n"),
        "{summary}"
    );

    assert_eq!(day.report(&["--since", "1h"])["total"]["requests"], 7);
    assert_eq!(day.report(&["--until", "-1h"])["total"]["requests"], 0);
    for (since, until) in [("1h", "2h"), ("2030-01-01", "2020-01-01"), ("2026-11-26", "2026-11-26")] {
        let outcome = day.user.run(&["usage", "--since", since, "--until", until]);
        assert_eq!(outcome.code, Some(2), "{outcome:?}");
        let expected = format!("--until: found `{until}`, expected a time after --since `{since}`");
        assert!(outcome.stderr.contains(&expected), "{outcome:?}");
    }
    for (arguments, message) in
        [(&["--by", "day", "--limit", "0"][..], "zero"), (&["--limit", "5"], "--by <GROUP>")]
    {
        let outcome = day.user.run(&[&["usage"], arguments].concat());
        assert!(outcome.code == Some(2) && outcome.stderr.contains(message), "{outcome:?}");
    }
    let outcome = day.user.run(&["usage", "--since", "yesterday"]);
    assert!(outcome.code == Some(2) && outcome.stderr.contains("--since: found `yesterday`"), "{outcome:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spent_budget_stays_spent_after_a_restart() {
    let day = Day::with_client(", budget_usd: 0.02, budget_period: month").await;
    let (mut relay, address) = day.user.serve(&[]);
    let first = call("bob", "whole", false).send(address).await;
    assert_eq!((first.status, first.headers.get("x-cc-relay-budget-warning")), (200, None));
    // 14,000 of 20,000 microdollars, and then 28,000.
    assert_eq!(call("bob", "whole", false).send(address).await.status, 200);
    check_refused(&call("bob", "whole", false).send(address).await);
    assert_eq!(call("alice", "whole", false).send(address).await.status, 200);
    let count = Call::post("/v1/messages/count_tokens").json(body("counted", false));
    assert_eq!(count.header("x-api-key", "key-of-bob").send(address).await.status, 200);
    stop_regularly(&mut relay);

    let (relay, address) = day.user.serve(&[]);
    check_refused(&call("bob", "whole", false).send(address).await);
    assert_eq!(call("alice", "whole", false).send(address).await.status, 200);
    drop(relay);
}

#[track_caller]
fn check_refused(response: &Response) {
    assert_eq!(response.status, 429);
    let header = |name| response.headers.get(name).unwrap_or_default().to_owned();
    assert_eq!(header("x-should-retry"), "false");
    assert!((1..=31 * 86_400).contains(&header("retry-after").parse::<u64>().unwrap()));
    let error = &response.json()["error"];
    assert_eq!(error["type"], "rate_limit_error");
    let message = error["message"].as_str().unwrap();
    assert!(
        message.starts_with("the budget of this client is spent: $0.03 of $0.02 for this month; "),
        "{message}"
    );
    assert!(message.ends_with("-01T00:00:00Z"), "{message}");
}
