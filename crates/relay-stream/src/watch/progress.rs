//! The progress that the frames of a checked stream make.

use bytes::Bytes;

use super::ActivityWatch;
use crate::events::EventNormalizer;

/// The progress that one frame makes in a stream whose events are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Progress {
    /// The frame completed an event that is forwarded and is not a keep-alive, or it continues a large one.
    Event,
    /// The whole frame is held as a part of an incomplete event.
    Incomplete,
    /// The frame contains only keep-alives and events that are dropped.
    Nothing,
}

/// A function to which the progress of each frame is reported.
pub(super) struct ProgressSink {
    /// Reads the forwarded bytes.
    forwarded: ActivityWatch,
    on_progress: Box<dyn FnMut(Progress) + Send>,
}

impl ProgressSink {
    pub(super) fn new(on_progress: impl FnMut(Progress) + Send + 'static) -> Self {
        Self { forwarded: ActivityWatch::new(), on_progress: Box::new(on_progress) }
    }

    /// Pushes `chunk` into `events`, and reports the progress. Returns the bytes to forward.
    pub(super) fn push(&mut self, events: &mut EventNormalizer, chunk: Bytes) -> Bytes {
        let all_held = events.held() + chunk.len();
        let forwarded = events.push(chunk);
        (self.on_progress)(if self.forwarded.observe(&forwarded) {
            Progress::Event
        } else if forwarded.is_empty() && events.held() == all_held {
            Progress::Incomplete
        } else {
            Progress::Nothing
        });
        forwarded
    }
}
