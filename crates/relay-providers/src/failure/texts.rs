//! Collects the texts of an error that may name a field that the upstream does not accept.

use serde_json::Value;

/// The maximum depth of nested errors: gateways put the error of an upstream into a text of their own.
const NESTING: usize = 3;
/// The maximum number of validation errors that are read from one list.
const PROBLEMS: usize = 16;

/// Returns the texts of `error`: Anthropic's and Google's `error.message`, AWS's `message`, FastAPI's `detail`. A text that
/// holds an error as JSON is replaced by the texts of that error.
pub(super) fn of(error: &Value) -> Vec<String> {
    nested(error, NESTING)
}

fn nested(error: &Value, nesting: usize) -> Vec<String> {
    let error = error.get(0).unwrap_or(error);
    let mut found = Vec::new();
    let own = &error["error"];
    // OpenRouter puts the error of its upstream into `metadata.raw`.
    let raw = &own["metadata"]["raw"];
    for text in [raw, &own["message"], &error["message"], &error["Message"], own, &error["detail"]] {
        let Some(text) = text.as_str() else { continue };
        // Bedrock puts a sentence before the JSON, other gateways put one after it.
        let inner = text.find('{').and_then(|start| Some(&text[start..=text.rfind('}')?]));
        match inner.and_then(|inner| serde_json::from_str::<Value>(inner).ok()) {
            Some(inner) if nesting > 0 => found.extend(nested(&inner, nesting - 1)),
            _ => found.push(text.to_owned()),
        }
    }
    for problem in error["detail"].as_array().into_iter().flatten().take(PROBLEMS) {
        let path = problem["loc"].as_array().into_iter().flatten().map(|step| match step.as_str() {
            Some(step) => step.to_owned(),
            None => step.to_string(),
        });
        let path: Vec<_> = path.skip_while(|step| step == "body").collect();
        found.push(format!("{}: {}", path.join("."), problem["msg"].as_str().unwrap_or_default()));
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::error;

    #[test]
    fn texts_are_found_in_every_form_of_an_error() {
        #[track_caller]
        fn check(body: &str, expected: &[&str]) {
            assert_eq!(error(400, body).texts(), expected, "{body}");
        }
        let text = "context_management: Extra inputs are not permitted";
        check(&json!({"message": text}).to_string(), &[text]);
        check(&json!({"Message": text}).to_string(), &[text]);
        check(
            &json!({"error": {"code": 400, "message": text, "status": "INVALID_ARGUMENT"}}).to_string(),
            &[text],
        );
        check(&json!([{"error": {"code": 400, "message": text}}]).to_string(), &[text]);
        let inner = json!({"type": "error", "error": {"type": "invalid_request_error", "message": text}});
        check(&json!({"error": {"code": 400, "message": inner.to_string()}}).to_string(), &[text]);
        let model = format!("The model returned the following errors: {inner}");
        check(&json!({ "message": model }).to_string(), &[text]);
        check(
            &json!({"error": {"message": format!("{inner}. Received Model Group=x")}}).to_string(),
            &[text],
        );
        let raw = json!({"error": {"message": "Provider returned error", "code": 400,
            "metadata": {"raw": inner.to_string(), "provider_name": "x"}}});
        check(&raw.to_string(), &[text, "Provider returned error"]);
        let fast_api = json!({"detail": [{"type": "extra_forbidden", "loc": ["body", "context_management"],
            "msg": "Extra inputs are not permitted", "input": {}}]});
        check(&fast_api.to_string(), &[text]);
        check(&json!({ "detail": text }).to_string(), &[text]);
        check(&json!({ "error": text }).to_string(), &[text]);
        check(text, &[text]);
        check(
            &json!({"error": {"message": "say {\"a\": 1}: Extra inputs are not permitted"}}).to_string(),
            &[],
        );
        for odd in ["[]", "null", "{\"error\":5}"] {
            check(odd, &[]);
        }
        check("{\"detail\":[1]}", &[": "]);
        check("{\"message\":\"{{}\"}", &["{{}"]);
    }
}
