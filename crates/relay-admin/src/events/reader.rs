//! A reader of events.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::{BufMut, Bytes, BytesMut};

use super::ring::Found;
use super::shared::Shared;

/// The most events that are read at once.
const BATCH: usize = 64;

/// The place of a reader after it has resumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Resume {
    /// It begins with the next event.
    Now,
    /// It continues after the event that it named.
    Continued,
    /// It has missed events that are not kept any more, and has to fetch everything again.
    Resync,
}

/// A reader of events. It has one of the places for readers until it is dropped.
#[derive(Debug)]
pub struct Reader {
    shared: Arc<Shared>,
    /// The number of the last event that was read.
    last: u64,
    resume: Resume,
    /// True until the reader has been informed that it has missed events.
    needs_resync: bool,
}

impl Reader {
    /// Creates a reader, whose place the caller has counted.
    pub(super) fn new(shared: Arc<Shared>, last: Option<&str>) -> Self {
        let ring = shared.watch();
        let known = last.and_then(|id| number(id, shared.epoch)).filter(|last| ring.has_next_after(*last));
        let resume = match (last, known) {
            (None, _) => Resume::Now,
            (Some(_), Some(_)) => Resume::Continued,
            (Some(_), None) => Resume::Resync,
        };
        let last = known.unwrap_or(ring.last());
        drop(ring);
        Self { shared, last, resume, needs_resync: resume == Resume::Resync }
    }

    /// The place of the reader at its start.
    #[must_use]
    pub fn resume(&self) -> Resume {
        self.resume
    }

    /// Waits for further events, and returns them as the text of an event stream. Returns `None` if the events are closed, or if
    /// the reader was slower than the ring. Dropping the future loses no event.
    pub async fn next(&mut self) -> Option<Bytes> {
        if std::mem::take(&mut self.needs_resync) {
            let mut text = BytesMut::new();
            self.write(&mut text, self.last, "resync", b"{}");
            return Some(text.freeze());
        }
        loop {
            let mut changed = pin!(self.shared.changed.notified());
            changed.as_mut().enable();
            let found = self.shared.lock().after(self.last, BATCH);
            match found {
                Found::Events(found) => {
                    let mut text = BytesMut::new();
                    for event in &found {
                        if let Some((name, data)) = event.text() {
                            self.write(&mut text, event.number, name, data);
                        }
                    }
                    self.last = found.last().map_or(self.last, |event| event.number);
                    if !text.is_empty() {
                        return Some(text.freeze());
                    }
                }
                Found::Nothing => changed.await,
                Found::End => return None,
            }
        }
    }

    fn write(&self, text: &mut BytesMut, number: u64, name: &str, data: &[u8]) {
        let head = format!("id: {}-{number}\nevent: {name}\ndata: ", self.shared.epoch);
        text.reserve(head.len() + data.len() + 2);
        text.put_slice(head.as_bytes());
        text.put_slice(data);
        text.put_slice(b"\n\n");
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.shared.readers.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Returns the number in the id of an event of this epoch.
fn number(id: &str, epoch: u64) -> Option<u64> {
    let (of, number) = id.split_once('-')?;
    (of.parse() == Ok(epoch)).then(|| number.parse().ok()).flatten()
}
