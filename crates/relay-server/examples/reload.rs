//! Replaces the configuration of a relay while it serves requests: each time its file changes.
//!
//! ```text
//! cargo run -p relay-server --example reload -- relay.yaml
//! ```

use std::error::Error;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use relay_config::Loader;
use relay_server::{Changes, Relay, Reloadable};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let file = PathBuf::from(std::env::args_os().nth(1).ok_or("name a configuration file")?);
    let relay = Reloadable::new(Relay::builder(loader(&file).load()?.config).build()?);
    let listener = TcpListener::bind("127.0.0.1:8787").await?;
    tokio::spawn(relay_server::serve(listener, relay.clone(), std::future::pending()));
    let mut known = modified(&file);
    loop {
        tokio::time::sleep(Duration::from_millis(500)).await;
        if std::mem::replace(&mut known, modified(&file)) == known {
            continue;
        }
        // Requests in progress end on the configuration on which they began. A wrong file changes nothing.
        match reload(&relay, &loader(&file)) {
            Ok(changes) => writeln!(std::io::stdout(), "replaced: {changes:?}")?,
            Err(error) => writeln!(std::io::stderr(), "the configuration before stays in use: {error}")?,
        }
    }
}

/// Replaces the configuration of `relay` by the one that `loader` loads.
pub(crate) fn reload(relay: &Reloadable, loader: &Loader) -> Result<Changes, Box<dyn Error>> {
    Ok(relay.replace(loader.load()?.config)?)
}

/// Loads `file`, and the variables of the environment.
fn loader(file: &Path) -> Loader {
    Loader::new().with_file(file).with_environment(std::env::vars())
}

fn modified(file: &Path) -> Option<SystemTime> {
    std::fs::metadata(file).and_then(|metadata| metadata.modified()).ok()
}
