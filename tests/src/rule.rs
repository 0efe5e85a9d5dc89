//! Rules for the requests that an upstream receives, in addition to HTTP/1.1 syntax.

use serde_json::Value;

use crate::request::Request;

/// A rule for requests. A request that breaks it is recorded as a violation, which fails the test at its end.
pub struct Rule(Box<Check>);

type Check = dyn Fn(&Request) -> Result<(), String> + Send + Sync;

impl Rule {
    /// Creates a rule from a function, whose error describes the violation.
    pub fn new(check: impl Fn(&Request) -> Result<(), String> + Send + Sync + 'static) -> Self {
        Self(Box::new(check))
    }

    /// Creates a rule for the JSON of requests with a body.
    pub fn on_body(check: impl Fn(&Value) -> Result<(), String> + Send + Sync + 'static) -> Self {
        Self::new(move |request| match request.body.is_empty() {
            true => Ok(()),
            false => check(&request.json()),
        })
    }

    pub(crate) fn check(&self, request: &Request) -> Result<(), String> {
        self.0(request)
    }
}

impl std::fmt::Debug for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rule").finish_non_exhaustive()
    }
}

/// Requires the request line `{method} {target}`.
#[must_use]
pub fn request_line(method: &'static str, target: &'static str) -> Rule {
    Rule::new(move |request| {
        let found = (request.method.as_str(), request.target.as_str());
        if found == (method, target) {
            Ok(())
        } else {
            Err(format!("{found:?} instead of {method} {target}"))
        }
    })
}

/// Requires the header exactly once, with this value.
#[must_use]
pub fn header(name: &'static str, value: &'static str) -> Rule {
    Rule::new(move |request| {
        let found: Vec<_> = request.headers.all(name).collect();
        if found == [value] { Ok(()) } else { Err(format!("{name} is {found:?} instead of {value:?}")) }
    })
}

/// Requires the header exactly once.
#[must_use]
pub fn exactly_one(name: &'static str) -> Rule {
    Rule::new(move |request| match request.headers.all(name).count() {
        1 => Ok(()),
        count => Err(format!("{name} occurs {count} times instead of once")),
    })
}

/// Forbids the header.
#[must_use]
pub fn without(name: &'static str) -> Rule {
    Rule::new(move |request| match request.headers.get(name) {
        None => Ok(()),
        Some(value) => Err(format!("{name}: {value:?} must not be sent")),
    })
}
