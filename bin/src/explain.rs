//! `cc-relay explain`: shows the providers that would receive a request, and the reasons, without sending it.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

use bytes::Bytes;
use clap::builder::styling::AnsiColor;
use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, InvalidHeaderValue};
use relay_config::Config;
use relay_server::{BuildError, Considered, Explanation};
use serde_json::{Value, json};

use crate::cli::{ClientSends, ExplainArguments, Settings};
use crate::client_hint::{self, Hint};
use crate::compose;
use crate::output::{Output, printable};
use crate::settings::{SettingsError, Start};
use crate::status;

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// An error that prevents `explain` from planning a request.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExplainError {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error(transparent)]
    Build(#[from] BuildError),
    #[error("{}: cannot read the request", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{}: larger than the {limit} bytes that a request may have (server.max_body_bytes)", path.display())]
    TooLarge { path: PathBuf, limit: usize },
    #[error("the client key contains characters that an HTTP header cannot carry")]
    Key(#[from] InvalidHeaderValue),
    #[error("the request would be refused")]
    Refused(#[source] relay_server::Error),
    #[error(transparent)]
    Output(#[from] io::Error),
}

impl ExplainError {
    pub(crate) fn is_usage(&self) -> bool {
        matches!(self, Self::Settings(error) if error.is_usage())
    }
}

/// Prints the plan for the request, and the state of its providers in the relay that runs with this configuration. The exit code
/// is 0 if some usable provider would receive it, otherwise 1.
pub(crate) fn explain(
    arguments: &ExplainArguments,
    settings: &Settings,
    out: &mut Output,
) -> Result<ExitCode, ExplainError> {
    let config = Start::read(settings)?.loaded.config;
    let body = read(&arguments.request, config.server.max_body_bytes)?;
    let client = AssumedClient::of(arguments.client, &config);
    let headers = headers(client.sends, &config)?;
    let running = status::live(&config);
    let relay = compose::relay(config, None, None)?;
    let explanation = relay.explain(headers, body).map_err(ExplainError::Refused)?;
    match arguments.json {
        true => out.line(format_args!("{:#}", as_json(&explanation, &client, running.as_ref())))?,
        false => {
            print(&explanation, out)?;
            print_client(&client, out)?;
            print_running(&explanation, running.as_ref(), out)?;
        }
    }
    let is_served = explanation.refusal.is_none() && has_usable(&explanation, running.as_ref());
    Ok(if is_served { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The URL and the providers of the running relay.
type Running = (String, Vec<status::Provider>);

/// The client of the explained request.
struct AssumedClient {
    sends: ClientSends,
    /// The remark on an assumption that makes a difference.
    remark: Option<&'static str>,
    is_assumed: bool,
}

impl AssumedClient {
    /// Returns the client with the credential that was named, otherwise the one that the configuration suggests.
    fn of(named: Option<ClientSends>, config: &Config) -> Self {
        if let Some(sends) = named {
            return Self { sends, remark: None, is_assumed: false };
        }
        let hints = client_hint::of(config);
        let (sends, remark) = match hints.first() {
            Some(Hint::Command { token: None, .. }) => {
                (ClientSends::Subscription, Some("assumed: a client with its own Claude subscription"))
            }
            _ if config.server.auth.is_required() => (
                ClientSends::Nothing,
                Some("assumed: a client with a key of the relay and no credential for Anthropic"),
            ),
            _ => (ClientSends::Nothing, None),
        };
        Self { sends, remark, is_assumed: true }
    }
}

fn print_client(client: &AssumedClient, out: &mut Output) -> io::Result<()> {
    let Some(remark) = client.remark else { return Ok(()) };
    out.line("")?;
    out.line(format_args!("{remark}, as the configuration suggests; --client names another one"))
}

/// Returns the providers of the plan as the running relay knows them.
fn planned<'a>(
    explanation: &'a Explanation,
    running: &'a Running,
) -> impl Iterator<Item = &'a status::Provider> {
    let is_planned =
        |name: &str| explanation.order.iter().any(|candidate| candidate.provider.as_str() == name);
    running.1.iter().filter(move |provider| is_planned(&provider.name))
}

/// Returns `true` unless the running relay knows that every provider of the plan is unusable.
fn has_usable(explanation: &Explanation, running: Option<&Running>) -> bool {
    let Some(running) = running else { return true };
    planned(explanation, running).next().is_none()
        || planned(explanation, running).any(status::Provider::is_usable)
}

fn print_running(explanation: &Explanation, running: Option<&Running>, out: &mut Output) -> io::Result<()> {
    let Some(running) = running else { return Ok(()) };
    let facts = |provider: &status::Provider| {
        let model = &explanation.model;
        provider.troubles().into_iter().chain(provider.content_times(model))
    };
    let facts: Vec<_> = planned(explanation, running).flat_map(facts).collect();
    if facts.is_empty() {
        return Ok(());
    }
    out.line("")?;
    out.line(format_args!("in the relay that runs at {}:", running.0))?;
    facts.iter().try_for_each(|fact| out.line(format_args!("  {fact}")))
}

/// Reads the request's body from a file or from standard input.
fn read(path: &Path, limit: usize) -> Result<Bytes, ExplainError> {
    let failed = |source| ExplainError::Read { path: path.to_owned(), source };
    let source: Box<dyn Read> = match path == Path::new("-") {
        true => Box::new(io::stdin()),
        false => Box::new(File::open(path).map_err(failed)?),
    };
    let mut body = Vec::new();
    source.take(limit as u64 + 1).read_to_end(&mut body).map_err(failed)?;
    match body.len() > limit {
        true => Err(ExplainError::TooLarge { path: path.to_owned(), limit }),
        false => Ok(body.into()),
    }
}

/// The headers of an admitted client with the credential `sends`. They are not sent to any upstream.
fn headers(sends: ClientSends, config: &Config) -> Result<HeaderMap, InvalidHeaderValue> {
    let mut headers = HeaderMap::new();
    let auth = &config.server.auth;
    // A client whose subscription token admits it sends no key of the relay.
    let admits = sends == ClientSends::Subscription && auth.allow_subscription;
    if let Some(key) = auth.secret_at(SystemTime::now()).filter(|_| !admits) {
        // A header holds one credential, so the key of the relay goes into the one that the client leaves free.
        match sends {
            ClientSends::ApiKey => {
                headers.append(AUTHORIZATION, HeaderValue::from_str(&format!("Bearer {}", key.expose()))?)
            }
            _ => headers.append(X_API_KEY, HeaderValue::from_str(key.expose())?),
        };
    }
    match sends {
        ClientSends::Nothing => {}
        ClientSends::Subscription => {
            headers.append(AUTHORIZATION, HeaderValue::from_static("Bearer sk-ant-oat01-explain"));
        }
        ClientSends::ApiKey => {
            headers.append(X_API_KEY, HeaderValue::from_static("sk-ant-api03-explain"));
        }
    }
    Ok(headers)
}

fn print(explanation: &Explanation, out: &mut Output) -> io::Result<()> {
    let (good, bad) = (out.style(AnsiColor::Green), out.style(AnsiColor::Red));
    let (model, strategy) = (printable(&explanation.model), explanation.strategy.as_str());
    match &explanation.refusal {
        None => out.line(format_args!(
            "{model}, strategy {strategy}: {good}providers in the order of attempts{good:#}"
        )),
        Some(why) => out.line(format_args!(
            "{model}, strategy {strategy}: {bad}no provider would receive it{bad:#}: {why}"
        )),
    }?;
    let places = (1..).map(|place: usize| place.to_string());
    let order = places.zip(&explanation.order);
    let left_out = explanation.excluded.iter().map(|left_out| ("-".to_owned(), left_out));
    let rows: Vec<_> = order.chain(left_out).map(|(place, considered)| row(place, considered)).collect();
    if rows.is_empty() {
        return Ok(());
    }
    let head = ["", "PROVIDER", "TYPE", "KEY", "MODEL", "WHY"].map(str::to_owned);
    let rows: Vec<_> = std::iter::once(head).chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let [place, provider, kind, key, model] = [0, 1, 2, 3, 4].map(width);
    out.line("")?;
    rows.iter().try_for_each(|[a, b, c, d, e, why]| {
        out.line(format_args!("{a:place$}  {b:provider$}  {c:kind$}  {d:key$}  {e:model$}  {why}"))
    })
}

fn row(place: String, considered: &Considered) -> [String; 6] {
    let Considered { provider, kind, credential, model, reason, .. } = considered;
    let credential = credential.clone().unwrap_or_else(|| "-".to_owned());
    [place, provider.to_string(), (*kind).to_owned(), credential, printable(model), printable(reason)]
}

fn as_json(explanation: &Explanation, client: &AssumedClient, running: Option<&Running>) -> Value {
    let state = |provider: &status::Provider| json!({"name": provider.name, "unusable": provider.unusable, "last_error": provider.last_error, "content_times": provider.times_of(&explanation.model).collect::<Vec<_>>()});
    let running = running.map(|running| {
        json!({"url": running.0, "providers": planned(explanation, running).map(state).collect::<Vec<_>>()})
    });
    let considered = |considered: &Considered| {
        json!({
            "provider": considered.provider.as_str(),
            "type": considered.kind,
            "key": considered.credential,
            "model": considered.model,
            "reason": considered.reason,
            "figure": considered.figure.as_ref().map(ToString::to_string),
        })
    };
    json!({
        "client": client.sends.as_str(),
        "client_is_assumed": client.is_assumed,
        "running": running,
        "model": explanation.model,
        "strategy": explanation.strategy.as_str(),
        "order": explanation.order.iter().map(considered).collect::<Vec<_>>(),
        "left_out": explanation.excluded.iter().map(considered).collect::<Vec<_>>(),
        "refusal": explanation.refusal,
    })
}
