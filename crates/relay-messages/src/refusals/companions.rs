//! Betas and fields that belong together: if one of them is refused, the other has no effect or is refused
//! next.

use relay_config::{Companions, FieldPath, Pattern};

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

    /// The fields that are removed together with `beta`.
    pub(super) fn fields_of(&self, beta: &str) -> impl Iterator<Item = &FieldPath> {
        self.0.iter().filter(move |(pattern, _)| pattern.fits(beta)).map(|(_, field)| field)
    }

    /// Returns `true` if `beta` is removed together with the field at `place`.
    pub(super) fn leaves_with(&self, beta: &str, place: &FieldPath) -> bool {
        self.fields_of(beta).any(|field| field == place)
    }
}
