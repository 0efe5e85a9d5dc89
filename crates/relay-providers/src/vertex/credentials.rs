//! Reads the files of Google's credentials.
//!
//! # Source
//! google-auth 2.62, `_default.py` and the module of each type; Google's AIP-4110 to AIP-4117.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};
use relay_config::Secret;
use relay_transport::check_url;
use rustls::SignatureScheme;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use serde::{Deserialize, Deserializer};
use serde_json::json;

use crate::credential_error::CredentialError;

/// The endpoint that exchanges Google's own credentials for tokens.
pub(super) const TOKEN_URI: &str = "https://oauth2.googleapis.com/token";
/// The lifetime of a self-signed token, in seconds: the longest that Google accepts.
const SELF_SIGNED_LIFETIME: u64 = 3600;

/// The contents of a credentials file, by its `type`.
#[derive(Debug)]
pub(super) enum Credentials {
    ServiceAccount(ServiceAccount),
    AuthorizedUser(AuthorizedUser),
    ExternalAccount(ExternalAccount),
    Impersonated(Impersonated),
}

/// The number of characters of a name that an error repeats.
const NAME_LENGTH: usize = 40;
/// The supported types, for error messages.
const SUPPORTED: &str = "service_account, authorized_user, external_account or impersonated_service_account";

/// The member with the URL that issues tokens of a service account.
const IMPERSONATION_URL: &str = "service_account_impersonation_url";

/// A key of a service account.
#[derive(Debug, Deserialize)]
pub(super) struct ServiceAccount {
    pub(super) project_id: Option<String>,
    pub(super) client_email: String,
    private_key_id: Option<String>,
    #[serde(deserialize_with = "secret")]
    pub(super) private_key: Secret,
    #[serde(default = "token_uri")]
    pub(super) token_uri: String,
    universe_domain: Option<String>,
}

/// The file that `gcloud auth application-default login` writes.
#[derive(Debug, Deserialize)]
pub(super) struct AuthorizedUser {
    pub(super) client_id: String,
    #[serde(deserialize_with = "secret")]
    pub(super) client_secret: Secret,
    #[serde(deserialize_with = "secret")]
    pub(super) refresh_token: Secret,
    pub(super) quota_project_id: Option<String>,
    #[serde(default = "token_uri")]
    pub(super) token_uri: String,
}

/// The file of workload identity federation: the token of another identity provider is exchanged for one of Google's.
#[derive(Debug, Deserialize)]
pub(super) struct ExternalAccount {
    pub(super) audience: String,
    pub(super) subject_token_type: String,
    pub(super) token_url: String,
    pub(super) credential_source: SubjectSource,
    pub(super) service_account_impersonation_url: Option<String>,
    pub(super) workforce_pool_user_project: Option<String>,
}

/// The location of the subject token.
#[derive(Debug, Deserialize)]
pub(super) struct SubjectSource {
    pub(super) file: Option<PathBuf>,
    pub(super) url: Option<String>,
    /// A value may be a credential, such as the `authorization` for the identity provider of a CI service.
    #[serde(default, deserialize_with = "secrets")]
    headers: BTreeMap<String, Secret>,
    #[serde(default)]
    format: SubjectFormat,
    environment_id: Option<String>,
    executable: Option<serde::de::IgnoredAny>,
}

