//! Reads the fields, betas or thinking blocks that an upstream does not accept from the text of its error.
//!
//! # Source
//! Texts reported verbatim by users of Anthropic's API, Bedrock, Vertex and gateways before them.

/// The maximum number of names read from one refusal. A request with more refused parts is not worth a retry.
const NAMES: usize = 16;

/// The text after the path of a field that is unknown to pydantic.
const EXTRA_INPUT: &str = ": Extra inputs are not permitted";
/// The texts before and after a key that is unknown to Bedrock's JSON schema. The path of the object comes
/// before them, such as `#/tools/0: `.
const EXTRANEOUS: (&str, &str) = ("extraneous key [", "] is not permitted");
/// Words, in lower case, before the names of betas that the upstream does accept.
const ACCEPTED: [&str; 8] = [
    "expected one of",
    "must be one of",
    "should be one of",
    "supported betas",
    "supported beta flags",
    "supported values",
    "allowed values",
    "valid values",
];
/// Names that messages use in prose, each with the field that it means.
const PROSE: [(&str, &str); 2] =
    [("effort", "output_config.effort"), ("reasoning_effort", "output_config.effort")];
/// DeepSeek's words for an effort beside disabled thinking, which it calls by its own name (anthropics/claude-code#65863).
const EFFORT_WITHOUT_THINKING: &str = "cannot be disabled when reasoning_effort is set";
/// DeepSeek's words for a tool call without the thinking before it (deepseek-ai/DeepSeek-V3#1376).
const NOT_PASSED_BACK: &str = "must be passed back";

/// Words, in lower case, for a `tool_choice` that is refused because the request thinks: of DeepSeek ("Thinking mode does not
/// support this tool_choice", deepseek-ai/DeepSeek-V3#1376), DashScope ("The tool_choice parameter does not support being set
/// to required or object in thinking mode") and Moonshot ("tool_choice 'required' is incompatible with thinking enabled").
const NOT_WHILE_THINKING: [&str; 2] = ["does not support", "incompatible with thinking"];

/// The parts of a request that a refusal names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Fields, by their paths in the upstream's notation, such as
    /// `messages.0.content.1.cache_control.ephemeral.scope`.
    Fields(Vec<String>),
    /// Betas. Empty if the upstream only reports that one of them is unknown.
    Betas(Vec<String>),
    /// The signature or the place of a thinking block: the upstream accepts no earlier thinking of this
    /// conversation.
    Signature,
    /// A turn that does not begin with thinking, although thinking is enabled.
    ThinkingMissing,
    /// A turn with a tool call but without its thinking, for an upstream that thinks unless that is disabled.
    ThinkingNotPassedBack,
    /// A `tool_choice` that is valid only without thinking.
    ToolChoiceWhileThinking,
}

impl Refusal {
    /// Reads the first of `texts`, all of one error, that names parts which the upstream does not accept.
    pub(super) fn among<T: AsRef<str>>(texts: &[T]) -> Option<Self> {
        texts.iter().find_map(|text| Self::of(text.as_ref()))
    }

    /// Returns the parts that one message names.
    fn of(message: &str) -> Option<Self> {
        let lower = message.to_ascii_lowercase();
        let has = |text: &str| lower.contains(text);
        if has(EFFORT_WITHOUT_THINKING) {
            return Some(Self::Fields(vec![PROSE[1].1.to_owned()]));
        }
        if has(NOT_PASSED_BACK) && (has("thinking") || has("reasoning_content")) {
            return Some(Self::ThinkingNotPassedBack);
        }
        if has("thinking") && has("tool_choice") && NOT_WHILE_THINKING.iter().any(|text| has(text)) {
            return Some(Self::ToolChoiceWhileThinking);
        }
        if has("thinking") {
            if has("but found") && has("expected `thinking`") {
                return Some(Self::ThinkingMissing);
            }
            let names_signature = has("signature") && (has("invalid") || has("field required"));
            let names_redacted = has("invalid `data` in `redacted_thinking`");
            if names_signature
                || names_redacted
                || has("blocks in the latest assistant message cannot be modified")
            {
                return Some(Self::Signature);
            }
        }
        if has("beta")
            && ["unexpected", "invalid", "unknown", "unsupported", "not support"].iter().any(|w| has(w))
        {
            let names = dated_names(message);
            if !names.is_empty() || has("invalid beta flag") {
                return Some(Self::Betas(names));
            }
        }
        let mut fields: Vec<String> = extra_inputs(message).chain(extraneous_keys(message)).collect();
        fields.extend(unsupported(message));
        fields.truncate(NAMES);
        (!fields.is_empty()).then_some(Self::Fields(fields))
    }
}

