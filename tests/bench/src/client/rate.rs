//! The open loop: requests at a constant rate, whatever the answers take.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;

use super::check;
use super::closed::nanoseconds;
use super::connection::{Connection, Target};
use crate::{Error, Result};

/// The connections of an open loop: enough for 64 requests that are late.
pub(crate) const CONNECTIONS: usize = 64;

/// Sends `rate` requests a second for `time`, over `connections` connections. Returns the times in nanoseconds, sorted.
///
/// The time of a request counts from the moment at which it was due, not from its sending: a request that waits for a free
/// connection is late because the proxy is slow (the correction for coordinated omission).
/// # Errors
/// If a request fails, or if its answer is not the expected one.
pub(crate) async fn run(target: &Target, rate: u32, time: Duration, connections: usize) -> Result<Vec<u64>> {
    let total = (f64::from(rate) * time.as_secs_f64()).ceil() as u32;
    let gap = Duration::from_secs(1) / rate.max(1);
    let mut opened = Vec::with_capacity(connections);
    for _ in 0..connections {
        opened.push(Connection::open(target.address).await?);
    }
    let due = Arc::new(Mutex::new(pacer(total, gap)));
    let mut tasks = JoinSet::new();
    for (session, mut connection) in opened.into_iter().enumerate() {
        let (target, due) = (target.clone(), Arc::clone(&due));
        tasks.spawn(async move {
            let mut times = Vec::new();
            loop {
                let Some(due) = due.lock().await.recv().await else { return Ok::<_, Error>(times) };
                let answer = connection.answer(target.request(session)?).await?;
                times.push(nanoseconds(due.elapsed()));
                check::json(&answer, target.body.len())?;
            }
        });
    }
    let mut times = Vec::new();
    while let Some(one) = tasks.join_next().await {
        times.extend(one??);
    }
    times.sort_unstable();
    Ok(times)
}

/// Returns a channel with `total` moments, each sent when it is due. A thread sends them, since the timer of tokio has a
/// resolution of a millisecond.
fn pacer(total: u32, gap: Duration) -> mpsc::Receiver<Instant> {
    let (sender, receiver) = mpsc::channel(total.max(1) as usize);
    thread::spawn(move || {
        let begin = Instant::now();
        for number in 0..total {
            let due = begin + gap * number;
            thread::sleep(due.saturating_duration_since(Instant::now()));
            // The receiver is gone if the run has failed.
            if sender.try_send(due).is_err() {
                return;
            }
        }
    });
    receiver
}
