//! The stream of events.

use std::time::Duration;

use relay_tests::{Call, Client, within_limit};

use crate::fixture::Fixture;

/// Reads from `client` until `text` has arrived, and returns everything.
async fn read_until(client: &mut Client, text: &str) -> String {
    let mut received = String::new();
    let reading = async {
        while !received.contains(text) {
            let chunk = client.chunk().await.expect("the stream goes on");
            received.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    };
    within_limit("text in the stream of events", reading).await;
    received
}

async fn connect(fixture: &Fixture, last: Option<&str>) -> Client {
    let mut client = Client::connect(fixture.address).await;
    let call = Call::get("/admin/v1/events");
    let call = match last {
        Some(last) => call.header("last-event-id", last),
        None => call,
    };
    client.call(&call).await;
    let head = client.head().await;
    assert_eq!(head.status, 200);
    assert_eq!(head.headers.get("content-type"), Some("text/event-stream"));
    assert_eq!(head.headers.get("cache-control"), Some("no-cache, no-store, no-transform"));
    client
}

/// Returns the id of the last event in `text`.
fn last_id(text: &str) -> String {
    text.lines().rev().find_map(|line| line.strip_prefix("id: ")).unwrap().to_owned()
}

#[tokio::test]
async fn a_client_sees_requests_begin_and_end_and_resumes_where_it_was() {
    let fixture = Fixture::start().await;
    let mut client = connect(&fixture, None).await;
    let first = read_until(&mut client, "event: state").await;
    assert!(first.starts_with("retry: 2000\nevent: state\ndata: {"), "{first}");
    fixture.message("m", "", "a").await;
    let received = read_until(&mut client, r#""end":"complete""#).await;
    assert!(
        received.contains(r#""client_request_id":"a""#) && received.contains("event: request"),
        "{received}"
    );
    let last = last_id(&received);
    drop(client);

    fixture.message("m", "", "b").await;
    let mut client = connect(&fixture, Some(&last)).await;
    let received = read_until(&mut client, r#""end":"complete""#).await;
    assert!(
        received.contains(r#""client_request_id":"b""#) && !received.contains(r#""client_request_id":"a""#)
    );
    assert!(!received.contains("event: resync"), "{received}");

    let mut client = connect(&fixture, Some("1-1")).await;
    read_until(&mut client, "event: resync").await;
}

#[tokio::test]
async fn a_change_of_the_state_is_an_event() {
    let fixture = Fixture::start().await;
    let mut client = connect(&fixture, None).await;
    read_until(&mut client, "event: state").await;
    fixture.post("/admin/v1/providers/first/pause").await;
    read_until(&mut client, r#""is_paused":true"#).await;
}

#[tokio::test]
async fn two_hundred_readers_that_do_not_read_harm_no_other_client() {
    let fixture = Fixture::start().await;
    let mut refused = 0;
    let mut clients = Vec::new();
    for _ in 0..200 {
        let mut client = Client::connect_with_buffer(fixture.address, 2048).await;
        client.call(&Call::get("/admin/v1/events")).await;
        refused += usize::from(client.head().await.status == 503);
        clients.push(client);
    }
    assert_eq!((refused, fixture.events.readers()), (200 - 32, 32));
    let sending = async {
        for index in 0..200 {
            fixture.message("m", "", &format!("r{index}")).await;
        }
    };
    within_limit("requests beside slow readers", sending).await;
    assert_eq!(fixture.json("/admin/v1/state").await["in_flight"], 0);
    drop(clients);
    let freed = async {
        while fixture.events.readers() > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    within_limit("the places of clients that have left", freed).await;
}

#[tokio::test]
async fn a_stop_ends_event_streams_at_once() {
    let fixture = Fixture::start().await;
    let mut client = connect(&fixture, None).await;
    read_until(&mut client, "event: state").await;
    let start = std::time::Instant::now();
    assert_eq!(fixture.stop().await, 0);
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    while client.chunk().await.is_some() {}
    assert_eq!(client.end(), Some(relay_tests::End::Complete));
}
