//! cc-relay.
fn main() {}
