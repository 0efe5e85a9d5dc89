//! The memory of a relay that serves many requests: whole ones, and ones whose client disconnects.

use std::net::SocketAddr;
use std::time::Duration;

use relay_tests::fakes::Reply;
use relay_tests::{Answer, Call, Client, Http2Client, Upstream, provider, short_or_long, within_limit};
use serde_json::json;
use tokio::task::JoinSet;

use crate::admin::{admin_address, operator, request};
use crate::measure::{open_files, resident_kib};
use crate::process::Process;

/// The clients that send requests at the same time.
const CLIENTS: usize = 8;
/// The requests of each client in one round.
const REQUESTS: usize = 32;
/// The size of a request in bytes. A relay that kept them would grow by more than [`GROWTH_KIB`] in a round.
const BODY: usize = 32 * 1024;
/// The rounds of each third of the test.
const ROUNDS: (usize, usize) = (1, 100);
/// The memory in KiB that may be added from the second third to the last one.
const GROWTH_KIB: u64 = 4 * 1024;
/// The memory in KiB that a relay may have in the end. It has about 60 MiB without optimization.
const MEMORY_KIB: u64 = 128 * 1024;

/// Sends the requests of one client. A quarter of the clients disconnect: in the body, before the answer, in the stream,
/// and over HTTP/2.
async fn run_client(relay: SocketAddr, body: String) {
    for number in 0..REQUESTS {
        let call = Call::messages(body.clone());
        let mut client = Client::connect(relay).await;
        match number % 16 {
            0 => {
                let bytes = call.bytes(&relay.to_string());
                client.send(&bytes[..bytes.len() / 2]).await;
                client.disconnect();
            }
            1 => {
                client.call(&call).await;
                client.reset();
            }
            2 => {
                client.call(&call).await;
                client.head().await;
                client.chunk().await;
                client.disconnect();
            }
            3 => {
                let client = Http2Client::connect(relay).await;
                let mut answer = client.post("/v1/messages", body.clone()).await.expect("an answer");
                answer.data().await.expect("a first event");
                answer.cancel();
            }
            _ => {
                client.call(&call).await;
                let events = client.response().await.events();
                assert_eq!(events.last().map(|event| &*event.name), Some("message_stop"));
            }
        }
    }
}

/// Runs all clients, waits until no request is left, and returns the resident memory of the relay in KiB.
async fn run_third(relay: &Process, address: SocketAddr, upstream: &Upstream, body: &str) -> u64 {
    for _ in 0..short_or_long(ROUNDS.0, ROUNDS.1) {
        let clients: JoinSet<_> = (0..CLIENTS).map(|_| run_client(address, body.to_owned())).collect();
        clients.join_all().await;
        upstream.take_requests();
    }
    let idle = async {
        while Call::get("/v1/providers").send(address).await.json()["data"][0]["in_flight"] != 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    within_limit("end of all requests", idle).await;
    resident_kib(relay)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_and_open_files_stay_the_same_over_many_requests() {
    // Without headers about limits, which the long form would exceed.
    let answer = Answer::sse(Reply::new("claude-opus-5-5").text("x".repeat(2000)).events());
    let upstream = Upstream::answering(move |_| answer.clone()).await;
    let user = operator().with_variable("CC_RELAY_USAGE__ENABLED", "true");
    let config = json!({
        "providers": [provider("a", "anthropic", &upstream.url())],
    });
    user.write("config.yaml", &config.to_string());
    let body = json!({
        "model": "claude-opus-5-5", "max_tokens": 8, "stream": true,
        "messages": [{"role": "user", "content": "x".repeat(BODY)}],
    });
    let (mut relay, address) = user.serve(&["--config", "config.yaml"]);
    let admin = admin_address(&mut relay);
    let mut memory = Vec::new();
    for _ in 0..3 {
        memory.push(run_third(&relay, address, &upstream, &body.to_string()).await);
    }
    let [first, second, last] = memory[..] else { unreachable!("three thirds") };
    let report = format!("{first} KiB, {second} KiB, {last} KiB");
    assert!(last < second + GROWTH_KIB && last < MEMORY_KIB, "{report}");

    let (_, state) =
        tokio::task::spawn_blocking(move || request(admin, "GET", "/admin/v1/state")).await.unwrap();
    assert_eq!(state["in_flight"], 0, "{state:#}");
    // Idle connections to the upstream remain, at most one for each client.
    let files = open_files(&relay);
    assert!(files < 64, "{files} open files");
}
