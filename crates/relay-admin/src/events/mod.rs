//! The events of a relay, for any number of readers: the start and the end of each request, and what else the program adds.
//!
//! ```text
//! RecordSubscriber ─▶ ring of the last events ─┬─▶ reader: its place in the ring
//! Events::add ──────▶                          └─▶ reader
//! ```
//! An event is written once, and read by each reader at its own pace. There is no queue for a reader: one that is slower than
//! the ring has lost its place, and ends. It may then resume with a [`resync`](Resume::Resync).
//!
//! Events are added from the first reader on. After the last one has left, as many as the ring keeps are added, for readers that
//! resume. Later ones could not be read by them, and are not added until there is a reader again.

mod event;
mod reader;
mod ring;
mod shared;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use relay_server::{RecordHandle, RecordSubscriber, RequestRecord};

use self::event::Content;
use self::shared::Shared;

pub use self::reader::{Reader, Resume};

/// The most readers at one time.
const READERS: usize = 32;

/// The events of a relay. Clones share them.
#[derive(Clone)]
pub struct Events(Arc<Shared>);

impl Events {
    /// Creates a ring of `capacity` events, at least 16.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self(Arc::new(Shared::new(capacity.max(16))))
    }

    /// Adds an event of this name. `data` is JSON without line breaks.
    pub fn add(&self, name: &'static str, data: Bytes) {
        self.0.push(|| Content::Json(name, data));
    }

    /// Returns a reader of the events after the one with the id `last`, or of the events from now on. `None` if there are 32
    /// readers.
    #[must_use]
    pub fn reader(&self, last: Option<&str>) -> Option<Reader> {
        let has_place = |readers: usize| (readers < READERS).then_some(readers + 1);
        self.0.readers.fetch_update(Ordering::Relaxed, Ordering::Relaxed, has_place).ok()?;
        Some(Reader::new(Arc::clone(&self.0), last))
    }

    /// The number of readers.
    #[must_use]
    pub fn readers(&self) -> usize {
        self.0.readers.load(Ordering::Relaxed)
    }

    /// Ends all readers, and those that are created later, once they have read the events so far.
    pub fn close(&self) {
        self.0.lock().close();
        self.0.changed.notify_waiters();
    }
}

impl RecordSubscriber for Events {
    fn started(&self, record: &RecordHandle) {
        self.0.push(|| Content::Started(record.clone()));
    }

    fn finished(&self, record: &Arc<RequestRecord>) {
        self.0.push(|| Content::Ended(Arc::clone(record)));
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").field("readers", &self.readers()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(events: &Bytes) -> String {
        String::from_utf8(events.to_vec()).unwrap()
    }

    fn add(events: &Events, count: usize) {
        (0..count).for_each(|_| events.add("point", Bytes::from_static(b"{}")));
    }

    #[tokio::test]
    async fn a_reader_receives_the_events_after_its_start_in_order() {
        let events = Events::new(16);
        events.add("point", Bytes::from_static(b"{\"n\":0}"));
        let mut reader = events.reader(None).unwrap();
        for data in [&b"{\"n\":1}"[..], b"{\"n\":2}"] {
            events.add("point", Bytes::from_static(data));
        }
        let received = text(&reader.next().await.unwrap());
        let epoch = events.0.epoch;
        assert_eq!(
            received,
            format!(
                "id: {epoch}-1\nevent: point\ndata: {{\"n\":1}}\n\nid: {epoch}-2\nevent: point\ndata: {{\"n\":2}}\n\n"
            )
        );
    }

    #[tokio::test]
    async fn a_reader_that_resumes_receives_what_it_has_missed() {
        let events = Events::new(16);
        drop(events.reader(None));
        add(&events, 3);
        let epoch = events.0.epoch;
        let mut reader = events.reader(Some(&format!("{epoch}-1"))).unwrap();
        let received = text(&reader.next().await.unwrap());
        assert_eq!(received.matches("event: point").count(), 2, "{received}");
        // It was at the end: there is nothing to catch up with.
        let mut reader = events.reader(Some(&format!("{epoch}-3"))).unwrap();
        add(&events, 1);
        assert!(text(&reader.next().await.unwrap()).starts_with(&format!("id: {epoch}-4\n")));
    }

    #[tokio::test]
    async fn a_reader_that_cannot_resume_has_to_fetch_everything_again() {
        let events = Events::new(16);
        let _reader = events.reader(None).unwrap();
        add(&events, 40);
        let epoch = events.0.epoch;
        for last in [
            format!("{epoch}-1"),
            format!("{epoch}-41"),
            format!("{}-40", epoch - 1),
            "40".to_owned(),
            String::new(),
            format!("{epoch}-{}", u128::MAX),
            "é-1".to_owned(),
        ] {
            let mut reader = events.reader(Some(&last)).unwrap();
            let received = text(&reader.next().await.unwrap());
            assert_eq!(received, format!("id: {epoch}-40\nevent: resync\ndata: {{}}\n\n"), "{last}");
        }
    }

    #[tokio::test]
    async fn a_reader_slower_than_the_ring_ends() {
        let events = Events::new(16);
        let mut reader = events.reader(None).unwrap();
        add(&events, 17);
        assert_eq!(reader.next().await, None);
    }

    #[test]
    fn events_are_added_as_long_as_a_reader_can_need_them() {
        let resume = |events: &Events, number| {
            let id = format!("{}-{number}", events.0.epoch);
            events.reader(Some(&id)).unwrap().resume()
        };
        let (events, last) = (Events::new(16), |events: &Events| events.0.lock().last());
        add(&events, 3);
        assert_eq!(last(&events), 0, "there was no reader yet");
        let reader = events.reader(None);
        add(&events, 1);
        drop(reader);
        add(&events, 16);
        assert_eq!(resume(&events, 1), Resume::Continued);
        add(&events, 100);
        assert_eq!(last(&events), 17 + 17, "as many as the ring keeps, and one");
        assert_eq!(resume(&events, 17), Resume::Resync);
        add(&events, 1);
        assert_eq!(
            (resume(&events, 34), last(&events)),
            (Resume::Continued, 35),
            "numbers are not used again"
        );
    }

    #[tokio::test]
    async fn readers_are_counted_and_end_with_the_ring() {
        let events = Events::new(16);
        let mut readers: Vec<_> = std::iter::from_fn(|| events.reader(None)).take(READERS + 1).collect();
        assert_eq!((readers.len(), events.readers()), (READERS, READERS));
        readers.pop();
        let mut last = events.reader(None).unwrap();
        events.close();
        assert_eq!(last.next().await, None);
        drop((readers, last));
        assert_eq!(events.readers(), 0);
    }
}
