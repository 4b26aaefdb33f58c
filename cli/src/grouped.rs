//! Values by key, in the order in which the keys appear.

use std::hash::Hash;

use indexmap::IndexMap;

/// Collects the values of each key.
pub(crate) fn grouped<K: Hash + Eq, V>(
    pairs: impl IntoIterator<Item = (K, V)>,
) -> IndexMap<K, Vec<V>> {
    let mut all: IndexMap<K, Vec<V>> = IndexMap::new();
    for (key, value) in pairs {
        all.entry(key).or_default().push(value);
    }
    all
}
