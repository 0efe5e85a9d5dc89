//! The failure of one model leaves the other models, the key and the provider in use, at every kind, streamed and not.

use relay_tests::fakes::{anthropic, bedrock, ollama, vertex, zai};
use relay_tests::{Answer, Call, Upstream, sse};
use serde_json::json;

use super::kinds::{KINDS, OneKind, both_ways};

/// The answers with which a kind reports that one model fails, does not exist, is overloaded, or is not for this account.
fn failures(kind: &str) -> Vec<Answer> {
    let plain = |status, code: &str, message: &str| {
        Answer::json(status, &json!({"error": {"code": code, "message": message}}))
    };
    match kind {
        "zai" => vec![
            zai::error(400, "1211", "Unknown Model, please check the model code."),
            zai::error(429, "1311", "The current subscription plan does not yet include access to case"),
            zai::error(429, "1312", "This model is currently experiencing high traffic"),
            zai::error(429, "1305", "The service may be temporarily overloaded"),
        ],
        "minimax" => vec![
            anthropic::error_with(500, "api_error", "your current plan does not support this model (2061)"),
            anthropic::error(404),
        ],
        "moonshot" => vec![
            anthropic::error_with(429, "engine_overloaded_error", "The engine is currently overloaded"),
            anthropic::error_with(
                404,
                "resource_not_found_error",
                "Not found the model or Permission denied",
            ),
            anthropic::error_with(
                403,
                "access_terminated_error",
                "Kimi For Coding is currently only available for Coding Agents such as Kimi CLI, Claude Code.",
            ),
        ],
        "deepseek" => vec![
            plain(400, "invalid_request_error", "Model Not Exist"),
            plain(503, "x", "Service is too busy."),
        ],
        "openrouter" => vec![
            plain(404, "404", "No endpoints found for case."),
            plain(502, "502", "Provider returned error"),
            plain(503, "503", "There is no available model provider"),
            plain(403, "403", "case requires moderation. Your input was flagged"),
            Answer::json(200, &json!({"error": {"code": 502, "message": "Provider returned error"}})),
        ],
        "ollama" => vec![
            ollama::error(401, "authentication_error", "unauthorized"),
            ollama::error(403, "permission_error", "this model requires a subscription, upgrade for access"),
            Answer::json(402, &json!({"error": "this model uses extra usage only"})),
            ollama::error(404, "not_found_error", "model 'case' not found"),
            ollama::error(
                500,
                "api_error",
                "model requires more system memory (7.5 GiB) than is available (5.2 GiB)",
            ),
            ollama::error(500, "api_error", "llama runner process has terminated: exit status 2"),
            ollama::error(502, "api_error", "bad gateway"),
            ollama::error(503, "overloaded_error", "server busy, please try again"),
        ],
        "anthropic_compatible" => vec![
            plain(503, "x", "Loading model"),
            plain(404, "model_not_found", "The model does not exist"),
            Answer::json(403, &json!({"error": "this model requires a subscription, upgrade for access"})),
            Answer::json(
                402,
                &json!({"error": "this model uses extra usage only (not included plan usage)"}),
            ),
        ],
        "azure" => vec![
            plain(404, "DeploymentNotFound", "The API deployment for this resource does not exist."),
            plain(400, "api_not_supported", "Not supported"),
            plain(400, "OperationNotSupported", "The operation does not work with the specified model"),
            plain(401, "invalid_model_endpoint_authentication", "Unauthorized"),
            plain(429, "RateLimitReached", "Too many requests"),
        ],
        "bedrock" => bedrock_failures(),
        "vertex" => vec![
            vertex::error(404, "NOT_FOUND", "Publisher Model was not found"),
            vertex::error(400, "FAILED_PRECONDITION", "is not servable in region eu"),
            vertex::error(403, "PERMISSION_DENIED", "denied on '//x/publishers/anthropic/models/case'"),
            vertex::error(403, "PERMISSION_DENIED", "constraints/vertexai.allowedModels violated"),
            vertex::error(429, "RESOURCE_EXHAUSTED", "Quota exceeded"),
            vertex::error_in_array(429, "RESOURCE_EXHAUSTED", "Quota exceeded"),
            vertex::error(503, "UNAVAILABLE", "The service is currently unavailable."),
            anthropic::error(529),
            Answer::text(404, "text/html", "<html><title>Error 404 (Not Found)</title></html>"),
        ],
        _ => vec![
            anthropic::error(404),
            anthropic::error_with(
                403,
                "permission_error",
                "Your organization does not have access to model case.",
            ),
            anthropic::error(529),
            anthropic::error_with(503, "overloaded_error", "Overloaded"),
            Answer::sse([sse::error("overloaded_error", "Overloaded")]),
            Answer::sse([sse::ping(), sse::error("not_found_error", "model: case")]),
        ],
    }
}

