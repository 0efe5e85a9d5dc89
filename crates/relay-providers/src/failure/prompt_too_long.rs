//! Recognises errors about a prompt that is too long, and writes them with Anthropic's message.

use http::StatusCode;
use relay_messages::ApiError;
use serde_json::Value;

use super::UpstreamError;
use super::wording::{self, Numbers};

/// The beginning of the message: Claude Code compacts a conversation if it reads this.
const TOO_LONG: &str = "prompt is too long";
/// The whole of Anthropic's own message, which passes as it is.
const ANTHROPICS: &str = "prompt is too long: {n} tokens > {m} maximum";

/// The words of upstreams for a prompt that is too long, in lower case, as patterns of [`wording::find`]. Of a wording with
/// and without numbers, the one with numbers comes first.
///
/// # Source
/// The comment at each group: the upstream, and the place where its users or its source state the words. The words of
/// OpenAI, vLLM, Gemini, xAI, Groq, OpenRouter, Together, GitHub Copilot, llama.cpp, LM Studio, MiniMax, Kimi, Mistral and Ollama
/// are also in earendil-works/pi, `packages/ai/src/utils/overflow.ts`.
const WORDINGS: [&str; 60] = [
    // OpenAI, Azure OpenAI, DeepSeek (evalstate/fast-agent#621), vLLM up to 0.10 (vllm-project/vllm#20409)
    "maximum context length is {m} tokens. however, your messages resulted in {n} tokens",
    "maximum context length is {m} tokens. however, you requested {n} tokens",
    "maximum context length is {m} tokens, however you requested {n} tokens",
    // OpenAI (archi-physics/archi#497)
    "input tokens exceed the configured limit of {m} tokens. your messages resulted in {n} tokens",
    // vLLM since 0.10 (UKGovernmentBEIS/inspect_ai#2634; `vllm/renderers/params.py`)
    "maximum context length is {m} tokens. however, your request has {n} input tokens",
    "maximum context length is {m} tokens and your request has {n} input tokens",
    "maximum context length is {m} tokens. however, you requested * for a total of at least {n} tokens",
    // vLLM since 0.15 (agentscope-ai/AgentTeams#346)
    "you passed {n} input tokens and requested {n} output tokens. however, the model's context length is only {m} tokens",
    "you passed *however, the model's context length is only {m} tokens",
    // vLLM (`vllm/v1/engine/processor.py`)
    "prompt (length {n}) is longer than the maximum model length of {m}",
    // vLLM with images (vllm-project/vllm#12165), its scheduler up to 0.8 (vllm-project/vllm#10440)
    "prompt (total length {n}) is too long to fit into the model (context length {m})",
    "input prompt ({n} tokens) is too long and exceeds limit of {m}",
    // OpenRouter (openrouter.ai/docs, errors of endpoints)
    "maximum context length is {m} tokens. however, you requested about {n} tokens",
    // SGLang (`sglang/srt/managers/tokenizer_manager.py`, `schedule_batch.py`)
    "maximum context length of {m} tokens. you requested a total of {n} tokens",
    "input length ({n}) exceeds model's maximum context length ({m})",
    // SGLang, Together
    "input ({n} tokens) is longer than the model's context length ({m} tokens)",
    "input length ({n} tokens) exceeds the maximum allowed length ({m} tokens)",
    // Poolside through OpenRouter (earendil-works/pi#4943)
    "input length {n} exceeds the maximum allowed input length of {m} tokens",
    "input length {n} exceeds maximum allowed input length of {m} token",
    // DS4, a server for DeepSeek models
    "prompt has {n} tokens, but the configured context size is {m} tokens",
    // Mistral (docs.mistral.ai; error `invalid_request_prompt`)
    "prompt contains {n} tokens*too large for model with {m} maximum context length",
    // Fireworks, Ollama's cloud (the clients that recognise it state it with these numbers and a reference)
    "prompt is too long: {n}, model maximum context length: {m}",
    // Several of the upstreams in this list
    "maximum context length",
    // llama.cpp (`tools/server/server.cpp`)
    "request ({n} tokens) exceeds the available context size ({m} tokens)",
    "exceeds the available context size",
    "context size has been exceeded",
    // LM Studio (lmstudio-ai/lmstudio-bug-tracker#237, #546, #2256; anomalyco/opencode#11141)
    "trying to keep the first {n} tokens when context the overflows. however, the model is loaded with context length of only {m} tokens",
    "n_keep: {n} >= n_ctx: {m}",
    "n_keep ({n}) >= n_ctx ({m})",
    "tokens to keep from the initial prompt is greater than the context length",
    // LM Studio, of a model that cannot shift its context (lmstudio-ai/lmstudio-bug-tracker#1024, #1251)
    "reached context length of {m} tokens",
    // Ollama (`server/prompt.go`, `runner`), Ollama cloud
    "exceeds the context length",
    "prompt too long; exceeded max context length",
    // Alibaba DashScope (QwenLM/qwen-code#98 and #2068)
    "range of input length should be [1, {m}]",
    // Moonshot, Kimi (MoonshotAI/kimi-cli#2011)
    "exceeded model token limit: {m} (requested: {n})",
    "exceeded model token limit",
    "input token length too long",
    // Baidu Qianfan (PaddlePaddle/ERNIE-SDK#336; code `tokens_too_long`)
    "prompt tokens too long",
    // LiteLLM, in front of any upstream (docs.litellm.ai, exception mapping)
    "contextwindowexceedederror",
    // xAI (cline/cline#3120)
    "maximum prompt length is {m} but the request contains {n} tokens",
    // Volcengine Ark, Doubao: "Total tokens of image and text exceed max message tokens" (tests of several of its clients)
    "exceed max message tokens",
    "input length {n} exceeds the maximum length {m}",
    // Groq and Cerebras, code `context_length_exceeded`
    "reduce the length of the messages or completion. current length is {n} while limit is {m}",
    "please reduce the length of the messages or completion",
    // Hugging Face TGI (`router/src/validation.rs`; huggingface/text-generation-inference#695 and #628), Together
    "`inputs` must have less than {m} tokens. given: {n}",
    "`inputs` tokens + `max_new_tokens` must be <= {m}. given: {n} `inputs` tokens and {n} `max_new_tokens`",
    // Gemini (google-gemini/gemini-cli#6678 and #4231)
    "input token count ({n}) exceeds the maximum number of tokens allowed ({m})",
    "input token count exceeds the maximum number of tokens allowed",
    // Bedrock: Claude, other models
    "input is too long",
    "too many input tokens. max input tokens: {m}, request input token count: {n}",
    // Z.AI (docs.z.ai, code 1261; anomalyco/opencode#27629, code 1210)
    "tokens in request more than max tokens allowed",
    "prompt exceeds max length",
    "reached its context window limit",
    // MiniMax, code 2013 (MiniMax-AI/MiniMax-M2#119)
    "context window exceeds limit",
    // OpenAI's Responses API
    "exceeds the context window",
    // GitHub Copilot, code `model_max_prompt_tokens_exceeded`
    "prompt token count of {n} exceeds the limit of {m}",
    // Cohere (docs.cohere.com, "Errors", 400)
    "total number of tokens in the prompt cannot exceed {m} - received {n}",
    "too many tokens: size limit exceeded by",
    // SiliconFlow, code 20015 (chatboxai/chatbox#2060, langgenius/dify#19394)
    "length of prompt_tokens ({n}) must be less than max_seq_len ({m})",
    "length of prompt_tokens *must be less than max_seq_len",
];

