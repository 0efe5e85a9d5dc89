//! A relay in a separate process, for tests of environment variables and of resource usage: see `RelayProcess`.
//!
//! The argument is the configuration. The program prints the address of the relay. For each line on standard input it
//! prints the number of its tasks. It serves until standard input ends.

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
