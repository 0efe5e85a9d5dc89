//! The work of a whole relay on one request or on one event, to be counted in instructions.
//!
//! A number of instructions is the same in each run, on a busy machine too. `.ci/check-instructions` runs this program by
//! callgrind and compares the numbers with the recorded ones. The difference of two runs, divided by the difference of their
//! counts, is the work of one unit: the start of the process is not part of it.
//!
//! ```sh
//! cargo build --profile instructions -p relay-instructions
//! valgrind --tool=callgrind target/instructions/relay-instructions STAGE COUNT
//! ```
//! | stage | unit |
//! |---|---|
//! | `message` | a request of 1 KB with an answer in one piece: authentication, routing, one attempt |
//! | `keys-1000`, `keys-10000` | the same with so many keys of the provider |
//! | `clients-10000` | the same with so many keys of clients |
//! | `limited` | the same with limits of tokens for the keys of the provider, and all limits for those of clients |
//! | `mapped` | the same with another name of the model at the upstream, which the answer shows as the client's |
//! | `event` | an event with 80 bytes of text in a stream |
//! | `message-150000` | a request of 150 KB, as Claude Code sends it, with an answer of six events |
//! | `shown` | a request as in `message`, with prices and the subscribers of the admin API |
//! | `observed`, `observed-event`, `observed-150000` | the same with all subscribers, as the program composes them |
//! | `logged-event` | an event as in `event`, with the spans of a log |
//! | `served` | a request as in `message`, over a connection of HTTP/1.1 to a client |
//! | `served-event` | an event as in `event`, over such a connection: the client has each event before the upstream sends the next one |
//! | `metrics` | the record of a request with one attempt, counted by the metrics |
//!
//! The upstream is a connection in memory. Its own work is part of the numbers, and is small. So is that of the client. The kernel's is
//! not counted. callgrind separates the thread of the requests, whose numbers are exact, from those in which observers do their work.
//! Their work depends on time: a batch of the ledger has the requests of 200 ms, which are fewer under callgrind.

#[path = "../../../crates/relay-messages/benches/claude_code/mod.rs"]
mod claude_code;
mod client;
mod message;
mod observers;
mod upstream;

use std::error::Error;
use std::fmt::Write;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use relay_admin::metrics::{Metrics, MetricsSettings};
use relay_config::{Config, Format, Loader};
use relay_server::{RecordSubscriber, Relay, RequestRecord};
use tokio::sync::Semaphore;
use tower::ServiceExt;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use self::observers::Observers;
use self::upstream::{Reply, connector};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// The text of the user's message, which makes a request of about 1 KB.
const LINE: &str = "Read `src/main.rs`, and explain the \\\"error\\\" on line 12.\\n";

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [stage, count] = arguments.as_slice() else {
        return Err("two arguments are needed: the stage and the count".into());
    };
    let count: usize = count.parse()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(run(stage, count))
}

async fn run(stage: &str, count: usize) -> Result<()> {
    if stage == "metrics" {
        return count_records(count).await;
    }
    let (keys, clients) = match stage {
        "keys-1000" => (1000, 10),
        "keys-10000" => (10_000, 10),
        "clients-10000" => (10, 10_000),
        "message" | "limited" | "mapped" | "event" | "message-150000" | "logged-event" | "shown"
        | "observed" | "observed-event" | "observed-150000" | "served" | "served-event" => (10, 10),
        other => return Err(format!("unknown stage: {other}").into()),
    };
    if stage == "logged-event" {
        log()?;
    }
    let (is_long, is_stream) = (stage.ends_with("-150000"), stage.ends_with("event"));
    let (reply, requests) = match stage {
        _ if is_stream => (Reply::stream(count), 1),
        _ if is_long => (Reply::stream(1), count),
        _ => (Reply::message(), count),
    };
    let body = if is_long { claude_code::request(150_000) } else { short(is_stream) };
    let is_observed = stage.starts_with("observed");
    let config = config(keys, clients, Extras::of(stage))?;
    let observers = match stage {
        "shown" => Some(Observers::live(&config)?),
        _ => is_observed.then(|| Observers::all(&config)).transpose()?,
    };
    let turns = (stage == "served-event").then(|| Arc::new(Semaphore::new(0)));
    let reply = match &turns {
        Some(turns) => reply.in_turns(turns),
        None => reply,
    };
    let mut builder = Relay::builder(config).with_connector(connector(reply));
    if let Some(observers) = &observers {
        builder = observers.attach(builder);
    }
    let relay = builder.build()?;
    if stage.starts_with("served") {
        return client::call(relay, &body, requests, turns).await;
    }
    let body = Bytes::from(body);
    for _ in 0..requests {
        send(&relay, body.clone()).await?;
    }
    drop(relay);
    observers.into_iter().for_each(Observers::close);
    Ok(())
}

