//! The parts of a request that a cached prefix depends on.

/// A part of a request that a cached prefix depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum PromptPart {
    /// The name of the model.
    Model,
    /// The definitions of tools.
    Tools,
    /// The setting `speed`.
    Speed,
    /// The system prompt.
    System,
    /// The setting `tool_choice`.
    ToolChoice,
    /// The setting `thinking`.
    Thinking,
    /// The setting `output_config`.
    OutputConfig,
    /// The messages.
    Messages,
}

impl PromptPart {
    /// The name of the member of a request: `model`, `tools`, `speed`, `system`, `tool_choice`, `thinking`, `output_config` or
    /// `messages`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Tools => "tools",
            Self::Speed => "speed",
            Self::System => "system",
            Self::ToolChoice => "tool_choice",
            Self::Thinking => "thinking",
            Self::OutputConfig => "output_config",
            Self::Messages => "messages",
        }
    }
}

/// The settings that a cached prefix depends on, each with its name, in the order of the prompt.
pub(super) const SETTINGS: [(PromptPart, &str); 5] = [
    (PromptPart::Model, "model"),
    (PromptPart::Speed, "speed"),
    (PromptPart::ToolChoice, "tool_choice"),
    (PromptPart::Thinking, "thinking"),
    (PromptPart::OutputConfig, "output_config"),
];
