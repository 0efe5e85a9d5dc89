//! The search for the entry of a model.

use super::entry::Entry;

/// Returns the entry for `name`. An exact name precedes a pattern, and a longer pattern a shorter one.
pub(super) fn find(entries: &'static [Entry], name: &str) -> Option<&'static Entry> {
    let names = |entry: &'static Entry| entry.models.iter().map(move |model| (*model, entry));
    let fitting = entries.iter().flat_map(names).filter(|(model, _)| fits(model, name));
    fitting.max_by_key(|(model, _)| (!model.ends_with('*'), model.len())).map(|(_, entry)| entry)
}

/// Returns the entries of a kind of provider, which are neighbours in `table`.
pub(super) fn of_kind(table: &'static [Entry], kind: &str) -> &'static [Entry] {
    let start = table.iter().position(|entry| entry.kind == kind).unwrap_or(table.len());
    let length = table[start..].iter().take_while(|entry| entry.kind == kind).count();
    &table[start..start + length]
}

/// Returns `true` if `model`, a name or the start of one before `*`, covers `name`.
fn fits(model: &str, name: &str) -> bool {
    match model.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => model == name,
    }
}

#[cfg(test)]
mod tests {
    use super::super::table::ENTRIES;
    use super::*;

    #[test]
    fn an_exact_name_precedes_a_pattern_and_a_longer_pattern_a_shorter_one() {
        static TABLE: [Entry; 4] = [
            Entry::new("a", &["*"], [1; 5]),
            Entry::new("a", &["x-1*"], [2; 5]),
            Entry::new("a", &["x-*", "x-10-long-name"], [3; 5]),
            Entry::new("a", &["x-10"], [4; 5]),
        ];
        #[track_caller]
        fn check(name: &str, expected: u64) {
            assert_eq!(find(&TABLE, name).unwrap().prices.rates.input, expected, "{name}");
        }
        check("y", 1);
        check("x-2", 3);
        check("x-11", 2);
        check("x-10", 4);
        check("x-10-long-name", 3);
        check("x-10-long-name-2", 2);
    }

    #[test]
    fn the_entries_of_every_kind_are_neighbours() {
        for entry in ENTRIES {
            let own = of_kind(ENTRIES, entry.kind);
            assert_eq!(own.len(), ENTRIES.iter().filter(|other| other.kind == entry.kind).count());
        }
        assert!(of_kind(ENTRIES, "openrouter").is_empty());
    }
}
