//! The iterations of an answer: the parts of its usage that other calls of a model have used.

use super::usage::{Usage, inside};
use crate::json;

/// The maximum number of iterations that are kept apart by kind and model. An answer has one model, an advisor, and three fallbacks
/// at most.
const KEPT: usize = 16;
/// The longest name of a model, in bytes.
const LONGEST_MODEL: usize = 256;

/// The tokens of the iterations of one kind by one model.
///
/// # Source
/// Anthropic's documentation of `usage.iterations`, and of compaction, the advisor tool and server-side fallback.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Iteration {
    /// The kind.
    pub kind: IterationKind,
    /// The model; `None` if the upstream does not name it.
    pub model: Option<Box<str>>,
    /// The sums of the counts.
    pub usage: Usage,
}

/// The kind of an iteration.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum IterationKind {
    /// `message`: a call of the model that answers, or of one that declined before a fallback.
    #[default]
    Message,
    /// `compaction`: the summary of a conversation that was too long. The counts of [`Usage`] do not include it.
    Compaction,
    /// `advisor_message`: a call of another model by the advisor tool. The counts of [`Usage`] do not include it.
    Advisor,
    /// `fallback_message`: the last call of the model that answered in the place of another one.
    Fallback,
}

impl IterationKind {
    fn of(kind: &[u8]) -> Option<Self> {
        Some(match kind {
            b"message" => Self::Message,
            b"compaction" => Self::Compaction,
            b"advisor_message" => Self::Advisor,
            b"fallback_message" => Self::Fallback,
            _ => return None,
        })
    }
}

/// Reads the array `iterations`, the one of the latest kind and model at the end. Returns `None` for `null` and every other value that
/// is no array. Iterations of an unknown kind are dropped, and so is what exceeds the bound of kinds and models.
pub(super) fn read(array: &[u8]) -> Option<Vec<Iteration>> {
    if !array.starts_with(b"[") {
        return None;
    }
    let mut kept: Vec<Iteration> = Vec::new();
    for element in json::elements(array) {
        let Some(kind) = json::get(element, "type").and_then(inside).and_then(IterationKind::of) else {
            continue;
        };
        let model = json::get_string(element, "model").filter(|model| model.len() <= LONGEST_MODEL);
        let place = kept.iter().position(|one| one.kind == kind && one.model.as_deref() == model.as_deref());
        let mut iteration = match place {
            Some(place) => kept.remove(place),
            None if kept.len() < KEPT => {
                Iteration { kind, model: model.map(|model| model.as_ref().into()), usage: Usage::default() }
            }
            None => continue,
        };
        let mut usage = Usage::default();
        usage.add(element);
        iteration.usage.merge(&usage);
        kept.push(iteration);
    }
    Some(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(iteration: &Iteration) -> (IterationKind, Option<&str>, [u64; 4]) {
        let usage = &iteration.usage;
        let counts = [
            usage.input_tokens,
            usage.output_tokens,
            usage.cache_creation_input_tokens,
            usage.cache_read_input_tokens,
        ];
        (iteration.kind, iteration.model.as_deref(), counts.map(Option::unwrap_or_default))
    }

    #[test]
    fn iterations_are_added_up_by_kind_and_model() {
        // The example of the documentation of the advisor tool, with a compaction and oddities.
        let read = read(
            br#"[{"type":"message","input_tokens":412,"cache_read_input_tokens":0,"cache_creation_input_tokens":0,"output_tokens":89},
            {"type":"advisor_message","model":"claude-fable-5","input_tokens":823,"cache_read_input_tokens":0,
             "cache_creation_input_tokens":6,"cache_creation":{"ephemeral_5m_input_tokens":2,"ephemeral_1h_input_tokens":4},
             "output_tokens":1612},7,null,{},{"type":"planner","input_tokens":9},
            {"type":"compaction","input_tokens":180000,"output_tokens":3500,"cache_creation_input_tokens":null},
            {"type":"message","input_tokens":1348,"cache_read_input_tokens":412,"cache_creation_input_tokens":0,"output_tokens":442}]"#,
        )
        .unwrap();
        let found: Vec<_> = read.iter().map(counts).collect();
        let advisor = (IterationKind::Advisor, Some("claude-fable-5"), [823, 1612, 6, 0]);
        let compaction = (IterationKind::Compaction, None, [180_000, 3500, 0, 0]);
        assert_eq!(found, [advisor, compaction, (IterationKind::Message, None, [1760, 531, 0, 412])]);
        assert_eq!(
            (read[0].usage.ephemeral_5m_input_tokens, read[0].usage.ephemeral_1h_input_tokens),
            (Some(2), Some(4))
        );
    }

    #[test]
    fn sums_stop_at_the_largest_number_and_models_are_bounded() {
        let huge = r#"{"type":"message","output_tokens":18446744073709551615}"#;
        let sum = read(format!("[{huge},{huge}]").as_bytes()).unwrap();
        assert_eq!(sum[0].usage.output_tokens, Some(u64::MAX));
        let models =
            (0..1000).map(|index| format!(r#"{{"type":"message","model":"m{index}","input_tokens":1}}"#));
        let many = format!("[{}]", models.collect::<Vec<_>>().join(","));
        assert_eq!(read(many.as_bytes()).unwrap().len(), KEPT);
        let long = format!(r#"[{{"type":"message","model":"{}"}}]"#, "m".repeat(LONGEST_MODEL + 1));
        assert_eq!(read(long.as_bytes()).unwrap()[0].model, None);
        for text in ["null", "{}", "7", ""] {
            assert_eq!(read(text.as_bytes()), None, "{text}");
        }
    }
}