/// Returns the path before each "Extra inputs are not permitted".
fn extra_inputs(message: &str) -> impl Iterator<Item = String> {
    message.match_indices(EXTRA_INPUT).take(NAMES).filter_map(|(end, _)| {
        let path = message[..end].rsplit(|c| !is_in_path(c)).next()?;
        let path = PROSE.iter().find(|(word, _)| *word == path).map_or(path, |(_, field)| field);
        (!path.is_empty()).then(|| path.to_owned())
    })
}

fn is_in_path(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-')
}

/// Returns the path of each key that is unknown to Bedrock's schema.
fn extraneous_keys(message: &str) -> impl Iterator<Item = String> {
    message.match_indices(EXTRANEOUS.0).take(NAMES).filter_map(|(at, open)| {
        let (key, rest) = message[at + open.len()..].split_once(']')?;
        if !rest.starts_with(&EXTRANEOUS.1[1..]) {
            return None;
        }
        let place = message[..at].trim_end().strip_suffix(':')?;
        let place = place.rsplit_once('#').map_or("", |(_, place)| place);
        let path: Vec<_> = place.split('/').filter(|step| !step.is_empty()).chain([key]).collect();
        Some(path.join("."))
    })
}

/// Returns the field named after "does not support", as in "This model does not support the effort
/// parameter."
fn unsupported(message: &str) -> Option<String> {
    let (before, rest) = message.split_once("does not support")?;
    let rest = rest.trim_start();
    let rest = rest.strip_prefix("the ").unwrap_or(rest);
    let name = rest.trim_start_matches(['`', '\'', '"']);
    let name = name.split(|c: char| !is_in_path(c)).next().unwrap_or_default().trim_end_matches('.');
    if let Some((_, field)) = PROSE.iter().find(|(word, _)| *word == name) {
        return Some((*field).to_owned());
    }
    // A path at the start of the message names the field:
    // `output_config.effort: this model does not support …`
    let path = before.split_once(": ").map(|(path, _)| path).filter(|path| path.contains('.'));
    let path = path.filter(|path| path.chars().all(is_in_path)).unwrap_or(name);
    (path.contains(['_', '.'])).then(|| path.to_owned())
}

/// Returns every name with a date in `message`, such as `name-2025-11-24`, up to a list of accepted names.
fn dated_names(message: &str) -> Vec<String> {
    let lower = message.to_ascii_lowercase();
    let accepted = ACCEPTED.iter().filter_map(|words| lower.find(words)).min();
    let message = &message[..accepted.unwrap_or(message.len())];
    let words = message.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_'));
    let mut names: Vec<String> = Vec::new();
    for word in words.filter(|word| is_dated(word)) {
        if names.len() < NAMES && !names.iter().any(|name| name == word) {
            names.push(word.to_owned());
        }
    }
    names
}

