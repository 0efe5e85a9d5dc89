//! Judges the errors of vendors with Anthropic's format: MiniMax, Moonshot, DeepSeek, OpenRouter, and other endpoints.
//!
//! Each table lists the errors whose meaning differs from their status. Most of them are about an account that cannot
//! pay, which these vendors report with statuses from 400 to 500.

use std::borrow::Cow;
use std::time::Duration;

use serde_json::Value;

use crate::failure::{self, Form, Judgement, Meaning, Rule, Scope, Subject, UpstreamError, Wait, When};

/// The pause of a key whose plan is used up, if the upstream states no time.
const PLAN_PAUSE: Duration = Duration::from_secs(60 * 60);

const MESSAGE: &str = "{message}";
const CODE: &str = "the upstream answered with its code {code}";

/// The errors of MiniMax. Their code is at the end of the message, and the status does not correspond to it:
/// `insufficient balance (1008)` comes with status 500.
///
/// # Source
/// platform.minimax.io/docs/api-reference/errorcode; github.com/MiniMax-AI/MiniMax-M2, issue 62 (the 500 in Anthropic's
/// form).
const MINIMAX: &[Rule] = &[
    // No balance.
    Rule::when(&[When::Code(&["1008"])]).means(Meaning::AccountRejected),
    Rule::when(&[When::Type(&["insufficient_balance_error"])]).means(Meaning::AccountRejected),
    // Not authorized; an invalid key.
    Rule::when(&[When::Code(&["1004", "2049"])]).means(Meaning::CredentialRejected),
    // Requests, tokens and connections per minute; a rate that grows too fast.
    Rule::when(&[When::Code(MINIMAX_LIMITS)]).means(Meaning::Limited(Scope::AsStated, Wait::LimitsOrMessage)),
    Rule::when(&[When::Code(MINIMAX_LIMITS)]).answers(429).says(MESSAGE).or_without_message(CODE),
    // The usage of the plan's period.
    Rule::when(&[When::Code(&["2056"])]).means(Meaning::Limited(Scope::Key, Wait::Pause(PLAN_PAUSE))),
    Rule::when(&[When::Code(&["2056"])]).answers(429).says(MESSAGE).or_without_message(CODE),
    // A model that the plan does not include.
    Rule::when(&[When::Code(&["2061"])])
        .means(Meaning::ModelUnavailable)
        .answers(404)
        .says("model: {message}"),
    // Content that is refused; invalid parameters.
    Rule::when(&[When::Code(&["1026", "1027", "1042", "2013"])]).means(Meaning::Refused),
    Rule::when(&[When::Code(&["1026", "1027", "1042", "2013"])])
        .answers(400)
        .says(MESSAGE)
        .or_without_message(CODE),
];
const MINIMAX_LIMITS: &[&str] = &["1002", "1039", "1041", "2045"];

/// The errors of Moonshot.
///
/// # Source
/// platform.kimi.ai, "API error codes"; github.com/MoonshotAI/Kimi-K2, issue 5 (403, no balance);
/// github.com/anomalyco/opencode, issue 24462, and github.com/continuedev/continue, issue 11443 (429, no balance);
/// github.com/MoonshotAI/kimi-code, issue 413, and github.com/openclaw/openclaw, pull request 142656 (Kimi's plan: the
/// same type for a client of the wrong kind and for a quota that is used up).
const MOONSHOT: &[Rule] = &[
    // The client is none for which Kimi's plan is sold. Neither the key nor the model is at fault.
    Rule::when(&[When::Status(403, 403), When::Says("only available for coding agents")])
        .means(Meaning::Unsupported),
    Rule::when(&[When::Type(&["exceeded_current_quota_error", "access_terminated_error"])])
        .means(Meaning::AccountRejected),
    Rule::when(&[
        When::Status(400, 429),
        When::Begins(&["your account "]),
        When::SaysOne(&["insufficient balance", "exceeded current quota"]),
    ])
    .means(Meaning::AccountRejected),
    Rule::when(&[When::Type(&["engine_overloaded_error"])]).means(Meaning::Overloaded(Wait::Headers)),
];