#[derive(Debug, Default, Deserialize)]
struct SubjectFormat {
    #[serde(default, rename = "type")]
    kind: SubjectKind,
    subject_token_field_name: Option<String>,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum SubjectKind {
    #[default]
    Text,
    Json,
}

/// The file that `gcloud auth application-default login --impersonate-service-account` writes.
#[derive(Debug)]
pub(super) struct Impersonated {
    pub(super) url: String,
    pub(super) delegates: Vec<String>,
    pub(super) quota_project_id: Option<String>,
    pub(super) source: Box<Credentials>,
}

#[derive(Deserialize)]
struct ImpersonatedFile {
    service_account_impersonation_url: String,
    #[serde(default)]
    delegates: Vec<String>,
    quota_project_id: Option<String>,
    source_credentials: serde_json::Value,
}

fn token_uri() -> String {
    TOKEN_URI.to_owned()
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Secret, D::Error> {
    String::deserialize(deserializer).map(|secret| Secret::new(secret.trim()))
}

fn secrets<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, Secret>, D::Error> {
    let values = BTreeMap::<String, String>::deserialize(deserializer)?;
    Ok(values.into_iter().map(|(name, value)| (name, Secret::new(value))).collect())
}

impl Credentials {
    /// Reads the content of the file at `path`, and checks each of its URLs and headers.
    pub(super) fn parse(path: &Path, content: &[u8]) -> Result<Self, CredentialError> {
        let credentials = Self::of_type(path, content, true)?;
        credentials.check(path)?;
        Ok(credentials)
    }

    /// Checks the URLs, and the headers for one of them, so that nothing is sent with half of the credentials.
    fn check(&self, path: &Path) -> Result<(), CredentialError> {
        let url = |member, url: &str| {
            let found = |found| CredentialError::Url { path: path.to_owned(), member, found };
            check_url(url).map_err(found)
        };
        match self {
            Self::ServiceAccount(account) => url("token_uri", &account.token_uri),
            Self::AuthorizedUser(user) => url("token_uri", &user.token_uri),
            Self::ExternalAccount(account) => {
                let (source, impersonation) =
                    (&account.credential_source, &account.service_account_impersonation_url);
                url("token_url", &account.token_url)?;
                source.url.iter().try_for_each(|own| url("credential_source.url", own))?;
                impersonation.iter().try_for_each(|own| url(IMPERSONATION_URL, own))?;
                source.headers(path).map(drop)
            }
            Self::Impersonated(impersonated) => {
                url(IMPERSONATION_URL, &impersonated.url)?;
                impersonated.source.check(path)
            }
        }
    }

    /// Reads `content` by its `type`. Without `may_impersonate`, an impersonation is refused, so that none contains
    /// another.
    fn of_type(path: &Path, content: &[u8], may_impersonate: bool) -> Result<Self, CredentialError> {
        #[derive(Deserialize)]
        struct Typed {
            #[serde(rename = "type")]
            kind: String,
        }
        let shape = |error: serde_json::Error| CredentialError::Shape {
            path: path.to_owned(),
            line: error.line(),
            column: error.column(),
        };
        let Typed { kind } = serde_json::from_slice(content).map_err(shape)?;
        match kind.as_str() {
            "service_account" => serde_json::from_slice(content).map(Self::ServiceAccount).map_err(shape),
            "authorized_user" => serde_json::from_slice(content).map(Self::AuthorizedUser).map_err(shape),
            "external_account" => serde_json::from_slice(content).map(Self::ExternalAccount).map_err(shape),
            "impersonated_service_account" if may_impersonate => {
                let file: ImpersonatedFile = serde_json::from_slice(content).map_err(shape)?;
                let source = file.source_credentials.to_string();
                Ok(Self::Impersonated(Impersonated {
                    url: file.service_account_impersonation_url,
                    delegates: file.delegates,
                    quota_project_id: file.quota_project_id,
                    source: Box::new(Self::of_type(path, source.as_bytes(), false)?),
                }))
            }
            _ => {
                let found = kind.chars().filter(|c| !c.is_control()).take(NAME_LENGTH).collect();
                Err(CredentialError::Type { path: path.to_owned(), found, supported: SUPPORTED })
            }
        }
    }

    /// Returns the project whose quota requests count against, which a file of every type may name.
    pub(super) fn quota_project(content: &[u8]) -> Option<String> {
        #[derive(Deserialize)]
        struct Quota {
            quota_project_id: Option<String>,
        }
        let Quota { quota_project_id } = serde_json::from_slice(content).ok()?;
        quota_project_id.filter(|project| !project.is_empty())
    }

    /// Returns the project that the file names: that of a service account, or the quota project of a user.
    pub(super) fn project(&self) -> Option<Arc<str>> {
        let project = match self {
            Self::ServiceAccount(account) => account.project_id.as_deref(),
            Self::AuthorizedUser(user) => user.quota_project_id.as_deref(),
            Self::ExternalAccount(_) => None,
            Self::Impersonated(impersonated) => impersonated.quota_project_id.as_deref(),
        };
        project.filter(|project| !project.is_empty()).map(Arc::from)
    }
}

impl ServiceAccount {
    /// Returns `true` if the account belongs to a universe other than Google's own, where no endpoint exchanges assertions.
    pub(super) fn is_of_another_universe(&self) -> bool {
        self.universe_domain.as_deref().is_some_and(|domain| !domain.is_empty() && domain != "googleapis.com")
    }

    /// Returns a signed JWT that is itself the access token (AIP-4111), with its lifetime. `None` if the key is not an RSA
    /// key.
    pub(super) fn self_signed(&self, scope: &str, now: SystemTime) -> Option<(String, Duration)> {
        let iat = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut header = json!({ "alg": "RS256", "typ": "JWT" });
        if let Some(id) = &self.private_key_id {
            header["kid"] = json!(id);
        }
        let claims = json!({
            "iss": self.client_email, "sub": self.client_email, "scope": scope,
            "iat": iat, "exp": iat + SELF_SIGNED_LIFETIME,
        });
        let base64 = |bytes: &[u8]| base64_simd::URL_SAFE_NO_PAD.encode_to_string(bytes);
        let signed =
            format!("{}.{}", base64(header.to_string().as_bytes()), base64(claims.to_string().as_bytes()));
        let signature = self.sign(signed.as_bytes())?;
        Some((format!("{signed}.{}", base64(&signature)), Duration::from_secs(SELF_SIGNED_LIFETIME)))
    }

    /// Signs with RSASSA-PKCS1-v1_5 and SHA-256, by the library that TLS uses. Returns `None` if the key is not an RSA
    /// key.
    fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        let key = PrivateKeyDer::from_pem_slice(self.private_key.expose().as_bytes()).ok()?;
        let key = any_supported_type(&key).ok()?;
        key.choose_scheme(&[SignatureScheme::RSA_PKCS1_SHA256])?.sign(message).ok()
    }
}

impl SubjectSource {
    /// Returns the name of this source if it is not supported.
    pub(super) fn unsupported(&self) -> Option<&'static str> {
        match self {
            Self { environment_id: Some(_), .. } => Some("environment_id"),
            Self { executable: Some(_), .. } => Some("executable"),
            Self { file: None, url: None, .. } => Some("neither"),
            _ => None,
        }
    }

