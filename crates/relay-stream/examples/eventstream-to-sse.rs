//! Reads an Event Stream of Bedrock from standard input and writes Anthropic's server-sent events to standard
//! output.
//!
//! ```text
//! cargo run -p relay-stream --example eventstream-to-sse < crates/relay-stream/testdata/message.eventstream
//! ```

use std::io::{Read, Write};

use bytes::BytesMut;
use relay_stream::bedrock::Translator;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (mut input, mut output) = (std::io::stdin().lock(), std::io::stdout().lock());
    let mut translator = Translator::new();
    let mut out = BytesMut::new();
    let mut chunk = [0; 16 << 10];
    loop {
        let len = input.read(&mut chunk)?;
        // Events before a fault are written before it is reported.
        let result =
            if len == 0 { translator.finish(&mut out) } else { translator.push(&chunk[..len], &mut out) };
        output.write_all(&out)?;
        output.flush()?;
        out.clear();
        result?;
        if len == 0 {
            return Ok(());
        }
    }
}