/// The errors of DeepSeek.
///
/// # Source
/// api-docs.deepseek.com/quick_start/error_codes: 402, "Insufficient Balance"; 503, "Server Overloaded".
/// github.com/Aider-AI/aider, issue 4851 (the first in its JSON); github.com/langbot-app/LangBot, issue 1643, and
/// github.com/deepwn/addi, issue 13 ("Model Not Exist" with status 400).
const DEEPSEEK: &[Rule] = &[
    Rule::when(&[When::Status(400, 404), When::Begins(&["model not exist"])])
        .means(Meaning::ModelUnavailable),
    Rule::when(&[When::Status(400, 404), When::Begins(&["model not exist"]), When::Foreign])
        .answers(404)
        .says("model: {message}"),
    Rule::when(&[When::Status(503, 503), When::Form(Form::Json)]).means(Meaning::Overloaded(Wait::Headers)),
];

/// The errors of OpenRouter.
///
/// # Source
/// openrouter.ai/docs, "Errors and Debugging" (402: no credits; 403: flagged by moderation; 502: the chosen model is down;
/// 503: no provider of the model is available) and "Limits" (a 402 may be the limit of a key);
/// developersdigest.tech/errors/api/openrouter/402-payment-required (`metadata.limit_source`);
/// github.com/RooCodeInc/Roo-Code, issue 515, and github.com/MCPJam/inspector, issue 1287 (403: the limit of a key);
/// github.com/tailcallhq/forgecode, issue 571 (402: the limit of a key).
const OPENROUTER: &[Rule] = &[
    // The limit of one key. The account has credits for others.
    Rule::when(&[When::Fact(LIMIT_SOURCE, "openrouter_key_limit")]).means(Meaning::CredentialRejected),
    Rule::when(&[When::Begins(&["key limit exceeded"])]).means(Meaning::CredentialRejected),
    Rule::when(&[When::Code(&["402"]), When::Says("create a key with a higher")])
        .means(Meaning::CredentialRejected),
    Rule::when(&[When::Code(&["402"])]).means(Meaning::AccountRejected),
    // The moderation of a model refuses the content. The key is not at fault.
    Rule::when(&[When::Status(403, 403), When::Says("requires moderation")]).means(Meaning::Refused),
    Rule::when(&[When::Status(403, 403), When::Says("input was flagged")]).means(Meaning::Refused),
    Rule::when(&[When::Status(502, 503)]).means(Meaning::ModelFailed),
];

/// The errors of every other endpoint: the codes of OpenAI's API for an account that cannot pay, which most gateways use.
///
/// # Source
/// platform.openai.com/docs, "Error codes"; alibabacloud.com/help, Model Studio, "Error messages" (`Arrearage`);
/// volcengine.com/docs/82379, "Error codes" (`AccountOverdueError`). novita.ai/docs/api-reference/basic-error-code
/// (`NOT_ENOUGH_BALANCE`, 403); docs.zenmux.ai, "API Error Codes" (402: `insufficient_credit`, `reject_no_credit`).
/// Ollama's cloud: github.com/ollama/ollama, issues 15990 (subscription) and 17639 (extra usage);
/// github.com/continuedev/continue, issues 10579 and 11444, and github.com/diegosouzapw/OmniRoute, issue 3709 (usage
/// limit). llama.cpp answers 503 "Loading model" while it loads one.
const ANY: &[Rule] = &[
    Rule::when(&[When::Code(BILLING)]).means(Meaning::AccountRejected),
    Rule::when(&[When::Type(BILLING)]).means(Meaning::AccountRejected),
    // Ollama's cloud, called with a key. Other models need no subscription and no extra usage.
    Rule::when(&[
        When::Status(401, 403),
        When::Begins(&["this model requires a subscription", "this model uses extra usage only"]),
    ])
    .means(Meaning::ModelUnavailable),
    // Ollama's cloud: "you (name) have reached your weekly usage limit".
    Rule::when(&[
        When::Status(429, 429),
        When::Begins(&["you (", "you have", "you've"]),
        When::SaysOne(&["session usage limit", "weekly usage limit", "monthly usage limit"]),
    ])
    .means(Meaning::Limited(Scope::Key, Wait::Pause(PLAN_PAUSE))),
    Rule::when(&[When::Status(503, 503), When::Begins(&["loading model"])])
        .means(Meaning::Overloaded(Wait::Headers)),
];
const BILLING: &[&str] = &[
    "insufficient_quota",
    "insufficient_balance",
    "insufficient_balance_error",
    "exceeded_current_quota_error",
    "billing_not_active",
    "billing_hard_limit_reached",
    "arrearage",
    "accountoverdueerror",
    "not_enough_balance",
    "reject_no_credit",
    "insufficient_credit",
];
/// The name of the fact that OpenRouter states about a 402.
const LIMIT_SOURCE: &str = "limit_source";

