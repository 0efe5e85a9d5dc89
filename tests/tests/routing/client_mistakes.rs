//! A client's own mistake changes nothing for other requests: no circuit opens and no key rests, at every kind, for every
//! status and form of the refusal.

use relay_tests::Answer;
use relay_tests::fakes::anthropic;
use serde_json::json;

use super::kinds::{KINDS, OneKind};

const STATUSES: [u16; 8] = [400, 405, 409, 412, 413, 414, 415, 422];

/// The forms of a refusal with this status.
fn refusals(status: u16) -> [Answer; 5] {
    let message = "messages.0: \"your credit balance is too low\" is not valid here";
    [
        anthropic::error_with(status, "invalid_request_error", message),
        Answer::json(status, &json!({"error": {"message": message, "code": "invalid_parameter"}})),
        Answer::json(status, &json!({ "detail": message })),
        Answer::text(status, "text/html", "<html><title>No</title></html>"),
        Answer::new(status),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_request_leaves_circuit_and_key_as_they_were() {
    let answers: Vec<_> = STATUSES.into_iter().flat_map(refusals).collect();
    // Every form is streamed with every other status.
    let cases = (0..answers.len()).map(|number| (number, number % 2 == 1));
    for kind in KINDS {
        let one = OneKind::new(kind, answers.clone(), true).await;
        for (number, refused) in one.send_cases(cases.clone()).await {
            let (status, form) = (STATUSES[number / 5], number % 5);
            assert_eq!(refused.status, status, "{kind}, form {form}: {:?}", refused.body());
            assert_eq!(refused.json()["type"], "error", "{kind} {status}, form {form}");
        }
        one.assert_in_use().await;
    }
}
