//! Reads the tokens that a response has used.

use http::Response;
use http::header::CONTENT_ENCODING;
use relay_messages::media_type;
use relay_providers::AnswerStats;
use relay_routing::TokensUsed;
use relay_stream::watch::{JsonWatch, SseWatch};

use crate::record::RecordHandle;

/// The content events between two counts, so that not every event takes a lock.
const DELTAS_PER_STEP: u64 = 8;

/// The source of the tokens that a response uses.
#[derive(Debug)]
pub(super) enum Meter {
    /// The body cannot be read: it is compressed, or has another media type.
    Unread,
    /// The relay reads the body itself.
    Relay(AnswerStats),
    /// Server-sent events, and the number of content events at the last count.
    Events(Box<SseWatch>),
    /// One JSON object.
    Json(Box<JsonWatch>),
}

impl Meter {
    /// Returns the meter for `response`. `record` is that of its request.
    pub(super) fn of<B>(response: &Response<B>, record: Option<&RecordHandle>) -> Self {
        if let Some(record) = record.or_else(|| response.extensions().get()) {
            return record.answer_stats().map_or(Self::Unread, Self::Relay);
        }
        let headers = response.headers();
        if headers.contains_key(CONTENT_ENCODING) {
            return Self::Unread;
        }
        if media_type::is(headers, media_type::EVENTS) {
            Self::Events(Box::default())
        } else if media_type::is(headers, media_type::JSON) {
            Self::Json(Box::default())
        } else {
            Self::Unread
        }
    }

    /// Reads the next bytes of the body.
    pub(super) fn observe(&mut self, data: &[u8]) {
        match self {
            Self::Events(watch) => watch.observe(data),
            Self::Json(watch) => watch.observe(data),
            Self::Unread | Self::Relay(_) => {}
        }
    }

    /// Returns the tokens used so far, after every [`DELTAS_PER_STEP`] content events. `counted` is the number of events at
    /// the last count.
    pub(super) fn step(&self, counted: &mut u64) -> Option<TokensUsed> {
        let deltas = match self {
            Self::Relay(stats) => stats.deltas(),
            Self::Events(watch) => watch.report().deltas,
            Self::Unread | Self::Json(_) => return None,
        };
        if deltas < *counted + DELTAS_PER_STEP {
            return None;
        }
        *counted = deltas;
        match self {
            Self::Relay(stats) => Some(TokensUsed::so_far(stats.input_tokens(), deltas)),
            Self::Events(watch) => Some(TokensUsed::of(watch.report())),
            Self::Unread | Self::Json(_) => None,
        }
    }

    /// Returns the tokens of the whole response. `is_whole` is true if its body has ended.
    pub(super) fn total(&mut self, is_whole: bool) -> TokensUsed {
        match self {
            Self::Unread => TokensUsed::default(),
            Self::Relay(stats) => {
                stats.end().map_or(TokensUsed::default(), |(report, _)| TokensUsed::of(report))
            }
            Self::Events(watch) => {
                if is_whole {
                    watch.finish();
                }
                TokensUsed::of(watch.report())
            }
            Self::Json(watch) => {
                if is_whole {
                    watch.finish();
                }
                TokensUsed::of(watch.report())
            }
        }
    }
}
