//! Label values: distinct texts, each with a small id, up to a limit.

use std::collections::HashMap;
use std::sync::Arc;

use crate::fast_map::FastMap;

/// The longest text that becomes a label value, in bytes.
const LONGEST: usize = 128;

/// The id of a label value. Ids are never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct ValueId(u32);

impl ValueId {
    /// The id of `none`: the request has no such fact.
    pub(super) const NONE: Self = Self(0);
    /// The id of `other`: the value is beyond a limit, or unconfirmed.
    pub(super) const OTHER: Self = Self(1);
}

/// The distinct values of one label.
#[derive(Debug)]
pub(super) struct Values {
    ids: FastMap<Arc<str>, ValueId>,
    texts: HashMap<ValueId, Arc<str>>,
    next: u32,
    limit: usize,
}

impl Values {
    /// Creates a set of at most `limit` values besides `none` and `other`.
    pub(super) fn new(limit: usize) -> Self {
        let texts = [(ValueId::NONE, "none".into()), (ValueId::OTHER, "other".into())];
        let ids = [("none".into(), ValueId::NONE), ("other".into(), ValueId::OTHER)];
        Self { ids: ids.into_iter().collect(), texts: texts.into(), next: 2, limit: limit + 2 }
    }

    /// Returns the id of `text`; [`ValueId::OTHER`] if it cannot be added, and `None` if it has to be added first.
    pub(super) fn find(&self, text: &str) -> Option<ValueId> {
        match self.ids.get(text) {
            Some(id) => Some(*id),
            None => (self.ids.len() >= self.limit || text.len() > LONGEST).then_some(ValueId::OTHER),
        }
    }

    /// Returns the id of `text`, after adding it if there is room.
    pub(super) fn add(&mut self, text: &str) -> ValueId {
        if let Some(id) = self.find(text) {
            return id;
        }
        let (id, text) = (ValueId(self.next), Arc::<str>::from(text));
        self.next = self.next.wrapping_add(1);
        self.texts.insert(id, Arc::clone(&text));
        self.ids.insert(text, id);
        id
    }

    /// Returns the value with this id.
    pub(super) fn text(&self, id: ValueId) -> Arc<str> {
        self.texts.get(&id).cloned().unwrap_or_else(|| "other".into())
    }

    /// Removes the values for which `is_kept` returns `false`, except `none` and `other`.
    pub(super) fn retain(&mut self, is_kept: impl Fn(&str) -> bool) {
        self.ids.retain(|text, id| *id <= ValueId::OTHER || is_kept(text));
        let ids = &self.ids;
        self.texts.retain(|_, text| ids.contains_key(text));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_beyond_the_limit_and_long_values_are_other() {
        let mut values = Values::new(2);
        assert_eq!(values.find("a"), None);
        let (a, b) = (values.add("a"), values.add("b"));
        assert_ne!(a, b);
        assert_eq!((values.find("a"), values.add("a")), (Some(a), a));
        assert_eq!((values.find("c"), values.add("c")), (Some(ValueId::OTHER), ValueId::OTHER));
        assert_eq!(Values::new(2).find(&"x".repeat(129)), Some(ValueId::OTHER));
    }

    #[test]
    fn a_removed_value_makes_room_and_its_id_is_not_used_again() {
        let mut values = Values::new(1);
        let a = values.add("a");
        values.retain(|_| false);
        let b = values.add("b");
        assert_ne!(a, b);
        assert_eq!((&*values.text(b), &*values.text(ValueId::NONE)), ("b", "none"));
    }
}