/// The errors of one kind of provider.
#[derive(Debug, Clone, Copy)]
pub(crate) struct VendorErrors {
    rules: &'static [Rule],
    is_minimax: bool,
}

impl VendorErrors {
    /// Returns the errors of the kind with the configured type `name`. A kind without its own table has the codes that
    /// most gateways use.
    pub(crate) fn of(name: &str) -> Self {
        let rules = match name {
            "anthropic" => &[],
            "minimax" => MINIMAX,
            "moonshot" => MOONSHOT,
            "deepseek" => DEEPSEEK,
            "openrouter" => OPENROUTER,
            _ => ANY,
        };
        Self { rules, is_minimax: name == "minimax" }
    }

    /// Judges an error in answer to a request with the relay's own key.
    pub(crate) fn judge(self, error: &UpstreamError) -> Judgement {
        let code = error.code().map(Cow::Borrowed);
        let code = if self.is_minimax { minimax_code(error).or(code) } else { code };
        let limit_source = error.text(&["error", "metadata", LIMIT_SOURCE]).unwrap_or_default();
        let facts = [(LIMIT_SOURCE, limit_source)];
        failure::judge_own_key(self.rules, &Subject::with(error, code, error.message()).with_facts(&facts))
    }
}

/// Returns MiniMax's code: `1008` for `insufficient balance (1008)`, or `base_resp.status_code`.
fn minimax_code(error: &UpstreamError) -> Option<Cow<'_, str>> {
    let at_end = || {
        let (_, code) = error.message()?.trim_end().strip_suffix(')')?.rsplit_once('(')?;
        (code.len() == 4 && code.bytes().all(|byte| byte.is_ascii_digit())).then_some(Cow::Borrowed(code))
    };
    let in_status = || match error.member(&["base_resp", "status_code"])? {
        Value::Number(code) => Some(Cow::Owned(code.to_string())),
        _ => None,
    };
    at_end().or_else(in_status)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::testing::error;
    use crate::outcome::{LimitScope, Outcome};

    #[track_caller]
    fn check(kind: &str, status: u16, body: &str, expected: Outcome) {
        assert_eq!(
            VendorErrors::of(kind).judge(&error(status, body)).outcome,
            expected,
            "{kind} {status} {body}"
        );
    }

    fn anthropic(kind: &str, message: &str) -> String {
        serde_json::json!({"type": "error", "error": {"type": kind, "message": message}}).to_string()
    }

    #[test]
    fn an_account_that_cannot_pay_is_a_rejected_key_at_every_vendor() {
        let rejected = Outcome::CredentialRejected;
        let suspended = "Your account org-1<ak-2> is suspended due to insufficient balance, please recharge";
        for (kind, status, body) in [
            ("minimax", 500, anthropic("api_error", "insufficient balance (1008)")),
            ("minimax", 429, anthropic("insufficient_balance_error", "insufficient balance (1008)")),
            (
                "minimax",
                502,
                r#"{"base_resp":{"status_code":1008,"status_msg":"insufficient balance"}}"#.to_owned(),
            ),
            ("minimax", 401, anthropic("authentication_error", "login fail (1004)")),
            ("moonshot", 429, anthropic("exceeded_current_quota_error", suspended)),
            ("moonshot", 429, anthropic("rate_limit_error", suspended)),
            (
                "moonshot",
                403,
                r#"{"error":{"message":"Your account is not active","type":"exceeded_current_quota_error"}}"#
                    .to_owned(),
            ),
            (
                "deepseek",
                402,
                r#"{"error":{"message":"Insufficient Balance","type":"unknown_error"}}"#.to_owned(),
            ),
            ("deepseek", 400, anthropic("invalid_request_error", "Insufficient Balance")),
            ("openrouter", 402, r#"{"error":{"code":402,"message":"Insufficient credits"}}"#.to_owned()),
            (
                "openrouter",
                403,
                r#"{"error":{"code":403,"message":"Key limit exceeded (total limit)."}}"#.to_owned(),
            ),
            (
                "anthropic_compatible",
                429,
                r#"{"error":{"code":"insufficient_quota","message":"x"}}"#.to_owned(),
            ),
            ("anthropic_compatible", 400, r#"{"code":"Arrearage","message":"Access denied."}"#.to_owned()),
            ("anthropic_compatible", 403, r#"{"error":{"code":"AccountOverdueError"}}"#.to_owned()),
        ] {
            check(kind, status, &body, rejected);
        }
        let poor =
            anthropic("invalid_request_error", "Your credit balance is too low to access the Anthropic API.");
        for kind in ["anthropic", "minimax", "moonshot", "deepseek", "openrouter", "anthropic_compatible"] {
            check(kind, 400, &poor, rejected);
        }
    }

    #[test]
    fn an_error_over_money_concerns_the_account_and_a_bad_key_only_itself() {
        #[track_caller]
        fn check(kind: &str, status: u16, body: &str, expected: bool) {
            let found = VendorErrors::of(kind).judge(&error(status, body));
            assert_eq!(found.outcome, Outcome::CredentialRejected, "{kind} {status} {body}");
            assert_eq!(found.is_account_rejected, expected, "{kind} {status} {body}");
        }
        let invalid = |message: &str| anthropic("invalid_request_error", message);
        let credit = "Your credit balance is too low to access the Anthropic API.";
        for kind in ["anthropic", "minimax", "moonshot", "deepseek", "openrouter", "anthropic_compatible"] {
            check(kind, 400, &invalid(credit), true);
            check(kind, 403, &anthropic("permission_error", "This organization has been disabled."), true);
            check(kind, 400, &invalid("You have reached your specified API usage limits."), true);
            check(kind, 400, &invalid("You have reached your specified workspace API usage limits."), false);
            check(kind, 402, &anthropic("billing_error", "Payment required"), true);
            check(kind, 402, &anthropic("x", "Insufficient Balance"), true);
            check(kind, 429, r#"{"error":{"message":"Insufficient account balance"}}"#, true);
            check(kind, 401, &anthropic("authentication_error", "invalid x-api-key"), false);
            check(kind, 403, &anthropic("permission_error", "Your API key does not have permission"), false);
        }
        check("minimax", 500, &anthropic("api_error", "insufficient balance (1008)"), true);
        check("minimax", 401, &anthropic("authentication_error", "invalid api key (2049)"), false);
        let suspended = "Your account org-1<ak-2> is suspended due to insufficient balance, please recharge";
        check("moonshot", 429, &anthropic("rate_limit_error", suspended), true);
        let cycle = "You've reached your usage limit for this billing cycle.";
        check("moonshot", 403, &anthropic("access_terminated_error", cycle), true);
        let metadata = |source: &str| {
            format!(r#"{{"error":{{"code":402,"message":"x","metadata":{{"limit_source":"{source}"}}}}}}"#)
        };
        check("openrouter", 402, &metadata("openrouter_credits"), true);
        check("openrouter", 402, &metadata("openrouter_key_limit"), false);
        let afford = "This request requires more credits, or fewer max_tokens. You requested up to 32000 tokens, but can \
            only afford 0.";
        let body =
            |code: u16, message: &str| serde_json::json!({"error": {"code": code, "message": message}});
        check("openrouter", 402, &body(402, afford).to_string(), true);
        let higher = format!("{afford} To increase, create a key with a higher monthly limit");
        check("openrouter", 402, &body(402, &higher).to_string(), false);
        check("openrouter", 403, &body(403, "Key limit exceeded (total limit).").to_string(), false);
        check(
            "anthropic_compatible",
            403,
            r#"{"reason":"NOT_ENOUGH_BALANCE","code":"NOT_ENOUGH_BALANCE"}"#,
            true,
        );
        check("anthropic_compatible", 400, r#"{"code":"Arrearage","message":"Access denied."}"#, true);
        check("anthropic_compatible", 403, r#"{"error":{"code":"AccountOverdueError"}}"#, true);
    }

    #[test]
    fn an_error_about_a_plan_is_as_wide_as_the_plan() {
        let agents = "Kimi For Coding is currently only available for Coding Agents such as Kimi CLI, Claude Code, etc.";
        check("moonshot", 403, &anthropic("access_terminated_error", agents), Outcome::Unsupported);
        let extra = r#"{"error":"this model uses extra usage only (not included plan usage) and your extra usage balance is empty"}"#;
        check("anthropic_compatible", 402, extra, Outcome::ModelUnavailable);
        let limited = Outcome::RateLimited { retry_after: Some(PLAN_PAUSE), scope: LimitScope::Key };
        for limit in ["session", "weekly"] {
            let body = format!(r#"{{"error":"you (name) have reached your {limit} usage limit, upgrade"}}"#);
            check("anthropic_compatible", 429, &body, limited);
        }
    }

    #[test]
    fn an_error_about_the_conversation_stays_refused() {
        for (kind, message) in [
            ("minimax", "messages.0: the text \"insufficient balance (1008)\" is invalid"),
            ("moonshot", "messages.1: 'Your account is suspended due to insufficient balance' is too long"),
            ("deepseek", "messages.3.content: unexpected \"Insufficient Balance\""),
            ("openrouter", "tools.0.name: Key limit exceeded is no valid name"),
            ("anthropic_compatible", "messages: insufficient_quota is not a role"),
            ("anthropic_compatible", "messages.0: insufficient balance is no valid content"),
            ("openrouter", "messages.0: create a key with a higher limit"),
        ] {
            check(kind, 400, &anthropic("invalid_request_error", message), Outcome::Refused);
        }
        let flagged = r#"{"error":{"code":403,"message":"m requires moderation. Your input was flagged","metadata":{}}}"#;
        check("openrouter", 403, flagged, Outcome::Refused);
    }

    #[test]
    fn errors_about_limits_and_models_do_not_reject_the_key() {
        let limited = Outcome::RateLimited { retry_after: None, scope: LimitScope::Request };
        check("minimax", 500, &anthropic("api_error", "rate limit exceeded (1002)"), limited);
        let retry_after = Some(PLAN_PAUSE);
        let plan = Outcome::RateLimited { retry_after, scope: LimitScope::Key };
        check("minimax", 429, &anthropic("rate_limit_error", "usage limit exceeded (2056)"), plan);
        let model = anthropic("api_error", "your plan does not support this model (2061)");
        check("minimax", 500, &model, Outcome::ModelUnavailable);
        let overloaded = Outcome::Overloaded { retry_after: None };
        check("moonshot", 429, &anthropic("engine_overloaded_error", "busy"), overloaded);
        check("anthropic_compatible", 503, r#"{"error":{"message":"Loading model"}}"#, overloaded);
        check(
            "openrouter",
            502,
            r#"{"error":{"code":502,"message":"Provider returned error"}}"#,
            Outcome::ModelFailed,
        );
        let busy = r#"{"error":{"message":"Service is too busy. Try again later."}}"#;
        check("deepseek", 503, busy, Outcome::Overloaded { retry_after: None });
        check("deepseek", 503, "<html>", Outcome::Failed);
        let missing = r#"{"error":{"message":"Model Not Exist","type":"invalid_request_error"}}"#;
        check("deepseek", 400, missing, Outcome::ModelUnavailable);
        let named = r#"{"error":{"message":"messages.0: Model Not Exist","type":"invalid_request_error"}}"#;
        check("deepseek", 400, named, Outcome::Refused);
        check("anthropic", 502, "", Outcome::Failed);
        let plan = anthropic("permission_error", "this model requires a subscription, upgrade for access");
        check("anthropic_compatible", 403, &plan, Outcome::ModelUnavailable);
    }
}
