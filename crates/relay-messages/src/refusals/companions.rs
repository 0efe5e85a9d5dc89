//! Which betas and fields go together: with one of them refused, the other says nothing, or is refused next.

use relay_config::{Companions, FieldPath, Pattern};

/// Fields that a beta brought once or brings at some upstreams, so that they go without it as a rule; but not where it is
/// refused. The table of [`capabilities`](crate::capabilities) has those that never do.
///
/// # Source
/// Anthropic's documentation of each beta; what Claude Code 2.1.330 sends together.
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

/// Betas by patterns of their names, each with a field.
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

    /// The fields that leave with `beta`.
    pub(super) fn fields_of(&self, beta: &str) -> impl Iterator<Item = &FieldPath> {
        self.0.iter().filter(move |(pattern, _)| pattern.fits(beta)).map(|(_, field)| field)
    }

    /// Whether `beta` leaves with the field at `place`.
    pub(super) fn leaves_with(&self, beta: &str, place: &FieldPath) -> bool {
        self.fields_of(beta).any(|field| field == place)
    }
}
