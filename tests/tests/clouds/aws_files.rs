//! Keys in AWS's own files that were copied with characters around them.

use relay_tests::fakes::bedrock::{self, ACCESS_KEY, REGION, SECRET_KEY};
use relay_tests::{Answer, Call, RelayProcess, Request, Upstream};
use serde_json::json;

const MODEL: &str = "eu.anthropic.claude-sonnet-4-5-20250929-v1:0";
const BODY: &str = r#"{"model":"claude-sonnet-4-5","max_tokens":8,"messages":[]}"#;

/// Sends a message through a relay that has these files, and returns the status. The upstream checks the signature.
async fn status(credentials: &str, config: &str, profile: Option<&str>) -> u16 {
    let home = tempfile::tempdir().expect("a directory");
    std::fs::create_dir(home.path().join(".aws")).expect("a writable directory");
    for (name, text) in [("credentials", credentials), ("config", config)] {
        std::fs::write(home.path().join(".aws").join(name), text).expect("a writable directory");
    }
    let rules = [bedrock::signed_by(ACCESS_KEY, REGION, "bedrock")];
    let upstream = Upstream::builder().require(rules).answering(answer).await;
    let mut provider = json!({
        "name": "bedrock", "type": "bedrock", "base_url": upstream.url(), "aws_region": REGION,
        "model_mapping": {"*": MODEL},
    });
    if let Some(profile) = profile {
        provider["aws_profile"] = json!(profile);
    }
    let environment = [("HOME", home.path().to_str().expect("UTF-8")), ("AWS_EC2_METADATA_DISABLED", "true")];
    let program = env!("CARGO_BIN_EXE_relay-under-test");
    let relay = RelayProcess::start(program, &json!({"providers": [provider]}), &environment).await;
    Call::messages(BODY).send(relay.address()).await.status
}

fn answer(request: &Request) -> Answer {
    bedrock::answer(request)
}

#[tokio::test]
async fn characters_around_the_keys_of_a_profile_are_not_used_in_signatures() {
    let id = ACCESS_KEY;
    for secret in [
        SECRET_KEY.to_owned(),
        format!("{SECRET_KEY}   "),
        format!("{SECRET_KEY}\u{a0}"),
        format!("\"{SECRET_KEY}\""),
        format!("\u{200b}'{SECRET_KEY}' # old"),
        format!("Bearer {SECRET_KEY}\r"),
    ] {
        let keys = format!("aws_access_key_id = '{id}'\nAWS_SECRET_ACCESS_KEY={secret}\n");
        let config = "\u{feff}[default]\nregion = x\n[profile work]\nregion = x\n";
        for (profile, section) in [(None, "default"), (Some("work"), "work")] {
            let credentials = format!("\u{feff}[{section}]\r\n{keys}");
            assert_eq!(status(&credentials, config, profile).await, 200, "{profile:?} {secret:?}");
        }
        let config = format!("{config}{keys}");
        assert_eq!(status("", &config, Some("work")).await, 200, "in the configuration file: {secret:?}");
    }
}
