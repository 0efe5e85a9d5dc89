//! One event.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use relay_server::{RecordHandle, RequestRecord};

use crate::model::Request;
use crate::recent::is_probe;

/// An event. Its text is made when the first reader needs it.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) number: u64,
    content: Content,
    text: OnceLock<Option<(&'static str, Bytes)>>,
}

/// The content of an event.
#[derive(Debug)]
pub(super) enum Content {
    /// The request has begun.
    Started(RecordHandle),
    /// The request has ended.
    Ended(Arc<RequestRecord>),
    /// An event of this name with this JSON.
    Json(&'static str, Bytes),
    /// Nothing: the content was moved to a shared event.
    None,
}

impl Event {
    pub(super) fn new(number: u64, content: Content) -> Self {
        Self { number, content, text: OnceLock::new() }
    }

    /// Returns the name of the event and its JSON; `None` for an event of a request that is not listed.
    pub(super) fn text(&self) -> Option<&(&'static str, Bytes)> {
        self.text.get_or_init(|| self.content.text()).as_ref()
    }
}

impl Content {
    fn text(&self) -> Option<(&'static str, Bytes)> {
        match self {
            Self::Started(record) => request(&record.snapshot()),
            Self::Ended(record) => request(record),
            Self::Json(name, data) => Some((name, data.clone())),
            Self::None => None,
        }
    }
}

fn request(record: &RequestRecord) -> Option<(&'static str, Bytes)> {
    if is_probe(record) {
        return None;
    }
    let json = serde_json::to_vec(&Request::from(record)).ok()?;
    Some(("request", json.into()))
}