    /// Returns the headers of the request for a subject token. The file at `path` names them.
    pub(super) fn headers(&self, path: &Path) -> Result<HeaderMap, CredentialError> {
        let header = |(name, value): (&String, &Secret)| {
            let value = HeaderValue::from_str(value.expose()).map(|mut value| {
                value.set_sensitive(true);
                value
            });
            let header = name.parse::<HeaderName>().ok().zip(value.ok());
            let name = || name.chars().filter(|c| !c.is_control()).take(NAME_LENGTH).collect();
            header.ok_or_else(|| CredentialError::Header { path: path.to_owned(), name: name() })
        };
        self.headers.iter().map(header).collect()
    }

    /// Returns the subject token in `content`, which comes from `origin`.
    pub(super) fn token_in(&self, content: &[u8], origin: &str) -> Result<String, CredentialError> {
        let token = match self.format.kind {
            SubjectKind::Text => String::from_utf8(content.to_vec()).ok(),
            SubjectKind::Json => {
                let name = self.format.subject_token_field_name.as_deref().unwrap_or("access_token");
                let json: Option<serde_json::Value> = serde_json::from_slice(content).ok();
                json.and_then(|json| json.get(name)?.as_str().map(str::to_owned))
            }
        };
        token
            .map(|token| token.trim().to_owned())
            .filter(|token| !token.is_empty())
            .ok_or_else(|| CredentialError::Subject { origin: origin.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn fails(content: &str, expected: &str) {
        let error = Credentials::parse(Path::new("/c.json"), content.as_bytes()).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn the_error_for_an_unusable_file_has_the_reason_and_no_secret() {
        fails("", "/c.json is not a credentials file of its type (line 1, column 0)");
        fails(
            r#"{"type":"gdch_service_account","private_key":"s3cret"}"#,
            "/c.json: credentials of type `gdch_service_account` are not supported; use service_account, \
             authorized_user, external_account or impersonated_service_account",
        );
        fails(
            r#"{"type":"authorized_user","client_id":"c","client_secret":"x","refresh_token":["s3cret"]}"#,
            "/c.json is not a credentials file of its type (line 1, column 78)",
        );
        let nested = r#"{"type":"impersonated_service_account","service_account_impersonation_url":"u",
            "source_credentials":{"type":"impersonated_service_account"}}"#;
        let error = Credentials::parse(Path::new("/c.json"), nested.as_bytes()).unwrap_err();
        assert!(matches!(error, CredentialError::Type { .. }), "{error}");
    }

    #[test]
    fn no_debug_output_contains_a_secret() {
        let content = r#"{"type":"service_account","client_email":"a@b","private_key":"s3cret"}"#;
        let credentials = Credentials::parse(Path::new("/c.json"), content.as_bytes()).unwrap();
        let Credentials::ServiceAccount(account) = &credentials else { panic!("{credentials:?}") };
        assert!(account.self_signed("s", SystemTime::UNIX_EPOCH).is_none());
        assert!(!format!("{credentials:?}").contains("s3cret"));
        assert_eq!(account.token_uri, TOKEN_URI);
        let source = r#"{"url":"http://x","headers":{"authorization":"Bearer s3cret"}}"#;
        let source: SubjectSource = serde_json::from_str(source).unwrap();
        let headers = source.headers(Path::new("/c.json")).unwrap();
        assert_eq!(headers["authorization"], "Bearer s3cret");
        assert!(!format!("{source:?} {headers:?}").contains("s3cret"));
    }

    #[test]
    fn each_url_and_header_is_checked() {
        #[track_caller]
        fn check(members: &str, expected: &str) {
            fails(&format!("{{{members}}}"), &format!("/c.json: {expected}"));
        }
        let account = r#""type":"service_account","client_email":"a@b","private_key":"k""#;
        let user = r#""type":"authorized_user","client_id":"c","client_secret":"s","refresh_token":"r""#;
        let external = r#""type":"external_account","audience":"a","subject_token_type":"t""#;
        let wrong = |member, url| {
            format!(
                "`{member}` is {url:?}; expected an http:// or https:// URL without a user name, such as \
                 {TOKEN_URI:?}"
            )
        };
        for (written, shown) in [
            ("", ""),
            ("oauth2.googleapis.com/token", "oauth2.googleapis.com/token"),
            ("https://x/a token?s3cret", "https://x/a token"),
            ("https://me:s3cret@x/token", "https://x/token"),
            ("file:///token", "file:///token"),
        ] {
            let bad = format!(r#""token_uri":"{written}""#);
            check(&format!("{account},{bad}"), &wrong("token_uri", shown));
            check(&format!("{user},{bad}"), &wrong("token_uri", shown));
            let nested = format!(r#""source_credentials":{{{user},{bad}}}"#);
            let impersonated = r#""type":"impersonated_service_account","service_account_impersonation_url""#;
            check(&format!(r#"{impersonated}:"https://x",{nested}"#), &wrong("token_uri", shown));
            check(&format!(r#"{impersonated}:"{written}",{nested}"#), &wrong(IMPERSONATION_URL, shown));
            let by_file = r#""credential_source":{"file":"/t"}"#;
            check(&format!(r#"{external},"token_url":"{written}",{by_file}"#), &wrong("token_url", shown));
            let external = format!(r#"{external},"token_url":"https://x""#);
            let by_url = format!(r#""credential_source":{{"url":"{written}"}}"#);
            check(&format!("{external},{by_url}"), &wrong("credential_source.url", shown));
            let impersonation = format!(r#""service_account_impersonation_url":"{written}""#);
            check(&format!("{external},{by_file},{impersonation}"), &wrong(IMPERSONATION_URL, shown));
        }
        for (header, name) in
            [(r#""x-a":"s3cret\n""#, "x-a"), (r#""a b\u0007":"s3cret""#, "a b"), (r#""":"v""#, "")]
        {
            let source = format!(r#""credential_source":{{"url":"http://x","headers":{{{header}}}}}"#);
            let expected =
                format!("the header `{name}` of credential_source cannot be sent: its name or its value has");
            let error = Credentials::parse(
                Path::new("/c.json"),
                format!(r#"{{{external},"token_url":"https://x",{source}}}"#).as_bytes(),
            );
            let error = error.unwrap_err().to_string();
            assert!(error.contains(&expected) && !error.contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn a_subject_token_is_read_in_either_format() {
        #[track_caller]
        fn check(source: &str, content: &str, expected: Option<&str>) {
            let source: SubjectSource = serde_json::from_str(source).unwrap();
            assert_eq!(source.token_in(content.as_bytes(), "o").ok().as_deref(), expected);
        }
        check(r#"{"file":"/t"}"#, " token\n", Some("token"));
        check(r#"{"file":"/t"}"#, "\n", None);
        let json = r#"{"file":"/t","format":{"type":"json","subject_token_field_name":"t"}}"#;
        check(json, r#"{"t":"token"}"#, Some("token"));
        check(json, r#"{"u":"token"}"#, None);
        check(json, "token", None);
    }

    #[test]
    fn unsupported_sources_are_named() {
        #[track_caller]
        fn check(source: &str, expected: Option<&str>) {
            let source: SubjectSource = serde_json::from_str(source).unwrap();
            assert_eq!(source.unsupported(), expected);
        }
        check(r#"{"url":"http://x"}"#, None);
        check(r#"{"environment_id":"aws1","url":"http://x"}"#, Some("environment_id"));
        check(r#"{"executable":{"command":"x"}}"#, Some("executable"));
        check("{}", Some("neither"));
    }
}
