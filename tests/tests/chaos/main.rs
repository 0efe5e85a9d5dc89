//! Random faults under load: no response is ever a wrong one, and no resource is leaked afterwards.
//!
//! `CC_RELAY_CHAOS_SECONDS` sets the duration, `CC_RELAY_CHAOS_SEED` repeats the faults of another run.

mod clients;
mod request;
mod upstreams;

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use relay_tests::{Call, Footprint, PROVIDER_KEY, RelayProcess, within_limit};
use serde_json::{Value, json};
use tokio::sync::{Barrier, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use clients::{Tally, asking};
use request::Mark;
use upstreams::{Chance, Mood, Restless};

const RELAY: &str = env!("CARGO_BIN_EXE_relay-under-test");

const SECONDS: u64 = 6;
const SEED: u64 = 7;
const UPSTREAMS: usize = 3;
const CLIENTS: u64 = 40;
/// `server.max_concurrent`: no place may be lost.
const PLACES: usize = 64;
/// The memory that a process may keep beyond its use after the first load: allocators do not return all of it.
const SLACK: u64 = 64 * 1024;

fn variable(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().expect("a number"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_resources_are_leaked_after_random_faults() {
    let seconds = variable("CC_RELAY_CHAOS_SECONDS", SECONDS);
    let seed = variable("CC_RELAY_CHAOS_SEED", SEED);
    let chance = Chance::new(seed);
    let (set_mood, mood) = watch::channel(Mood::Healthy);
    let mut upstreams = Vec::new();
    for _ in 0..UPSTREAMS {
        upstreams.push(Restless::new(&chance, &mood).await);
    }
    let mut relay = RelayProcess::start(RELAY, &config(&upstreams), &[]).await;
    together(relay.address(), &set_mood).await;
    let before = without_connections(&mut relay, &mut upstreams).await;

    set_mood.send_replace(Mood::Chaos);
    let living: JoinSet<_> = upstreams.into_iter().map(Restless::live).collect();
    let tally = load(relay.address(), &chance, Duration::from_secs(seconds)).await;
    let ended = Instant::now();
    set_mood.send_replace(Mood::Healthy);
    let mut upstreams = living.join_all().await;

    let recovered = first_whole_answer(relay.address()).await - ended;
    // No disconnected client is still counted, and no request still holds the trial of a circuit.
    let is_calm = |provider: &Value| provider["in_flight"] == 0 && provider["circuit"] == "closed";
    until_all(relay.address(), is_calm).await;
    // All places are there, at the same time, and all connections but those of the pool are gone.
    together(relay.address(), &set_mood).await;
    for upstream in &upstreams {
        upstream.wait_for_open_connections(PLACES).await;
    }
    let after = without_connections(&mut relay, &mut upstreams).await;

    let report = format!(
        "\n{seconds} s of chaos, seed {seed}: {} requests, {tally:?}\nfirst whole answer {recovered:?} after its end\n\
         before: {before:?}\nafter:  {after:?}\n",
        tally.requests()
    );
    // Written past the test runner's capture. A failure to write is harmless.
    let _ = std::io::stderr().write_all(report.as_bytes());
    assert!(tally.whole > tally.requests() / 20, "at least 5 % of the requests must succeed: {report}");
    assert!(
        tally.unseen <= tally.broken,
        "each client must receive a response or see it break off: {report}"
    );
    assert!(recovered < Duration::from_secs(2), "{report}");
    assert_eq!((after.tasks, after.files), (before.tasks, before.files), "{report}");
    if let (Some(before), Some(after)) = (before.memory, after.memory) {
        assert!(after < before + SLACK, "{report}");
    }
}

fn config(upstreams: &[Restless]) -> Value {
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
        "server": {"max_concurrent": PLACES, "timeout_ms": 3000},
        "providers": providers.collect::<Vec<_>>(),
        "routing": {"strategy": "round_robin"},
        "health": {
            "circuit_breaker": {"failure_threshold": 8, "open_duration_ms": 100, "half_open_probes": 2},
            "health_check": {"interval_ms": 100},
        },
    })
}

/// Runs all clients at once for `time`.
async fn load(relay: SocketAddr, chance: &Chance, time: Duration) -> Tally {
    let end = Instant::now() + time;
    let mut clients = JoinSet::new();
    for client in 1..=CLIENTS {
        let numbers = client * 1_000_000..(client + 1) * 1_000_000;
        clients.spawn(asking(relay, chance.clone(), numbers, end));
    }
    let mut tally = Tally::default();
    while let Some(seen) = clients.join_next().await {
        tally += seen.expect("a client sees nothing that may not be");
    }
    tally
}

/// Fills every place that there is for requests, at the same time.
async fn together(relay: SocketAddr, set_mood: &watch::Sender<Mood>) {
    set_mood.send_replace(Mood::Together(Arc::new(Barrier::new(PLACES))));
    let mut requests = JoinSet::new();
    for number in 0..PLACES as u64 {
        requests.spawn(async move {
            let (mark, body) = Mark::new(number, 100_000, false);
            let response = Call::messages(body).send(relay).await;
            assert_eq!(response.status, 200, "{response:?}");
            assert!(mark.is_answered_by(response.json()["content"][0]["text"].as_str().unwrap_or_default()));
        });
    }
    requests.join_all().await;
    set_mood.send_replace(Mood::Healthy);
}

/// Sends requests until a response is complete, and returns that time.
async fn first_whole_answer(relay: SocketAddr) -> Instant {
    let asking = async { while send(relay).await != 200 {} };
    within_limit("whole answer", asking).await;
    Instant::now()
}

/// Sends requests until `is_so` is true for all providers.
async fn until_all(relay: SocketAddr, is_so: impl Fn(&Value) -> bool) {
    let asking = async {
        loop {
            let providers = Call::get("/v1/providers").send(relay).await.json();
            if providers["data"].as_array().expect("a list").iter().all(&is_so) {
                return;
            }
            send(relay).await;
        }
    };
    within_limit("recovery of all providers", asking).await;
}

async fn send(relay: SocketAddr) -> u16 {
    let (_, body) = Mark::new(0, 1000, true);
    Call::messages(body).send(relay).await.status
}

/// Returns the resources that the idle relay holds after the upstreams have ended all connections.
async fn without_connections(relay: &mut RelayProcess, upstreams: &mut Vec<Restless>) -> Footprint {
    for upstream in std::mem::take(upstreams) {
        upstreams.push(upstream.restart(Duration::ZERO).await);
    }
    let settling = async {
        let (mut last, mut times) = (relay.footprint().await, 0);
        // The end of a connection takes a moment on either side.
        while times < 5 {
            tokio::time::sleep(Duration::from_millis(50)).await;
            let now = relay.footprint().await;
            times = if (now.tasks, now.files) == (last.tasks, last.files) { times + 1 } else { 0 };
            last = now;
        }
        last
    };
    within_limit("rest of the relay", settling).await
}