/// Returns `true` if `word` ends with a date, as the names of betas do.
fn is_dated(word: &str) -> bool {
    let mut parts = word.rsplitn(4, '-');
    let numeric = [2, 2, 4].into_iter().all(|digits| {
        parts.next().is_some_and(|part| part.len() == digits && part.bytes().all(|b| b.is_ascii_digit()))
    });
    numeric && parts.next().is_some_and(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(paths: &[&str]) -> Option<Refusal> {
        Some(Refusal::Fields(paths.iter().map(|&path| path.to_owned()).collect()))
    }

    fn betas(names: &[&str]) -> Option<Refusal> {
        Some(Refusal::Betas(names.iter().map(|&name| name.to_owned()).collect()))
    }

    #[test]
    fn the_refused_parts_are_read_from_a_message() {
        #[track_caller]
        fn check(message: &str, expected: Option<Refusal>) {
            assert_eq!(Refusal::among(&["", message]), expected, "{message}");
        }
        check("context_management: Extra inputs are not permitted", fields(&["context_management"]));
        check(
            "messages.0.content.1.cache_control.ephemeral.scope: Extra inputs are not permitted",
            fields(&["messages.0.content.1.cache_control.ephemeral.scope"]),
        );
        check(
            "tools.3.custom.defer_loading: Extra inputs are not permitted",
            fields(&["tools.3.custom.defer_loading"]),
        );
        check(
            "a: Extra inputs are not permitted\nb.c: Extra inputs are not permitted",
            fields(&["a", "b.c"]),
        );
        check(
            "Malformed input request: #: extraneous key [context_management] is not permitted#/tools/0: extraneous key \
             [defer_loading] is not permitted, please reformat your input and try again.",
            fields(&["context_management", "tools.0.defer_loading"]),
        );
        check("This model does not support the effort parameter.", fields(&["output_config.effort"]));
        check(
            "output_config.effort: this model does not support effort levels",
            fields(&["output_config.effort"]),
        );
        check("This model does not support `context_management`.", fields(&["context_management"]));
        check("This model does not support image input.", None);
        check("adaptive thinking is not supported on this model", None);
        check(
            "Unexpected value(s) `tool-examples-2025-10-29`, `x-2026-01-02` for the `anthropic-beta` header. Please consult \
             our documentation at docs.anthropic.com or try again without the header.",
            betas(&["tool-examples-2025-10-29", "x-2026-01-02"]),
        );
        check(
            "invalid beta flag `a-2025-01-01`. Supported values: `b-2025-01-01`, `c-2025-01-01`.",
            betas(&["a-2025-01-01"]),
        );
        check("Unexpected value(s) `x` for the `anthropic-beta` header.", None);
        check("invalid beta flag", betas(&[]));
        check("messages.1.content.0: Invalid `signature` in `thinking` block", Some(Refusal::Signature));
        check("messages.647.content.0.thinking.signature: Field required", Some(Refusal::Signature));
        check(
            "messages.1.content.0: Invalid `signature` in `thinking` block. The block is bound to a different \
             conversation. Remove the block, or set `thinking.block_binding.prefix_mismatch_behavior` to \"drop_block\".",
            Some(Refusal::Signature),
        );
        check(
            "messages.5.content.1: `thinking` or `redacted_thinking` blocks in the latest assistant message cannot be \
             modified. These blocks must remain as they were in the original response.",
            Some(Refusal::Signature),
        );
        check(
            "messages.1.content.0.type: Expected `thinking` or `redacted_thinking`, but found `tool_use`. When `thinking` \
             is enabled, a final `assistant` message must start with a thinking block (preceeding the lastmost set of \
             `tool_use` and `tool_result` blocks).",
            Some(Refusal::ThinkingMissing),
        );
        check(
            "thinking options type cannot be disabled when reasoning_effort is set",
            fields(&["output_config.effort"]),
        );
        check("This model does not support reasoning_effort.", fields(&["output_config.effort"]));
        check("reasoning_effort: Extra inputs are not permitted", fields(&["output_config.effort"]));
        check(
            "The `content[].thinking` in the thinking mode must be passed back to the API.",
            Some(Refusal::ThinkingNotPassedBack),
        );
        check(
            "The reasoning_content in the thinking mode must be passed back to the API.",
            Some(Refusal::ThinkingNotPassedBack),
        );
        for message in [
            "Thinking mode does not support this tool_choice",
            "Error from provider (DeepSeek): Thinking mode does not support this tool_choice",
            "<400> InternalError.Algo.InvalidParameter: The tool_choice parameter does not support being set to required or \
             object in thinking mode",
            "tool_choice 'required' is incompatible with thinking enabled",
        ] {
            check(message, Some(Refusal::ToolChoiceWhileThinking));
        }
        check("Thinking may not be enabled when tool_choice forces tool use.", None);
        check("This model does not support tool_choice.", fields(&["tool_choice"]));
        check("messages: at least one message is required", None);
        check("max_tokens: 200000 > 64000, which is the maximum allowed number of output tokens", None);
        check("prompt is too long: 250000 tokens > 200000 maximum", None);
        check("", None);
    }

    proptest::proptest! {
        #[test]
        fn no_text_causes_a_panic(text in "(thinking|beta|: Extra inputs are not permitted|extraneous key \\[|\\] is not permitted|does not support|#|:|-2025-01-01|\\PC){0,12}") {
            let _ = Refusal::of(&text);
        }
    }
}
