//! Errors that concern the whole account of a key: its money is used up, or it is disabled. Every other key of the same
//! account gets the same error.

use super::UpstreamError;

/// Codes and types of errors over the account, in lower case.
///
/// # Source
/// The tables of each kind in `vendor_errors.rs` and `zai.rs`. Z.AI: account locked, in arrears, out of balance (1110 to
/// 1121). MiniMax: no balance (1008).
const CODES: [&str; 11] = [
    "billing_error",
    "billing_not_active",
    "exceeded_current_quota_error",
    "insufficient_balance",
    "insufficient_balance_error",
    "insufficient_quota",
    "access_terminated_error",
    "accountoverdueerror",
    "arrearage",
    "invalid_payment_instrument",
    "1008",
];
/// Z.AI's codes of accounts.
const ZAI: std::ops::RangeInclusive<u32> = 1110..=1121;
/// Words of messages over the account, in lower case.
///
/// # Source
/// Anthropic's help center and github.com/anthropics/claude-code, issues 2127, 5358 and 38035; the tables of each kind.
const WORDS: [&str; 13] = [
    "credit balance is too low",
    "organization has been disabled",
    "account has been disabled",
    "reached your specified api usage limits",
    "insufficient balance",
    "insufficient_balance",
    "insufficient credits",
    "insufficient account balance",
    "exceeded current quota",
    "exceeded your current quota",
    "invalid_payment_instrument",
    "(1008)",
    "no balance",
];
/// Words of messages over one key or one workspace, whose limit is its own.
const OF_ONE_KEY: [&str; 4] = ["key limit", "workspace", "this key", "limit of the key"];

impl UpstreamError {
    /// Returns `true` if the error, by which the upstream rejects a credential, concerns its whole account.
    pub(crate) fn is_about_account(&self) -> bool {
        let message = self.message().unwrap_or_default().to_ascii_lowercase();
        let has = |words: &[&str]| words.iter().any(|words| message.contains(words));
        if has(&OF_ONE_KEY) {
            return false;
        }
        let stated: Vec<String> =
            [self.code(), self.kind()].into_iter().flatten().map(str::to_ascii_lowercase).collect();
        let is_account = |stated: &String| {
            CODES.contains(&stated.as_str()) || stated.parse().is_ok_and(|code: u32| ZAI.contains(&code))
        };
        let is_zai = ZAI.into_iter().any(|code| message.starts_with(&format!("[{code}]")));
        self.status().as_u16() == 402 || stated.iter().any(is_account) || is_zai || has(&WORDS)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::error;

    #[test]
    fn an_error_over_money_concerns_the_account_and_a_bad_key_only_itself() {
        #[track_caller]
        fn check(status: u16, kind: &str, message: &str, expected: bool) {
            let body =
                serde_json::json!({"type": "error", "error": {"type": kind, "message": message}}).to_string();
            assert_eq!(error(status, &body).is_about_account(), expected, "{body}");
        }
        check(
            400,
            "invalid_request_error",
            "Your credit balance is too low to access the Anthropic API.",
            true,
        );
        check(403, "permission_error", "This organization has been disabled.", true);
        check(400, "invalid_request_error", "You have reached your specified API usage limits.", true);
        check(
            400,
            "invalid_request_error",
            "You have reached your specified workspace API usage limits.",
            false,
        );
        check(402, "billing_error", "Payment required", true);
        check(402, "x", "Insufficient Balance", true);
        check(500, "api_error", "insufficient balance (1008)", true);
        check(429, "1113", "Insufficient balance or no resource package.", true);
        check(429, "rate_limit_error", "[1113][no money][20261122]", true);
        check(403, "x", "Key limit exceeded (total limit).", false);
        check(401, "authentication_error", "invalid x-api-key", false);
        check(403, "permission_error", "Your API key does not have permission", false);
        check(401, "1001", "token expired", false);
        check(401, "authentication_error", "invalid api key (2049)", false);
    }
}
