//! The facts in a file of Google's credentials that decide before the first request.
//!
//! # Source
//! google-auth 2.62, `_default.py`; `external_account.py` for the sources of subject tokens.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde_json::Value;

use crate::error::Fault;

/// The largest file that is read. A file of credentials has a few thousand bytes.
const LIMIT: u64 = 64 * 1024;
/// The types that the relay can use.
const SUPPORTED: &str = "service_account, authorized_user, external_account with a file or a URL, or impersonated_service_account";

/// Returns the universe domain that the file names, or `None` if it names none or does not exist yet.
///
/// # Errors
/// The fault of a file that is no JSON object, or whose credentials are of an unsupported kind. It contains nothing of the
/// credentials except their kind.
pub(crate) fn universe_domain(path: &Path) -> Result<Option<String>, Fault> {
    let mut text = String::new();
    match File::open(path) {
        Ok(file) if path.is_file() => {
            let read = file.take(LIMIT).read_to_string(&mut text);
            read.map_err(|error| unusable(path, error.to_string()))?;
        }
        _ => return Ok(None),
    }
    let content: Value = serde_json::from_str(&text).map_err(|error| {
        unusable(path, format!("it is not JSON (line {}, column {})", error.line(), error.column()))
    })?;
    if let Some(kind) = unsupported(&content, true) {
        return Err(Fault::Value {
            found: format!("credentials of the kind {kind} in {}", path.display()),
            expected: SUPPORTED.to_owned(),
            hint: String::new(),
        });
    }
    Ok(content["universe_domain"].as_str().filter(|domain| !domain.is_empty()).map(str::to_owned))
}

/// Returns `true` if the file names the project of its credentials, as that of a service account does.
pub(crate) fn names_project(path: &Path) -> bool {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(LIMIT).read_to_string(&mut text));
    let content: Value = read.ok().and_then(|_| serde_json::from_str(&text).ok()).unwrap_or_default();
    content["project_id"].as_str().is_some_and(|project| !project.is_empty())
}

fn unusable(path: &Path, reason: String) -> Fault {
    Fault::File { path: path.to_owned(), reason }
}

/// Returns the kind of the credentials if the relay cannot use it. Credentials may be impersonated once.
fn unsupported(content: &Value, may_impersonate: bool) -> Option<String> {
    let kind = content["type"].as_str().unwrap_or("without a type");
    match kind {
        "service_account" | "authorized_user" => None,
        "external_account" => {
            let source = &content["credential_source"];
            if source.get("environment_id").is_some() {
                Some("external_account with an AWS source".to_owned())
            } else if source.get("executable").is_some() {
                Some("external_account with an executable".to_owned())
            } else if source.get("certificate").is_some() {
                Some("external_account with a certificate".to_owned())
            } else {
                None
            }
        }
        "impersonated_service_account" if may_impersonate => {
            let source = unsupported(&content["source_credentials"], false)?;
            Some(format!("impersonated_service_account by {source}"))
        }
        kind => Some(kind.chars().filter(|c| !c.is_control()).take(60).collect()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(content: &str, expected: Result<Option<&str>, &str>) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key.json");
        std::fs::write(&path, content).unwrap();
        match (universe_domain(&path), expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found.as_deref(), expected, "{content}"),
            (Err(fault), Err(part)) => assert!(fault.to_string().contains(part), "{fault}"),
            (found, _) => panic!("{content}: {found:?}"),
        }
    }

    #[test]
    fn credentials_of_unsupported_kinds_are_named() {
        for kind in ["external_account_authorized_user", "gdch_service_account", "oauth2"] {
            check(&json!({"type": kind}).to_string(), Err(&format!("credentials of the kind {kind} in ")));
        }
        let external = |source: Value| json!({"type": "external_account", "credential_source": source});
        check(
            &external(json!({"environment_id": "aws1"})).to_string(),
            Err("external_account with an AWS source"),
        );
        check(&external(json!({"executable": {}})).to_string(), Err("external_account with an executable"));
        check(&external(json!({"certificate": {}})).to_string(), Err("external_account with a certificate"));
        check(&external(json!({"file": "/t"})).to_string(), Ok(None));
        let impersonated =
            |source: Value| json!({"type": "impersonated_service_account", "source_credentials": source});
        check(&impersonated(json!({"type": "authorized_user"})).to_string(), Ok(None));
        let nested = impersonated(json!({"type": "gdch_service_account"})).to_string();
        check(&nested, Err("impersonated_service_account by gdch_service_account"));
        check("{}", Err("credentials of the kind without a type"));
        check("{\"private_key\": \"SECRET", Err("it is not JSON (line 1, column"));
    }

    #[test]
    fn the_universe_domain_is_read_and_a_missing_file_is_none() {
        check(r#"{"type":"service_account","universe_domain":"example.goog"}"#, Ok(Some("example.goog")));
        check(r#"{"type":"service_account","universe_domain":""}"#, Ok(None));
        assert_eq!(universe_domain(Path::new("/nonexistent.json")).unwrap(), None);
    }
}