/// Values of `error.code` and `error.type` for a prompt that is too long: OpenAI, Z.AI, llama.cpp, GitHub Copilot, Baidu
/// Qianfan.
const CODES: [&str; 5] = [
    "context_length_exceeded",
    "model_context_window_exceeded",
    "exceed_context_size_error",
    "model_max_prompt_tokens_exceeded",
    "tokens_too_long",
];

/// Words of messages about the length of the answer. Clients read such a message and lower `max_tokens`.
const ABOUT_ANSWER: [&str; 3] = ["max_tokens", "max_completion_tokens", "max_output_tokens"];
/// Words of messages about a rate. A request that exceeds a rate is not too long for the model.
const ABOUT_RATE: [&str; 4] = ["per minute", "(tpm)", "per day", "rate limit"];

impl UpstreamError {
    /// Returns `true` if the prompt is too long for the model, and the client would not read that from the error as it is: the
    /// words are not Anthropic's, or the status is not 400. If `max_tokens` is too large, the answer is `false`: clients read
    /// that message and lower the number.
    pub(crate) fn is_prompt_too_long(&self) -> bool {
        let status = self.status().as_u16();
        // Some upstreams answer 500 where others refuse the request, or report the error in a response of status 200.
        let may_be = matches!(status, 400 | 413 | 422 | 500)
            || self.answered().is_success() && !matches!(status, 401..=403 | 429 | 503);
        let is_readable = status == 400 && self.is_in_anthropics_words();
        may_be && !is_readable && self.states_too_long_prompt()
    }

