//! The models that a client may use.

use std::fmt;
use std::sync::Arc;

use relay_config::{ModelPatterns, Pattern};
use relay_messages::{JsonKind, MessagesBody, Node, cut};

use super::client::Client;

/// The most models that a message names. Further ones are counted.
const NAMED_MAX: usize = 20;
/// The members of a body whose text belongs to the conversation.
const CONTENT: [&str; 3] = ["messages", "system", "metadata"];

/// The refusal of a model that the client may not use. [`RespondLayer`](crate::respond::RespondLayer) answers it with 403.
#[derive(Debug, Clone, thiserror::Error)]
#[error(
    "the client{} may not use the model `{}`: its models are {} (server.auth.api_keys[].models)",
    named(client.as_deref()),
    cut(model),
    Listed(models)
)]
pub struct ModelDenied {
    model: String,
    client: Option<Arc<str>>,
    models: Arc<ModelPatterns>,
}

impl ModelDenied {
    /// The model that the request names.
    #[must_use]
    pub fn model(&self) -> &str {
        &self.model
    }
}

impl Client {
    /// Returns `true` if the client may use `model`, by the name that it sends.
    #[must_use]
    pub fn may_use(&self, model: &str) -> bool {
        self.models.as_ref().is_none_or(|models| models.allows(model))
    }

    /// Checks that the client may use `model`, by the name that it sends.
    ///
    /// # Errors
    /// [`ModelDenied`] if it may not.
    pub fn check_model(&self, model: &str) -> Result<(), ModelDenied> {
        match &self.models {
            Some(models) if !models.allows(model) => Err(ModelDenied {
                model: model.to_owned(),
                client: self.name.clone(),
                models: Arc::clone(models),
            }),
            _ => Ok(()),
        }
    }

    /// Checks every model that `body` names: its `model`, each time that it occurs, and those of tools and of fallbacks.
    pub(crate) fn check_models(&self, body: &MessagesBody) -> Result<(), ModelDenied> {
        self.check_model(body.model())?;
        if self.models.is_none() {
            return Ok(());
        }
        for member in body.members().filter(|member| !CONTENT.iter().any(|name| member.is_called(name))) {
            self.check_named(member)?;
            let inside = std::iter::once(member).chain(member.elements());
            inside.flat_map(Node::members).try_for_each(|inner| self.check_named(inner))?;
        }
        Ok(())
    }

    /// Checks the model that `member` names, if its key is `model`.
    fn check_named(&self, member: Node<'_>) -> Result<(), ModelDenied> {
        if !member.is_called("model") || member.kind() != JsonKind::String {
            return Ok(());
        }
        // A text with half a surrogate pair is no name of a model.
        self.check_model(&member.as_str().unwrap_or_default())
    }
}

fn named(client: Option<&str>) -> String {
    client.map(|name| format!(" `{name}`")).unwrap_or_default()
}

/// Models as a message names them.
struct Listed<'a>(&'a ModelPatterns);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, pattern) in self.0.iter().map(Pattern::as_str).take(NAMED_MAX).enumerate() {
            f.write_str(if index == 0 { "" } else { ", " })?;
            write!(f, "`{}`", cut(pattern))?;
        }
        match self.0.iter().count().saturating_sub(NAMED_MAX) {
            0 => Ok(()),
            further => write!(f, " and {further} more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(patterns: &[&str]) -> Client {
        Client::new("intern").with_models(patterns.iter().copied().map(Pattern::new))
    }

    #[test]
    fn a_refusal_names_the_client_its_models_and_the_setting() {
        let denied = client(&["claude-haiku-*", "glm-5"]).check_model("claude-opus-5-5").unwrap_err();
        assert_eq!(
            denied.to_string(),
            "the client `intern` may not use the model `claude-opus-5-5`: its models are `claude-haiku-*`, `glm-5` \
             (server.auth.api_keys[].models)"
        );
        let many: Vec<String> = (0..25).map(|index| format!("m{index}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let text = client(&many).check_model("x").unwrap_err().to_string();
        assert!(text.contains("`m19` and 5 more") && !text.contains("m20"), "{text}");
    }

    #[test]
    fn every_model_that_a_body_names_is_checked() {
        #[track_caller]
        fn check(body: &str, expected: Option<&str>) {
            let body = MessagesBody::parse(bytes::Bytes::copy_from_slice(body.as_bytes())).unwrap();
            let denied = client(&["claude-haiku-*"]).check_models(&body).err();
            assert_eq!(denied.as_ref().map(ModelDenied::model), expected, "{denied:?}");
            assert!(Client::new("free").check_models(&body).is_ok());
        }
        let allowed = r#""model":"claude-haiku-5-5""#;
        check(&format!("{{{allowed}}}"), None);
        check(r#"{"model":"claude-opus-5"}"#, Some("claude-opus-5"));
        check(&format!(r#"{{"model":"claude-opus-5",{allowed}}}"#), Some("claude-opus-5"));
        check(&format!(r#"{{"mod\u0065l":"claude-opus-5",{allowed}}}"#), Some("claude-opus-5"));
        check(&format!(r#"{{{allowed},"fallbacks":[{{"model":"claude-opus-5"}}]}}"#), Some("claude-opus-5"));
        check(&format!(r#"{{{allowed},"fallback":{{"model":"claude-opus-5"}}}}"#), Some("claude-opus-5"));
        check(
            &format!(r#"{{{allowed},"tools":[{{"type":"advisor_20260301","model":"claude-opus-5"}}]}}"#),
            Some("claude-opus-5"),
        );
        check(&format!(r#"{{{allowed},"fallbacks":[{{"model":"\ud800"}}]}}"#), Some(""));
        // Neither text of the conversation nor the schema of a tool names a model of the request.
        check(
            &format!(
                r#"{{{allowed},"messages":[{{"model":"x"}}],"tools":[{{"input_schema":{{"model":"x"}},"model":1}}],"fallbacks":["x"]}}"#
            ),
            None,
        );
    }
}
