//! The last events.

use std::collections::VecDeque;
use std::sync::Arc;

use super::event::{Content, Event};

/// The last events, numbered from 1.
#[derive(Debug)]
pub(super) struct Ring {
    capacity: usize,
    /// The number of the last event.
    last: u64,
    /// The number of the last event that was added while there was a reader.
    watched: u64,
    events: VecDeque<Slot>,
    is_closed: bool,
}

/// The place of an event. An event is shared only if there are readers: most have none.
#[derive(Debug)]
pub(super) enum Slot {
    Unread(Content),
    Shared(Arc<Event>),
}

impl Slot {
    /// Shares the event, whose number is `number`.
    fn share(&mut self, number: u64) -> Arc<Event> {
        let event = match std::mem::replace(self, Self::Unread(Content::None)) {
            Self::Unread(content) => Arc::new(Event::new(number, content)),
            Self::Shared(event) => event,
        };
        *self = Self::Shared(Arc::clone(&event));
        event
    }
}

/// The answer of the ring to a reader.
pub(super) enum Found {
    /// The events after its place.
    Events(Vec<Arc<Event>>),
    /// Nothing new.
    Nothing,
    /// The next event of the reader is not in the ring any more, or the ring is closed.
    End,
}

impl Ring {
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity, last: 0, watched: 0, events: VecDeque::with_capacity(capacity), is_closed: false }
    }

    /// Adds an event, and returns the one that has made room for it.
    pub(super) fn push(&mut self, content: Content) -> Option<Slot> {
        let oldest = match self.events.len() < self.capacity {
            true => None,
            false => self.events.pop_front(),
        };
        self.last += 1;
        self.events.push_back(Slot::Unread(content));
        oldest
    }

    /// Notes that there is a reader.
    pub(super) fn watch(&mut self) {
        self.watched = self.last;
    }

    /// Returns `true` if more events than are kept were added without a reader: the last reader could not resume any more.
    pub(super) fn is_unwatched(&self) -> bool {
        self.last - self.watched > self.capacity as u64
    }

    /// Removes all events. Their numbers are not used again.
    pub(super) fn clear(&mut self) -> VecDeque<Slot> {
        std::mem::take(&mut self.events)
    }

    pub(super) fn last(&self) -> u64 {
        self.last
    }

    /// Returns `true` if the event after number `last` is in the ring, or will be the next one.
    pub(super) fn has_next_after(&self, last: u64) -> bool {
        last <= self.last && self.missed(last) <= self.events.len() as u64
    }

    /// Returns at most `limit` events after number `last`.
    pub(super) fn after(&mut self, last: u64, limit: usize) -> Found {
        let missed = self.missed(last);
        if missed == 0 {
            return if self.is_closed { Found::End } else { Found::Nothing };
        }
        let Some(start) = (self.events.len() as u64).checked_sub(missed) else { return Found::End };
        let start = usize::try_from(start).unwrap_or(usize::MAX);
        let slots = self.events.iter_mut().skip(start).take(limit);
        Found::Events((last + 1..).zip(slots).map(|(number, slot)| slot.share(number)).collect())
    }

    pub(super) fn close(&mut self) {
        self.is_closed = true;
    }

    /// The number of events after number `last`.
    fn missed(&self, last: u64) -> u64 {
        self.last.saturating_sub(last)
    }
}
