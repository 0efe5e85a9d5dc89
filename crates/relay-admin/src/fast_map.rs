//! A map for the data path.

use std::collections::HashMap;

use foldhash::fast::RandomState;

/// A map with a fast hasher, for ids, addresses and short texts. Clients choose some texts: a map that uses it has a small bound of
/// entries, so that a search among equal hashes is bounded too.
pub(crate) type FastMap<K, V> = HashMap<K, V, RandomState>;