    /// Returns `true` if the words or the code state that the prompt is too long, whatever the status.
    pub(super) fn states_too_long_prompt(&self) -> bool {
        self.excess().is_some()
    }

    fn is_in_anthropics_words(&self) -> bool {
        wording::find(ANTHROPICS, self.message().unwrap_or_default()).is_some()
    }

    /// Returns the numbers that the error states if the prompt is too long.
    fn excess(&self) -> Option<Numbers> {
        let lower = self.message().unwrap_or_default().to_ascii_lowercase();
        let has = |words: &[&str]| words.iter().any(|words| lower.contains(words));
        if has(&ABOUT_RATE) {
            return None;
        }
        if let Some(numbers) = wording::find(ANTHROPICS, &lower) {
            return Some(numbers);
        }
        let mut wordings = WORDINGS.iter().filter_map(|words| wording::find(words, &lower));
        if has(&ABOUT_ANSWER) {
            // The request is larger than the context even without its answer.
            return wordings.find(Numbers::is_over);
        }
        let found = wordings.next().or_else(|| self.says_too_long().then(Numbers::default))?;
        Some(if found.is_over() { found } else { self.llama_cpp_numbers().unwrap_or(found) })
    }

    /// Returns `true` if the code or the type states that the prompt is too long, or the message does in Anthropic's words
    /// with a capital letter, which a client does not recognise.
    fn says_too_long(&self) -> bool {
        let message = self.message().unwrap_or_default();
        let is_capitalised = !message.contains(TOO_LONG) && message.to_ascii_lowercase().contains(TOO_LONG);
        let mut stated = [self.code(), self.kind()].into_iter().flatten().map(str::to_ascii_lowercase);
        is_capitalised || stated.any(|stated| CODES.contains(&stated.as_str()))
    }

    /// Returns the numbers in the members that llama.cpp adds to an error.
    fn llama_cpp_numbers(&self) -> Option<Numbers> {
        let number = |name| self.member(&["error", name]).and_then(Value::as_u64);
        let numbers = Numbers { used: number("n_prompt_tokens"), limit: number("n_ctx") };
        numbers.is_over().then_some(numbers)
    }
}

impl Numbers {
    /// Returns `true` if the size of the request is above the limit.
    fn is_over(&self) -> bool {
        matches!((self.used, self.limit), (Some(used), Some(limit)) if used > limit)
    }
}

/// Returns `error` for a prompt that is too long: Anthropic's words with the numbers, if the upstream states them, and the
/// upstream's words.
pub(super) fn api_error(error: &UpstreamError) -> ApiError {
    let numbers = match error.excess() {
        Some(Numbers { used: Some(used), limit: Some(limit) }) if used > limit => {
            format!("{TOO_LONG}: {used} tokens > {limit} maximum")
        }
        _ => TOO_LONG.to_owned(),
    };
    let message = match error.message().unwrap_or_default() {
        "" => numbers,
        message if message.starts_with(TOO_LONG) => message.to_owned(),
        message if numbers == TOO_LONG => format!("{TOO_LONG}: {message}"),
        message => format!("{numbers} ({message})"),
    };
    ApiError::new(StatusCode::BAD_REQUEST, "invalid_request_error", message)
}

