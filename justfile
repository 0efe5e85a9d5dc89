# The everyday commands. `just` lists them (https://just.systems). Each is short enough to be typed without it.

_default:
    @just --list --unsorted

# Type-check everything
check:
    cargo check --workspace --all-targets

# Format, then clippy as in CI
lint:
    cargo fmt --all
    cargo clippy --workspace --all-targets --all-features -- -D warnings
    .ci/check-prose
    .ci/check-crates

# The test suite; arguments go to cargo, as in `just test -p relay-routing`
test *arguments="--workspace":
    cargo test {{arguments}}

# The tests that drive the real Claude Code and the Python SDK, installed on the first call
test-real:
    bash tests/real-clients/setup.sh
    CC_RELAY_REQUIRE_REAL_CLIENTS=1 cargo test -p relay-tests --test real_clients

# The tests of the dashboard in Chromium; arguments as in `just test-browser --only providers`
test-browser *arguments:
    bash tests/browser/setup.sh
    node tests/browser/run.mjs {{arguments}}

# The dashboard at port 8788 with scripted data, as in `just dashboard hundred` (tests/browser/fake.mjs lists the scenarios)
dashboard scenario="busy":
    node tests/browser/fake.mjs {{scenario}} 8788

# Random faults under load
chaos seconds="60":
    CC_RELAY_CHAOS_SECONDS={{seconds}} cargo test -p relay-tests --test chaos -- --nocapture

# Run the relay with two built-in providers: no account and no network needed
demo:
    cargo run --release -- --demo

# The API documentation, warnings denied
doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

# One fuzz target for a minute; needs cargo-fuzz (`cargo install cargo-fuzz`). Its new inputs are in fuzz/target/corpus
fuzz crate="relay-stream" target="decoder" seconds="60":
    mkdir -p crates/{{crate}}/fuzz/target/corpus/{{target}}
    cd crates/{{crate}} && cargo +nightly fuzz run {{target}} fuzz/target/corpus/{{target}} fuzz/corpus/{{target}} -- -max_total_time={{seconds}} -max_len=8192

# The corpus of a fuzz target after a run: few inputs that reach all code, the smallest ones up to 150 KB
fuzz-corpus crate target:
    rm -rf crates/{{crate}}/fuzz/target/kept && mkdir crates/{{crate}}/fuzz/target/kept
    cd crates/{{crate}} && cargo +nightly fuzz run {{target}} fuzz/target/kept fuzz/corpus/{{target}} fuzz/target/corpus/{{target}} -- -set_cover_merge=1 -use_counters=0 -max_len=4096
    rm crates/{{crate}}/fuzz/corpus/{{target}}/*
    cd crates/{{crate}}/fuzz && wc -c target/kept/* | sort -n | awk '$2 != "total" && (sum += $1) <= 150000 { print $2 }' | xargs cp -t corpus/{{target}}

# The benchmark beside other proxies (docs/performance.md), as in `just bench-proxies --quick`
bench-proxies *arguments:
    cargo run --release -p relay-bench -- {{arguments}}

# The benchmarks of single functions
bench:
    cargo bench -p relay-messages
    cd crates/relay-stream/benches-peer && cargo bench

# Everything that CI checks
ci:
    .ci/run
