//! Random faults under load: every answer is the right one, and afterwards the relay holds no more resources than before.
//!
//! `CC_RELAY_CHAOS_SECONDS` sets the duration. `CC_RELAY_CHAOS_SEED` repeats the faults of another run.

mod clients;
mod request;
mod upstreams;

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use relay_tests::{Call, Footprint, PROVIDER_KEY, RelayProcess, short_or_long, within_limit};
use serde_json::{Value, json};
use tokio::sync::{Barrier, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use clients::{Tally, run_client};
use request::Mark;
use upstreams::{Chance, FaultyUpstream, Mode};

const RELAY: &str = env!("CARGO_BIN_EXE_relay-under-test");

/// The default of the variable, and that of the long form.
const SECONDS: (u64, u64) = (6, 600);
const SEED: u64 = 7;
const UPSTREAMS: usize = 3;
const CLIENTS: u64 = 40;
/// The value of `server.max_concurrent`. No slot may leak.
const SLOTS: usize = 64;
/// The connections that the pool of an upstream may hold: those of all slots, and those that a request began to open before
/// another connection became free for it.
const POOLED: usize = 2 * SLOTS;
/// The memory in KiB that the process may retain in addition to its memory after the first load. Allocators do not return
/// all memory to the system.
const MEMORY_TOLERANCE: u64 = 64 * 1024;
/// The time in which all providers recover. A key that was refused with status 429 without `retry-after` rests for 30 s, and
/// a half-open circuit closes only by requests.
const RECOVERY: Duration = Duration::from_secs(45);

fn variable(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().expect("a number"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_random_faults_the_relay_recovers_and_holds_no_extra_resources() {
    let seconds = variable("CC_RELAY_CHAOS_SECONDS", short_or_long(SECONDS.0, SECONDS.1));
    let seed = variable("CC_RELAY_CHAOS_SEED", SEED);
    let chance = Chance::new(seed);
    let (set_mode, mode) = watch::channel(Mode::Healthy);
    let mut upstreams = Vec::new();
    for _ in 0..UPSTREAMS {
        upstreams.push(FaultyUpstream::new(&chance, &mode).await);
    }
    let mut relay = RelayProcess::start(RELAY, &config(&upstreams), &[]).await;
    fill_all_slots(relay.address(), &set_mode).await;
    let before = idle_footprint(&mut relay, &mut upstreams).await;

    set_mode.send_replace(Mode::Chaos);
    let running: JoinSet<_> = upstreams.into_iter().map(FaultyUpstream::run_chaos).collect();
    let tally = load(relay.address(), &chance, Duration::from_secs(seconds)).await;
    let ended = Instant::now();
    set_mode.send_replace(Mode::Healthy);
    let mut upstreams = running.join_all().await;

    let recovered = first_complete_answer(relay.address()).await - ended;
    // No request of a disconnected client remains, and no request holds a circuit's probe.
    let is_calm = |provider: &Value| provider["in_flight"] == 0 && provider["circuit"] == "closed";
    until_all(relay.address(), is_calm).await;
    // All slots are free at the same time, and only pooled connections remain.
    fill_all_slots(relay.address(), &set_mode).await;
    for upstream in &upstreams {
        upstream.wait_for_open_connections(POOLED).await;
    }
    let after = idle_footprint(&mut relay, &mut upstreams).await;

    let report = format!(
        "\n{seconds} s of chaos, seed {seed}: {} requests, {tally:?}\nfirst complete answer {recovered:?} after its end\n\
         before: {before:?}\nafter:  {after:?}\n",
        tally.requests()
    );
    // The test runner does not capture this write. A failed write only loses the report.
    let _ = std::io::stderr().write_all(report.as_bytes());
    assert!(tally.complete > tally.requests() / 20, "at least 5 % of the answers must be complete: {report}");
    assert!(
        tally.no_head <= tally.broken,
        "at most as many connections end before a head as after it: {report}"
    );
    assert!(recovered < Duration::from_secs(2), "{report}");
    assert_eq!((after.tasks, after.files), (before.tasks, before.files), "{report}");
    if let (Some(before), Some(after)) = (before.memory, after.memory) {
        assert!(after < before + MEMORY_TOLERANCE, "{report}");
    }
}

fn config(upstreams: &[FaultyUpstream]) -> Value {
    let providers = upstreams.iter().enumerate().map(|(index, upstream)| {
        json!({
            "name": format!("upstream-{index}"), "type": "anthropic", "base_url": upstream.url(),
            "keys": [
                {"key": PROVIDER_KEY, "itpm_limit": 100_000_000, "rpm_limit": 100_000},
                {"key": format!("another-{PROVIDER_KEY}")},
            ],
            "pooling": {"strategy": "round_robin", "max_wait_ms": 50},
            "connect_timeout_ms": 500, "first_byte_timeout_ms": 300, "idle_timeout_ms": 400,
        })
    });
    json!({
        "server": {"max_concurrent": SLOTS, "timeout_ms": 3000},
        "providers": providers.collect::<Vec<_>>(),
        "routing": {"strategy": "round_robin"},
        "health": {
            "circuit_breaker": {"failure_threshold": 8, "open_duration_ms": 100, "half_open_probes": 2},
            "health_check": {"interval_ms": 100},
        },
    })
}

/// Runs all clients at the same time for `time`.
async fn load(relay: SocketAddr, chance: &Chance, time: Duration) -> Tally {
    let end = Instant::now() + time;
    let mut clients = JoinSet::new();
    for client in 1..=CLIENTS {
        let numbers = client * 1_000_000..(client + 1) * 1_000_000;
        clients.spawn(run_client(relay, chance.clone(), numbers, end));
    }
    let mut tally = Tally::default();
    while let Some(result) = clients.join_next().await {
        tally += result.expect("every client sees only valid answers");
    }
    tally
}

/// Fills all slots at the same time.
async fn fill_all_slots(relay: SocketAddr, set_mode: &watch::Sender<Mode>) {
    set_mode.send_replace(Mode::Barrier(Arc::new(Barrier::new(SLOTS))));
    let mut requests = JoinSet::new();
    for number in 0..SLOTS as u64 {
        requests.spawn(async move {
            let (mark, body) = Mark::new(number, 100_000, false);
            let response = Call::messages(body).send(relay).await;
            assert_eq!(response.status, 200, "{response:?}");
            assert!(mark.is_answered_by(response.json()["content"][0]["text"].as_str().unwrap_or_default()));
        });
    }
    requests.join_all().await;
    set_mode.send_replace(Mode::Healthy);
}

/// Sends requests until an answer is complete.
async fn first_complete_answer(relay: SocketAddr) -> Instant {
    let requests = async { while send(relay).await != 200 {} };
    within_limit("complete answer", requests).await;
    Instant::now()
}

/// Sends requests until `condition` holds for all providers. If they do not recover in time, their last state is reported.
async fn until_all(relay: SocketAddr, condition: impl Fn(&Value) -> bool) {
    let mut providers = Value::Null;
    let requests = async {
        loop {
            providers = Call::get("/v1/providers").send(relay).await.json();
            if providers["data"].as_array().expect("a list").iter().all(&condition) {
                return;
            }
            send(relay).await;
        }
    };
    let recovered = tokio::time::timeout(RECOVERY, requests).await.is_ok();
    assert!(recovered, "no recovery of all providers within {RECOVERY:?}: {providers:#}");
}

/// Sends a request for a model of its own: one that was answered with 404 is tried last at its provider, for a minute.
async fn send(relay: SocketAddr) -> u16 {
    let (_, body) = Mark::for_model("another", 0, 1000, true);
    Call::messages(body).send(relay).await.status
}

/// Returns the resources of the relay with empty connection pools: the upstreams close all connections, and there are no
/// requests.
async fn idle_footprint(relay: &mut RelayProcess, upstreams: &mut Vec<FaultyUpstream>) -> Footprint {
    for upstream in std::mem::take(upstreams) {
        upstreams.push(upstream.restart(Duration::ZERO).await);
    }
    let settled = async {
        let (mut last, mut times) = (relay.footprint().await, 0);
        // Both sides need a moment to close a connection.
        while times < 5 {
            tokio::time::sleep(Duration::from_millis(50)).await;
            let now = relay.footprint().await;
            times = if (now.tasks, now.files) == (last.tasks, last.files) { times + 1 } else { 0 };
            last = now;
        }
        last
    };
    within_limit("idle relay", settled).await
}