#[cfg(test)]
mod tests {
    use super::super::testing::error;
    use super::*;

    fn message(message: &str) -> String {
        serde_json::json!({"error": {"message": message}}).to_string()
    }

    #[test]
    fn a_prompt_that_is_too_long_is_recognised_in_every_wording() {
        #[track_caller]
        fn check(wording: &str, numbers: Option<(u64, u64)>) {
            for (status, expected) in
                [(400, true), (413, true), (422, true), (500, true), (429, false), (503, false)]
            {
                assert_eq!(
                    error(status, &message(wording)).is_prompt_too_long(),
                    expected,
                    "{status} {wording}"
                );
            }
            let expected = match numbers {
                Some((used, limit)) => {
                    format!("prompt is too long: {used} tokens > {limit} maximum ({wording})")
                }
                None => format!("prompt is too long: {wording}"),
            };
            assert_eq!(api_error(&error(400, &message(wording))).message, expected);
        }
        let openai = "This model's maximum context length is 8192 tokens.";
        check(&format!("{openai} However, your messages resulted in 9000 tokens."), Some((9000, 8192)));
        check(
            &format!(
                "{openai} However, you requested 9100 tokens (9000 in the messages, 100 in the completion)."
            ),
            Some((9100, 8192)),
        );
        check(
            "This endpoint's maximum context length is 131072 tokens. However, you requested about 140000 tokens (108000 of \
             text input, 32000 in the output). Please reduce the length of either one.",
            Some((140_000, 131_072)),
        );
        check(&format!("{openai} However, your request has 9000 input tokens."), Some((9000, 8192)));
        check(
            "This model's maximum context length is 131072 tokens. However, you requested 4096 output tokens and your prompt \
             contains at least 126977 input tokens, for a total of at least 131073 tokens. (parameter=input_tokens, \
             value=126977)",
            Some((131_073, 131_072)),
        );
        check(
            "'max_tokens' or 'max_completion_tokens' is too large: 1000. This model's maximum context length is 8192 tokens \
             and your request has 9000 input tokens (1000 > 8192 - 9000).",
            Some((9000, 8192)),
        );
        check(
            "You passed 40961 input tokens and requested 1 output tokens. However, the model's context length is only 40960 \
             tokens, resulting in a maximum input length of 40959 tokens.",
            Some((40_962, 40_960)),
        );
        check(
            "You passed 74655 input characters and requested 320 output tokens. However, the model's context length is only \
             32000 tokens, resulting in a maximum input length of 31680 tokens.",
            None,
        );
        check(
            "The decoder prompt (length 5000) is longer than the maximum model length of 4096.",
            Some((5000, 4096)),
        );
        check(
            "request (5000 tokens) exceeds the available context size (4096 tokens), try increasing it",
            Some((5000, 4096)),
        );
        check("the request exceeds the available context size. try increasing the context size", None);
        check("Context size has been exceeded.", None);
        check(
            "Trying to keep the first 15857 tokens when context the overflows. However, the model is loaded with context \
             length of only 4096 tokens, which is not enough.",
            Some((15_857, 4096)),
        );
        check(
            "The number of tokens to keep from the initial prompt is greater than the context length (n_keep: 15028 >= \
             n_ctx: 7424). Try to load the model with a larger context length, or provide a shorter input",
            Some((15_028, 7424)),
        );
        check("Cannot truncate prompt with n_keep (15028) >= n_ctx (7424)", Some((15_028, 7424)));
        check("the input length exceeds the context length", None);
        check("prompt too long; exceeded max context length by 12 tokens", None);
        check(
            "The input (5000 tokens) is longer than the model's context length (4096 tokens).",
            Some((5000, 4096)),
        );
        check(
            "Requested token count exceeds the model's maximum context length of 32768 tokens. You requested a total of 40000 \
             tokens: 38000 tokens from the input messages and 2000 tokens for the completion.",
            Some((40_000, 32_768)),
        );
        check(
            "Input length (5000 tokens) exceeds the maximum allowed length (4091 tokens). Use a shorter input.",
            Some((5000, 4091)),
        );
        check(
            "Input length (265330) exceeds model's maximum context length (262144).",
            Some((265_330, 262_144)),
        );
        check(
            "Provider returned error: Input length 131393 exceeds the maximum allowed input length of 131,040 tokens.",
            Some((131_393, 131_040)),
        );
        check(
            "Input length 131393 exceeds maximum allowed input length of 131040 tokens",
            Some((131_393, 131_040)),
        );
        check("Prompt has 5000 tokens, but the configured context size is 4096 tokens", Some((5000, 4096)));
        check(
            "Input tokens exceed the configured limit of 272000 tokens. Your messages resulted in 477469 tokens. Please reduce \
             the length of the messages.",
            Some((477_469, 272_000)),
        );
        check("tokens in request more than max tokens allowed", None);
        check("<400> InternalError.Algo.InvalidParameter: Range of input length should be [1, 98304]", None);
        check(
            "The prompt (total length 25938) is too long to fit into the model (context length 4096). Make sure that \
             `max_model_len` is no smaller than the number of text tokens plus multimodal tokens.",
            Some((25_938, 4096)),
        );
        check("Input prompt (35247 tokens) is too long and exceeds limit of 1000", Some((35_247, 1000)));
        check(
            "Reached context length of 4096 tokens with model (arch: qwen3vlmoe) that does not currently support \
             mid-generation context overflow. Try reloading with a larger context length or shortening the prompt/chat.",
            None,
        );
        check("Input token length too long", None);
        check("Prompt tokens too long", None);
        check(
            "litellm.ContextWindowExceededError: litellm.BadRequestError: MistralException - too large",
            None,
        );
        check(
            "Invalid request: Your request exceeded model token limit: 262144 (requested: 269030)",
            Some((269_030, 262_144)),
        );
        check("Your request exceeded model token limit: 262144", None);
        check(
            "This model's maximum prompt length is 131072 but the request contains 537812 tokens.",
            Some((537_812, 131_072)),
        );
        check("Total tokens of image and text exceed max message tokens. Request id: 02", None);
        check("Input length 129000 exceeds the maximum length 98304", Some((129_000, 98_304)));
        check("Please reduce the length of the messages or completion.", None);
        check(
            "Please reduce the length of the messages or completion. Current length is 9000 while limit is 8192",
            Some((9000, 8192)),
        );
        check(
            "Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 maximum context length",
            Some((40_000, 32_768)),
        );
        check(
            "Input validation error: `inputs` must have less than 4096 tokens. Given: 5000",
            Some((5000, 4096)),
        );
        check(
            "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4097. Given: 4096 `inputs` tokens and 512 \
             `max_new_tokens`",
            Some((4608, 4097)),
        );
        check(
            "The prompt is too long: 150000, model maximum context length: 131071",
            Some((150_000, 131_071)),
        );
        check(
            "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
            Some((1_200_000, 1_048_576)),
        );
        check("The input token count exceeds the maximum number of tokens allowed 1048576.", None);
        check("Input is too long for requested model.", None);
        check(
            "Too many input tokens. Max input tokens: 8192, request input token count: 9000",
            Some((9000, 8192)),
        );
        check("[1261][Prompt exceeds max length][20261122]", None);
        check("The model has reached its context window limit.", None);
        check("invalid params, context window exceeds limit (2013)", None);
        check("Your input exceeds the context window of this model.", None);
        check("prompt token count of 140000 exceeds the limit of 128000", Some((140_000, 128_000)));
        check(
            "too many tokens: total number of tokens in the prompt cannot exceed 4081 - received 4292.",
            Some((4292, 4081)),
        );
        check("length of prompt_tokens (9000) must be less than max_seq_len (8192).", Some((9000, 8192)));
        check(
            "too many tokens: size limit exceeded by 11326 tokens. Try using shorter or fewer inputs",
            None,
        );
        check("Prompt is too long", None);
    }