fn bedrock_failures() -> Vec<Answer> {
    let policy = "User: arn:aws:sts::1:x is not authorized to perform: bedrock:InvokeModel on resource: \
        arn:aws:bedrock:::foundation-model/case with an explicit deny";
    let throughput = "Invocation of model ID case with on-demand throughput isn\u{2019}t supported.";
    vec![
        bedrock::error(403, "AccessDeniedException", policy),
        bedrock::error(
            403,
            "AccessDeniedException",
            "Model access is denied due to IAM user or service role",
        ),
        bedrock::error(
            403,
            "AccessDeniedException",
            "You don't have access to the model with the specified model ID.",
        ),
        bedrock::error(400, "ValidationException", throughput),
        bedrock::error(400, "ValidationException", "The provided model identifier is invalid."),
        bedrock::error(
            404,
            "ResourceNotFoundException",
            "This model version has reached the end of its life.",
        ),
        bedrock::error(400, "ServiceQuotaExceededException", "quota"),
        bedrock::error(429, "ThrottlingException", "Too many tokens per day, please wait"),
        bedrock::error(408, "ModelTimeoutException", "timeout"),
        bedrock::error(424, "ModelErrorException", "failed"),
        bedrock::error(429, "ModelNotReadyException", "not ready"),
        bedrock::error(503, "ServiceUnavailableException", "busy"),
        bedrock::stream([bedrock::exception("modelStreamErrorException", "failed")]),
        bedrock::stream([bedrock::exception("throttlingException", "slow")]),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failure_of_one_model_leaves_the_provider_and_its_key_in_use_at_every_kind() {
    for kind in KINDS {
        let failures = failures(kind);
        let one = OneKind::new(kind, failures.clone(), true).await;
        for (number, failed) in one.send_cases(both_ways(failures.len())).await {
            assert_ne!(failed.status, 200, "{kind}, case {number}");
        }
        one.assert_in_use().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_odd_status_is_a_failure_and_no_redirect_is_followed_at_every_kind() {
    const ODD: [u16; 11] = [101, 300, 301, 302, 303, 304, 307, 308, 306, 600, 999];
    let trap = Upstream::answering(anthropic::answer_with("trap")).await;
    let location = format!("{}/v1/messages", trap.url());
    let odd = |status| Answer::new(status).with_header("location", location.clone());
    for kind in KINDS {
        let one = OneKind::new(kind, ODD.into_iter().map(odd).collect(), false).await;
        for (number, response) in one.send_cases(both_ways(ODD.len())).await {
            let error = &response.json()["error"];
            let found = (response.status, &error["type"]);
            assert_eq!(found, (502, &json!("api_error")), "{kind} {}: {error}", ODD[number]);
        }
        let count = json!({"model": "case-2", "messages": []}).to_string();
        let count = Call::post("/v1/messages/count_tokens").json(count).send(one.relay.address()).await;
        assert_eq!(count.status, 200, "{kind}: an estimate: {:?}", count.body());
        one.assert_in_use().await;
    }
    assert_eq!(trap.requests().len(), 0, "no redirect is followed");
}
