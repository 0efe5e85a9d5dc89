//! Clients that stop reading in the middle of a stream.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::connection::{Connection, Target};
use crate::{Error, Result};

/// The bytes of a stream that a client reads before it stops: a few large deltas.
const READ: usize = 64 * 1024;
/// The longest time for all clients to read that much.
const LIMIT: Duration = Duration::from_secs(60);

/// Open streams whose clients read no further. Dropping them closes their connections.
#[derive(Debug)]
pub(crate) struct StalledStreams {
    _streams: Vec<(Connection, Incoming)>,
}

impl StalledStreams {
    /// Opens `count` streams, each on its own connection, and reads the start of each.
    /// # Errors
    /// If a stream fails or ends, or if their starts do not arrive in time.
    pub(crate) async fn open(target: &Target, count: usize) -> Result<Self> {
        let mut tasks = JoinSet::new();
        for session in 0..count {
            tasks.spawn(read_start(target.clone(), session));
        }
        let mut streams = Vec::with_capacity(count);
        let all = async {
            while let Some(stream) = tasks.join_next().await {
                streams.push(stream??);
            }
            Ok::<_, Error>(())
        };
        timeout(LIMIT, all).await.map_err(|_| "not all streams have started")??;
        Ok(Self { _streams: streams })
    }
}

/// Reads the start of one stream.
async fn read_start(target: Target, session: usize) -> Result<(Connection, Incoming)> {
    let mut connection = Connection::open(target.address).await?;
    let mut body = connection.send(target.request(session)?).await?.into_body();
    let mut received = 0;
    while received < READ {
        let frame = body.frame().await.ok_or("a stream ended before its client stopped reading")??;
        received += frame.data_ref().map_or(0, Bytes::len);
    }
    Ok((connection, body))
}
