//! The rules of upstreams that refuse a request only because it thinks. A request that breaks a known rule is sent with
//! thinking disabled.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::refused_fields::{KnownRefusal, RefusalScope};
use super::thinking;
use crate::body::Node;
use crate::two_generations::TwoGenerations;

/// The time that a learned rule is remembered.
const LIFETIME: Duration = Duration::from_secs(60 * 60);
/// The maximum number of models per operation, in two generations of half as many. Clients choose the names of models.
const MODELS: usize = 256;

/// A rule for requests that think.
///
/// # Source
/// api-docs.deepseek.com, "Thinking mode": the thinking of a turn with a tool call "must be passed back" in all later
/// requests. A `tool_choice` that forces a call is refused while thinking is enabled, which it is by default
/// (deepseek-ai/DeepSeek-V3#1376, osaurus-ai/osaurus#1940).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ThinkingRule {
    /// Each turn of the assistant that calls a tool holds its thinking.
    ToolTurns,
    /// `tool_choice` is not `any`.
    AnyTool,
    /// `tool_choice` names no tool.
    NamedTool,
}

impl ThinkingRule {
    const ALL: [Self; 3] = [Self::ToolTurns, Self::AnyTool, Self::NamedTool];

    /// Returns the rule that forbids the `tool_choice` of `body`. Returns `None` for a choice that forces no call.
    pub(super) fn of_tool_choice(body: Node<'_>) -> Option<Self> {
        match body.get("tool_choice")?.get("type")?.as_str()?.as_ref() {
            "any" => Some(Self::AnyTool),
            "tool" => Some(Self::NamedTool),
            _ => None,
        }
    }

    /// Returns `true` if `body`, a request that thinks, breaks the rule.
    fn is_broken_by(self, body: Node<'_>) -> bool {
        match self {
            Self::ToolTurns => thinking::lacks_thinking_of_tool_turn(body),
            choice => Self::of_tool_choice(body) == Some(choice),
        }
    }
}

impl fmt::Display for ThinkingRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ToolTurns => "thinking after a tool call without its thinking",
            Self::AnyTool => "thinking with tool_choice any",
            Self::NamedTool => "thinking with tool_choice tool",
        })
    }
}

/// The knowledge about one rule.
#[derive(Debug, Clone, Copy)]
struct Learned {
    /// `false` if the upstream has accepted a request that breaks the rule.
    holds: bool,
    /// `true` if the rule also holds for a request without `thinking`, since the upstream thinks by default.
    by_default: bool,
    until: Instant,
}

type Models = TwoGenerations<Box<str>, [Option<Learned>; 3]>;

/// The rules of one provider, by operation and model.
#[derive(Debug)]
pub(super) struct ThinkingRules {
    /// `true` if every rule is known to hold for messages, until a request shows that it does not.
    are_preset: bool,
    learned: [Mutex<Models>; 2],
}

impl ThinkingRules {
    pub(super) fn new(are_preset: bool) -> Self {
        let models = || Mutex::new(TwoGenerations::new(MODELS / 2, LIFETIME));
        Self { are_preset, learned: [models(), models()] }
    }

    /// Returns `true` if any rule may hold for requests of `scope`.
    pub(super) fn has_any(&self, scope: RefusalScope<'_>, now: Instant) -> bool {
        let learned = self.learned(scope, now);
        ThinkingRule::ALL.into_iter().any(|rule| self.current(scope, learned[rule as usize], now).holds)
    }

    /// Returns the rules that `body`, a request of `scope`, breaks. A request with disabled thinking breaks none.
    pub(super) fn broken_by(
        &self,
        scope: RefusalScope<'_>,
        body: Node<'_>,
        now: Instant,
    ) -> Vec<ThinkingRule> {
        let is_default = match thinking::mode(body) {
            thinking::Mode::Disabled => return Vec::new(),
            mode => mode == thinking::Mode::Default,
        };
        let holds = |rule: &ThinkingRule| {
            let known = self.get(scope, *rule, now);
            known.holds && (known.by_default || !is_default)
        };
        ThinkingRule::ALL.into_iter().filter(holds).filter(|rule| rule.is_broken_by(body)).collect()
    }

    /// Remembers that `rule` holds, also for requests without `thinking` if `by_default`. Returns `true` if the rule was not
    /// known before.
    pub(super) fn add(
        &self,
        scope: RefusalScope<'_>,
        rule: ThinkingRule,
        by_default: bool,
        now: Instant,
    ) -> bool {
        let known = self.get(scope, rule, now);
        let by_default = by_default || (known.holds && known.by_default);
        self.set(scope, rule, Learned { holds: true, by_default, until: now + LIFETIME }, now);
        !known.holds
    }

    /// Remembers that `rule` does not hold.
    pub(super) fn remove(&self, scope: RefusalScope<'_>, rule: ThinkingRule, now: Instant) {
        self.set(scope, rule, Learned { holds: false, by_default: false, until: now + LIFETIME }, now);
    }

