//! The closed loop: each connection sends its next request after the answer to the last one.

use std::time::{Duration, Instant};

use http_body_util::BodyExt;
use tokio::task::JoinSet;

use super::check::{self, Counter};
use super::connection::{Connection, Target};
use crate::{Error, Result};

/// The form of the expected answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expect {
    Json,
    /// A stream with so many deltas.
    Stream {
        deltas: u32,
    },
}

/// The result of a loop.
#[derive(Debug, Default)]
pub(crate) struct Done {
    pub(crate) requests: u64,
    pub(crate) events: u64,
    /// Time from a request to the end of its answer, in nanoseconds, sorted.
    pub(crate) times: Vec<u64>,
    pub(crate) elapsed: Duration,
}

/// Connections that have each served a request.
#[derive(Debug)]
pub(crate) struct ClosedLoop {
    target: Target,
    expect: Expect,
    connections: Vec<Connection>,
}

impl ClosedLoop {
    /// Opens `count` connections, and sends one request over each, so that the proxy has its connections to the upstream.
    /// # Errors
    /// If a connection or a request fails.
    pub(crate) async fn open(target: Target, expect: Expect, count: usize) -> Result<Self> {
        let mut tasks = JoinSet::new();
        for session in 0..count {
            let target = target.clone();
            tasks.spawn(async move {
                let mut connection = Connection::open(target.address).await?;
                exchange(&mut connection, &target, expect, session).await?;
                Ok::<_, Error>(connection)
            });
        }
        let mut connections = Vec::with_capacity(count);
        while let Some(connection) = tasks.join_next().await {
            connections.push(connection??);
        }
        Ok(Self { target, expect, connections })
    }

    /// Runs for `time`, and waits for the answers that are then outstanding. Every request counts that was sent.
    /// # Errors
    /// If a request fails, or if its answer is not the expected one.
    pub(crate) async fn run(&mut self, time: Duration) -> Result<Done> {
        let begin = Instant::now();
        let deadline = begin + time;
        let mut tasks = JoinSet::new();
        for (session, mut connection) in self.connections.drain(..).enumerate() {
            let (target, expect) = (self.target.clone(), self.expect);
            tasks.spawn(async move {
                let mut done = Done::default();
                loop {
                    let sent = Instant::now();
                    done.events += exchange(&mut connection, &target, expect, session).await?;
                    done.times.push(nanoseconds(sent.elapsed()));
                    if Instant::now() >= deadline {
                        return Ok::<_, Error>((connection, done));
                    }
                }
            });
        }
        let mut all = Done::default();
        while let Some(one) = tasks.join_next().await {
            let (connection, done) = one??;
            self.connections.push(connection);
            all.events += done.events;
            all.times.extend(done.times);
        }
        all.elapsed = begin.elapsed();
        all.requests = all.times.len() as u64;
        all.times.sort_unstable();
        Ok(all)
    }
}

/// Sends one request, checks its answer, and returns the number of events in it.
async fn exchange(
    connection: &mut Connection,
    target: &Target,
    expect: Expect,
    session: usize,
) -> Result<u64> {
    let request = target.request(session)?;
    match expect {
        Expect::Json => {
            let answer = connection.answer(request).await?;
            check::json(&answer, target.body.len())?;
            Ok(0)
        }
        Expect::Stream { deltas } => {
            let mut body = connection.send(request).await?.into_body();
            let mut counter = Counter::default();
            while let Some(frame) = body.frame().await {
                if let Ok(data) = frame?.into_data() {
                    counter.push(&data);
                }
            }
            counter.finish(deltas.into())
        }
    }
}

/// Returns a time in nanoseconds.
pub(crate) fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
