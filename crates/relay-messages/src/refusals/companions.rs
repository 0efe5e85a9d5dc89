//! Betas and fields that belong together: if one of them is refused, the other has no effect or is refused
//! next.

use relay_config::{Companions, FieldPath, PathStep, Pattern, Select};

/// Fields that needed a beta formerly, or need one at some upstreams only. They usually work without the
/// beta, but not at an upstream that refuses it. Fields that always need a beta are in the table of
/// [`capabilities`](crate::capabilities).
///
/// # Source
/// Anthropic's documentation of each beta, and the combinations that Claude Code 2.1.330 sends.
const FORMERLY: [(&str, &str); 9] = [
    ("cache-diagnosis-*", "diagnostics"),
    ("compact-*", "compaction"),
    ("extended-cache-ttl-*", "blocks[].cache_control.ttl"),
    ("fine-grained-tool-streaming-*", "tools[].eager_input_streaming"),
    ("server-side-fallback-*", "fallbacks"),
    ("task-budgets-*", "output_config.task_budget"),
    ("thinking-binding-controls-*", "thinking.block_binding"),
    ("thinking-display-updates-*", "thinking.display"),
    ("advanced-tool-use-*|tool-examples-*", "tools[].input_examples"),
];

/// Pairs of a pattern for the name of a beta and a field that belongs to it.
#[derive(Debug)]
pub(super) struct BetaCompanions(Vec<(Pattern, FieldPath)>);

impl BetaCompanions {
    pub(super) fn new(companions: &Companions) -> Self {
        let formerly = FORMERLY.iter().map(|(beta, field)| {
            (Pattern::new(*beta), FieldPath::parse(field).expect("the tests read each path"))
        });
        let always = companions
            .iter()
            .flat_map(|(field, betas)| betas.iter().map(|beta| (beta.clone(), field.clone())));
        Self(always.chain(formerly).collect())
    }

    /// The pairs: a beta that matches the pattern, and a field that is removed together with it.
    pub(super) fn iter(&self) -> impl Iterator<Item = &(Pattern, FieldPath)> {
        self.0.iter()
    }
}

/// Returns `true` if every value at `place` is also at `general`.
pub(super) fn includes(general: &FieldPath, place: &FieldPath) -> bool {
    let is_wider = |(general, place): (&PathStep, &PathStep)| {
        let selects = matches!(general.select, None | Some(Select::All)) || general.select == place.select;
        general.name == place.name && selects
    };
    let (general, place) = (general.steps(), place.steps());
    general.len() == place.len() && general.iter().zip(place).all(is_wider)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_includes_the_same_field_of_one_type() {
        #[track_caller]
        fn check(general: &str, place: &str, expected: bool) {
            let [general, place] = [general, place].map(|path| FieldPath::parse(path).unwrap());
            assert_eq!(includes(&general, &place), expected, "{general} {place}");
        }
        check("speed", "speed", true);
        check("thinking.display", "thinking[adaptive].display", true);
        check("tools[].defer_loading", "tools[custom].defer_loading", true);
        check("blocks[].cache_control.scope", "blocks[].cache_control[ephemeral].scope", true);
        check("tools[custom].defer_loading", "tools[].defer_loading", false);
        check("output_config.effort", "output_config", false);
        check("thinking.display", "thinking.budget_tokens", false);
    }
}
