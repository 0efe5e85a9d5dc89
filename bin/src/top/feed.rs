//! Fetches the state of the relay from its admin API, again and again.

use std::time::Duration;

use http::StatusCode;
use serde_json::Value;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, timeout};

use super::data::{Request, Series, Snapshot, State};
use super::error::TopError;
use crate::status::client::Client;

/// The time between two fetches.
const INTERVAL: Duration = Duration::from_secs(1);
/// The time of a fetch is multiplied with this for the time until the next one, so that a large relay is not busy with answers.
const REST: u32 = 9;
/// The longest time between two fetches.
const LONGEST_INTERVAL: Duration = Duration::from_secs(10);
/// The number of requests that are shown.
const REQUESTS: usize = 200;

/// The wishes of the person at the terminal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    /// The text that the shown requests contain.
    pub(super) search: String,
    /// True if the shown state is to stay as it is.
    pub(super) is_paused: bool,
    /// Changed to fetch at once.
    pub(super) turn: u64,
}

/// Fetches everything that is shown.
pub(super) async fn fetch(client: &Client, search: &str) -> Result<Snapshot, TopError> {
    let state = get(client, "/admin/v1/state").await?;
    let state =
        State::of(&state).ok_or_else(|| TopError::Foreign { url: client.url(), status: StatusCode::OK })?;
    let query = match search {
        "" => String::new(),
        search => format!("&q={}", encoded(search)),
    };
    let requests = get(client, &format!("/admin/v1/requests?limit={REQUESTS}{query}")).await?;
    let requests = requests["data"].as_array().into_iter().flatten().map(Request::of).collect();
    let series = Series::of(&get(client, "/admin/v1/series?minutes=15").await?);
    Ok(Snapshot { state, requests, series })
}

async fn get(client: &Client, path: &str) -> Result<Value, TopError> {
    let url = client.url();
    let answer = client.get(path).await;
    let (status, body) = answer.map_err(|source| TopError::Unreachable { url: url.clone(), source })?;
    match status {
        StatusCode::OK => serde_json::from_slice(&body).map_err(|_| TopError::Foreign { url, status }),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(TopError::Token { url }),
        status => Err(TopError::Foreign { url, status }),
    }
}

/// Returns `text` in the form of a value of a query (RFC 3986, section 2.1).
fn encoded(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}

/// Fetches until the receiver is closed. A failure is sent too, and does not end it.
pub(super) async fn run(
    client: Client,
    mut wanted: watch::Receiver<Wanted>,
    updates: mpsc::Sender<Result<Snapshot, TopError>>,
) {
    loop {
        let now = wanted.borrow_and_update().clone();
        let mut interval = INTERVAL;
        if !now.is_paused {
            let started = Instant::now();
            let update = fetch(&client, &now.search).await;
            if updates.send(update).await.is_err() {
                return;
            }
            interval = (started.elapsed() * REST).clamp(INTERVAL, LONGEST_INTERVAL);
        }
        // A change of what is wanted ends the wait.
        match timeout(interval, wanted.changed()).await {
            Ok(Err(_)) => return,
            // A person who types changes it with each key.
            Ok(Ok(())) => sleep(Duration::from_millis(50)).await,
            Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_is_encoded_for_the_query() {
        assert_eq!(encoded("req_1 &é"), "req_1%20%26%C3%A9");
    }
}
