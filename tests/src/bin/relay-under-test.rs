//! A relay in a process of its own, for settings that only an environment can make: see `Relay::spawn`.
//!
//! Its argument is the configuration. It prints its address, and serves until its standard input ends.

use std::io::{Read, Write};

use relay_tests::Relay;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let config = std::env::args().nth(1).ok_or("usage: relay-under-test CONFIG")?;
    let relay = Relay::start_with_proxies(&serde_json::from_str(&config)?).await;
    writeln!(std::io::stdout(), "{}", relay.address())?;
    tokio::task::spawn_blocking(|| std::io::stdin().read(&mut [0])).await??;
    Ok(())
}
