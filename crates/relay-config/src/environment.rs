//! The environment variables that other tools define, such as `AWS_REGION` or `ZAI_API_KEY`.

use crate::secret_text;

/// Looks up environment variables. An empty variable counts as unset; whitespace and invisible characters around a value
/// are removed.
#[derive(Clone, Copy)]
pub(crate) struct Environment<'a>(&'a dyn Fn(&str) -> Option<String>);

impl<'a> Environment<'a> {
    pub(crate) fn new(variable: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self(variable)
    }

    pub(crate) fn get(self, variable: &str) -> Option<String> {
        (self.0)(variable).map(|value| secret_text::trim(&value).to_owned()).filter(|value| !value.is_empty())
    }

    /// Returns the value without any change.
    pub(crate) fn raw(self, variable: &str) -> Option<String> {
        (self.0)(variable)
    }

    /// Returns the secret in `variable` without the slips of copying around it.
    pub(crate) fn secret(self, variable: &str) -> Option<String> {
        self.raw(variable)
            .map(|value| secret_text::clean(&value).text.to_owned())
            .filter(|value| !value.is_empty())
    }

    pub(crate) fn has(self, variable: &str) -> bool {
        self.get(variable).is_some()
    }

    /// Returns the first of `variables` that is set, with its value.
    pub(crate) fn first(self, variables: &[&'static str]) -> Option<(&'static str, String)> {
        variables.iter().find_map(|variable| Some((*variable, self.get(variable)?)))
    }

    /// Returns the first of `variables` that is set, with its unchanged value.
    pub(crate) fn first_raw(self, variables: &[&'static str]) -> Option<(&'static str, String)> {
        let (variable, _) = self.first(variables)?;
        Some((variable, self.raw(variable)?))
    }
}

#[cfg(test)]
pub(crate) mod testing {
    /// Returns a lookup among `variables`.
    pub(crate) fn lookup<'a>(variables: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<String> + 'a {
        |name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    }
}
