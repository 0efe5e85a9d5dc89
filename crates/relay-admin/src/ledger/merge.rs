//! The merging of refusals.

use std::collections::HashMap;

use super::row::{Row, State};

/// Puts the refused requests of a client with the same status into one row, with the id of the first of them. A client that repeats
/// a refused request without a pause then costs one row for each batch.
pub(super) fn merge_refusals<'a>(rows: impl Iterator<Item = Row<'a>>) -> Vec<Row<'a>> {
    let mut merged: Vec<Row<'a>> = Vec::new();
    let mut places: HashMap<(&'a str, Option<u16>), usize> = HashMap::new();
    for row in rows {
        if row.state != State::Refused {
            merged.push(row);
            continue;
        }
        match places.get(&(row.client, row.status)) {
            Some(&place) if merged[place].is_alike(&row) => {
                merged[place].amounts.requests += row.amounts.requests;
                merged[place].amounts.failed += row.amounts.failed;
            }
            _ => {
                places.insert((row.client, row.status), merged.len());
                merged.push(row);
            }
        }
    }
    merged
}

impl Row<'_> {
    /// Returns `true` if both rows are in the same groups of every report.
    fn is_alike(&self, other: &Self) -> bool {
        let hour = |row: &Row<'_>| row.unix_ms.div_euclid(super::store::HOUR_MS);
        hour(self) == hour(other) && self.session == other.session && self.model == other.model
    }
}
