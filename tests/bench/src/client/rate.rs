//! The open loop: requests at a constant rate, whatever the answers take.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::check;
use super::closed::nanoseconds;
use super::connection::{Connection, Target};
use crate::{Error, Result};

/// Sends `rate` requests a second for `time`, over `connections` connections. Returns the times in nanoseconds, sorted.
///
/// The time of a request counts from the moment at which it was due, not from its sending: a request that waits for a free
/// connection is late because the proxy is slow (the correction for coordinated omission).
/// # Errors
/// If a request fails, or if its answer is not the expected one.
pub(crate) async fn run(target: &Target, rate: u32, time: Duration, connections: usize) -> Result<Vec<u64>> {
    let total = (f64::from(rate) * time.as_secs_f64()).ceil() as u32;
    let gap = Duration::from_secs(1) / rate.max(1);
    let next = Arc::new(AtomicU32::new(0));
    let mut opened = Vec::with_capacity(connections);
    for _ in 0..connections {
        opened.push(Connection::open(target.address).await?);
    }
    let begin = Instant::now();
    let mut tasks = JoinSet::new();
    for (session, mut connection) in opened.into_iter().enumerate() {
        let (target, next) = (target.clone(), Arc::clone(&next));
        tasks.spawn(async move {
            let mut times = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= total {
                    return Ok::<_, Error>(times);
                }
                let due = begin + gap * number;
                sleep_until(due).await;
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
