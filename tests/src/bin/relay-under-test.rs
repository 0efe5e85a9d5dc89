//! A relay in a process of its own, for what only a process of its own has: see `RelayProcess`.
//!
//! Its argument is the configuration. It prints its address, then for each line of its standard input how many tasks it
//! has, and serves until that input ends.

use std::io::{self, Write};

use relay_tests::Relay;
use tokio::runtime::Handle;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let config = std::env::args().nth(1).ok_or("usage: relay-under-test CONFIG")?;
    let relay = Relay::start_with_proxies(&serde_json::from_str(&config)?).await;
    writeln!(io::stdout(), "{}", relay.address())?;
    let metrics = Handle::current().metrics();
    let answering = move || {
        io::stdin()
            .lines()
            .try_for_each(|line| line.and_then(|_| writeln!(io::stdout(), "{}", metrics.num_alive_tasks())))
    };
    tokio::task::spawn_blocking(answering).await??;
    Ok(())
}