/// Starts a log that is composed as the program's, with the formats of tracing-subscriber. Its lines are dropped.
fn log() -> Result<()> {
    let filter = Targets::new().with_default(LevelFilter::WARN).with_target("relay_", LevelFilter::INFO);
    let lines = tracing_subscriber::fmt::layer().json().with_writer(std::io::sink);
    Ok(tracing_subscriber::registry().with(filter).with(lines).try_init()?)
}

/// Counts the record of one request so many times.
async fn count_records(count: usize) -> Result<()> {
    let kept = Arc::new(Mutex::new(None));
    let records = Arc::clone(&kept);
    let keep = move |record: &Arc<RequestRecord>| {
        if let Ok(mut kept) = records.lock() {
            *kept = Some(Arc::clone(record));
        }
    };
    let builder =
        Relay::builder(config(10, 10, Extras::default())?).with_connector(connector(Reply::message()));
    let relay = builder.on_finished(keep).build()?;
    send(&relay, short(false).into()).await?;
    let record = kept.lock().map_err(|_| "a subscriber panicked")?.take().ok_or("no record")?;
    let metrics = Metrics::new(MetricsSettings::default());
    for _ in 0..count {
        metrics.finished(&record);
    }
    Ok(())
}

/// The settings of a stage, beside those that each of them has.
#[derive(Clone, Copy, Default)]
struct Extras {
    /// Of each key of the provider.
    key: &'static str,
    /// Of each key of a client.
    client: &'static str,
    /// Of the provider.
    provider: &'static str,
}

impl Extras {
    fn of(stage: &str) -> Self {
        match stage {
            "limited" => Self {
                key: ", rpm_limit: 1000000, itpm_limit: 1000000000, otpm_limit: 1000000000",
                client: ", tpm_limit: 1000000000, max_concurrent: 100",
                ..Self::default()
            },
            "mapped" => Self {
                provider: "    model_mapping: { claude-opus-5-5: upstream-opus }\n",
                ..Self::default()
            },
            _ if stage.starts_with("observed") => Self { client: ", budget_usd: 1000000", ..Self::default() },
            _ => Self::default(),
        }
    }
}

/// Returns the configuration of a relay with so many keys for its provider and for its clients.
fn config(keys: usize, clients: usize, extras: Extras) -> Result<Config> {
    let Extras { key: of_key, client: of_client, provider } = extras;
    let mut text = format!(
        "providers:\n  - name: a\n    type: anthropic\n    base_url: http://upstream.invalid\n{provider}    keys:\n"
    );
    for key in 0..keys {
        writeln!(text, "      - {{ key: provider-key-{key:06}, name: p{key}{of_key} }}")?;
    }
    text.push_str("server:\n  auth:\n    api_keys:\n");
    for key in 0..clients {
        writeln!(
            text,
            "      - {{ key: client-key-{key:06}, name: c{key}, rpm_limit: 1000000{of_client} }}"
        )?;
    }
    Ok(Loader::new().with_text("relay.yaml", Format::Yaml, text).load()?.config)
}

/// Returns the body of a request of about 1 KB.
fn short(is_stream: bool) -> String {
    let content = LINE.repeat(16);
    format!(
        r#"{{"model":"claude-opus-5-5","max_tokens":1024,"metadata":{{"user_id":"user_1_session_2"}},"messages":[{{"role":"user","content":"{content}"}}],"stream":{is_stream}}}"#
    )
}

async fn send(relay: &Relay, body: Bytes) -> Result<()> {
    let request = Request::post("/v1/messages")
        .header("host", "127.0.0.1:8787")
        .header("x-api-key", "client-key-000007")
        .header("anthropic-version", "2023-06-01")
        .header("content-type", "application/json")
        .header("user-agent", "claude-cli/2.1.0 (external, cli)")
        .body(Full::new(body))?;
    let response = relay.clone().oneshot(request).await?;
    let status = response.status();
    let mut body = response.into_body();
    while let Some(frame) = body.frame().await {
        frame?;
    }
    match status.as_u16() {
        200 => Ok(()),
        status => Err(format!("the relay answered with status {status}").into()),
    }
}
