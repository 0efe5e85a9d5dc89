//! A bounded map of values that are computed from the name of a model.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

/// The maximum number of models. Clients choose the names of models, and an upstream serves a few dozen.
const MODELS: usize = 128;

/// A cache of values by the name of a model. Clones share it.
///
/// It keeps the values of at most 128 models. A full cache is emptied, and its values are computed again. Names that a client
/// invents therefore cost time but no memory.
///
/// ```
/// use relay_messages::ModelCache;
///
/// let cache = ModelCache::default();
/// assert_eq!(cache.get_or_insert_with("claude-opus-4-6", || 1), 1);
/// assert_eq!(cache.get_or_insert_with("claude-opus-4-6", || 2), 1);
/// ```
#[derive(Debug, Clone)]
pub struct ModelCache<V>(Arc<RwLock<HashMap<Box<str>, V>>>);

impl<V> Default for ModelCache<V> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<V: Clone> ModelCache<V> {
    /// Returns the value for `model`. If there is none, `value` computes it; no lock is held meanwhile.
    pub fn get_or_insert_with(&self, model: &str, value: impl FnOnce() -> V) -> V {
        let kept = self.0.read().unwrap_or_else(PoisonError::into_inner).get(model).cloned();
        kept.unwrap_or_else(|| {
            let value = value();
            let mut models = self.0.write().unwrap_or_else(PoisonError::into_inner);
            if models.len() >= MODELS {
                models.clear();
            }
            models.insert(model.into(), value.clone());
            value
        })
    }

    /// Returns some value for which `fits` is true.
    pub fn find(&self, fits: impl Fn(&V) -> bool) -> Option<V> {
        let models = self.0.read().unwrap_or_else(PoisonError::into_inner);
        models.values().find(|value| fits(value)).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_computed_once_and_the_number_of_models_is_bounded() {
        let cache = ModelCache::default();
        for number in 0..10 * MODELS {
            assert_eq!(cache.get_or_insert_with(&number.to_string(), || number), number);
            assert_eq!(cache.clone().get_or_insert_with(&number.to_string(), || 0), number);
            assert!(cache.0.read().unwrap().len() <= MODELS);
        }
        assert_eq!(cache.find(|number| number + 1 == 10 * MODELS), Some(10 * MODELS - 1));
        assert_eq!(cache.find(|number| *number == 10 * MODELS), None);
    }
}