    /// Returns the rules that were learned, in no particular order.
    pub(super) fn known(&self, now: Instant) -> Vec<KnownRefusal> {
        let mut known = Vec::new();
        for (is_count, suffix) in [(false, ""), (true, " (count_tokens)")] {
            for (model, learned) in self.lock(is_count).iter() {
                let rules = ThinkingRule::ALL.into_iter().zip(learned);
                let rules = rules.filter_map(|(rule, learned)| Some((rule, (*learned)?)));
                known.extend(rules.filter(|(_, learned)| learned.holds && learned.until > now).map(
                    |(rule, learned)| KnownRefusal {
                        model: model.to_string(),
                        dropped: format!("{rule}{suffix}"),
                        remaining: learned.until - now,
                    },
                ));
            }
        }
        known
    }

    fn get(&self, scope: RefusalScope<'_>, rule: ThinkingRule, now: Instant) -> Learned {
        self.current(scope, self.learned(scope, now)[rule as usize], now)
    }

    /// Returns the knowledge about each rule, which may be out of date.
    fn learned(&self, scope: RefusalScope<'_>, now: Instant) -> [Option<Learned>; 3] {
        self.lock(scope.is_count).get(scope.model, now).copied().unwrap_or_default()
    }

    /// Returns `learned`, or the preset of requests of `scope` if nothing was learned or it is out of date.
    fn current(&self, scope: RefusalScope<'_>, learned: Option<Learned>, now: Instant) -> Learned {
        let is_preset = self.are_preset && !scope.is_count;
        let preset = Learned { holds: is_preset, by_default: is_preset, until: now };
        learned.filter(|learned| learned.until > now).unwrap_or(preset)
    }

    fn set(&self, scope: RefusalScope<'_>, rule: ThinkingRule, learned: Learned, now: Instant) {
        let mut models = self.lock(scope.is_count);
        models.get_or_default(scope.model.into(), now)[rule as usize] = Some(learned);
    }

    fn lock(&self, is_count: bool) -> MutexGuard<'_, Models> {
        self.learned[usize::from(is_count)].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const M: RefusalScope<'_> = RefusalScope { model: "m", is_count: false };

    fn broken(
        rules: &ThinkingRules,
        scope: RefusalScope<'_>,
        body: &Value,
        now: Instant,
    ) -> Vec<ThinkingRule> {
        rules.broken_by(scope, Node::parse(body.to_string().as_bytes()).unwrap(), now)
    }

    #[test]
    fn a_preset_rule_holds_until_a_request_shows_that_it_does_not() {
        let (rules, now) = (ThinkingRules::new(true), Instant::now());
        let body = json!({"tool_choice": {"type": "tool", "name": "t"}});
        assert_eq!(broken(&rules, M, &body, now), [ThinkingRule::NamedTool]);
        assert_eq!(broken(&rules, RefusalScope { is_count: true, ..M }, &body, now), []);
        rules.remove(M, ThinkingRule::NamedTool, now);
        assert_eq!(broken(&rules, M, &body, now), []);
        assert_eq!(broken(&rules, RefusalScope { model: "n", ..M }, &body, now), [ThinkingRule::NamedTool]);
        assert_eq!(broken(&rules, M, &body, now + LIFETIME), [ThinkingRule::NamedTool]);
    }

    #[test]
    fn a_learned_rule_is_limited_to_its_choice_its_model_and_an_hour() {
        let (rules, now) = (ThinkingRules::new(false), Instant::now());
        let body = |kind: &str| json!({"thinking": {"type": "adaptive"}, "tool_choice": {"type": kind}});
        assert!(!rules.has_any(M, now));
        assert!(rules.add(M, ThinkingRule::AnyTool, false, now) && rules.has_any(M, now));
        assert!(!rules.add(M, ThinkingRule::AnyTool, false, now));
        assert_eq!(broken(&rules, M, &body("any"), now), [ThinkingRule::AnyTool]);
        for kind in ["tool", "auto", "none", "other"] {
            assert_eq!(broken(&rules, M, &body(kind), now), [], "{kind}");
        }
        assert_eq!(broken(&rules, M, &json!({"tool_choice": {"type": "any"}}), now), []);
        let disabled = json!({"thinking": {"type": "disabled"}, "tool_choice": {"type": "any"}});
        assert_eq!(broken(&rules, M, &disabled, now), []);
        assert!(!rules.has_any(RefusalScope { model: "n", ..M }, now));
        assert_eq!(rules.known(now)[0].dropped, "thinking with tool_choice any");
        assert!(!rules.has_any(M, now + LIFETIME) && rules.known(now + LIFETIME).is_empty());
        rules.add(M, ThinkingRule::AnyTool, true, now);
        assert_eq!(broken(&rules, M, &json!({"tool_choice": {"type": "any"}}), now), [ThinkingRule::AnyTool]);
    }
}