    #[test]
    fn an_error_in_a_success_is_recognised_unless_its_type_contradicts() {
        let body = message("the input length exceeds the context length");
        for (status, expected) in [
            (400, true),
            (404, true),
            (500, true),
            (502, true),
            (504, true),
            (401, false),
            (429, false),
            (503, false),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(error(200, &body).with_status(status).is_prompt_too_long(), expected, "{status}");
        }
        assert!(!error(502, &body).is_prompt_too_long(), "a status of a gateway counts");
    }

    #[test]
    fn a_code_or_a_type_states_that_the_prompt_is_too_long() {
        #[track_caller]
        fn check(body: &str, expected: Option<&str>) {
            let found = error(400, body);
            let message = found.is_prompt_too_long().then(|| api_error(&found).message);
            assert_eq!(message.as_deref(), expected, "{body}");
        }
        check(
            r#"{"error":{"code":"context_length_exceeded","message":"300000 tokens"}}"#,
            Some("prompt is too long: 300000 tokens"),
        );
        check(
            r#"{"error":{"code":"model_context_window_exceeded","message":"x"}}"#,
            Some("prompt is too long: x"),
        );
        check(
            r#"{"code":"invalid-argument","error":"This model's maximum prompt length is 8 but the request contains 9 tokens."}"#,
            Some(
                "prompt is too long: 9 tokens > 8 maximum (This model's maximum prompt length is 8 but the request contains 9 \
                 tokens.)",
            ),
        );
        check(
            r#"{"error":{"code":"model_max_prompt_tokens_exceeded","message":"x"}}"#,
            Some("prompt is too long: x"),
        );
        check(
            r#"{"error":{"code":400,"message":"too big","type":"exceed_context_size_error","n_prompt_tokens":9,"n_ctx":8}}"#,
            Some("prompt is too long: 9 tokens > 8 maximum (too big)"),
        );
        check(r#"{"error":{"code":"context_length_exceeded","message":"max_tokens is too large"}}"#, None);
    }

    #[test]
    fn messages_about_other_limits_stay_as_they_are() {
        for other in [
            "input length and `max_tokens` exceed context limit: 199759 + 8192 > 200000",
            "max_tokens is too large: 128000. This model's maximum context length is 32768 tokens",
            "'max_tokens' or 'max_completion_tokens' is too large: 2000. This model's maximum context length is 4096 tokens and \
             your request has 2104 input tokens (2000 > 4096 - 2104).",
            "max_tokens: 200000 > 64000, which is the maximum allowed number of output tokens for claude-x",
            "Range of max_tokens should be [1, 8192]",
            "The parameter `max_tokens` specified in the request are not valid: expected a value <= 12288",
            "Request too large for model `x` in organization `y` on tokens per minute (TPM): Limit 6000, Requested 9000, please \
             reduce your message size and try again.",
            "This request would exceed the rate limit of 20000 input tokens per minute; maximum context length is fine",
            "messages.0.content.1.image.source.base64: image exceeds 5 MB maximum: 6291456 bytes > 5242880 bytes",
            "Too many images and documents: 105 + 0 > 100",
            "tools.0.custom.name: String should have at most 128 characters",
            "Invalid 'messages[0].content': string too long. Expected a string with maximum length 10485760",
            "A maximum of 100 PDF pages may be provided.",
            "metadata.user_id: String should have at most 256 characters",
            "messages: at least one message is required",
            "Throttling error: Too many tokens, please wait before trying again.",
            "402 This request requires more credits, or fewer max_tokens. You requested up to 65536 tokens, but can only afford 9",
        ] {
            assert!(!error(400, &message(other)).is_prompt_too_long(), "{other}");
        }
        let own =
            r#"{"type":"error","error":{"type":"x","message":"prompt is too long: 2 tokens > 1 maximum"}}"#;
        assert!(!error(400, own).is_prompt_too_long(), "a client recognises Anthropic's own words");
        assert!(error(500, own).is_prompt_too_long(), "a client expects them with the status 400");
        assert_eq!(api_error(&error(500, own)).message, "prompt is too long: 2 tokens > 1 maximum");
    }
}
