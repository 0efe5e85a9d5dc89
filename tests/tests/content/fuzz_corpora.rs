//! The inputs that the fuzz targets have found, in the `corpus` of each fuzz package, checked by the rules of these targets.
//! CONTRIBUTING.md describes how a corpus is renewed.

use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

#[path = "../../../crates/relay-config/fuzz/src/lib.rs"]
#[expect(unreachable_pub, reason = "the fuzz targets use it as a crate")]
mod relay_config_fuzz;
#[path = "../../../crates/relay-messages/fuzz/src/lib.rs"]
#[expect(unreachable_pub, reason = "the fuzz targets use it as a crate")]
mod relay_messages_fuzz;
#[path = "../../../crates/relay-stream/fuzz/src/lib.rs"]
#[expect(unreachable_pub, reason = "the fuzz targets use it as a crate")]
mod relay_stream_fuzz;
#[path = "../../../crates/relay-transport/fuzz/src/lib.rs"]
#[expect(unreachable_pub, reason = "the fuzz targets use it as a crate")]
mod relay_transport_fuzz;

/// Checks each input of `target`, a target of the fuzz package of `package`. A failure names the file.
#[track_caller]
fn check(package: &str, target: &str, check: fn(&[u8])) {
    let corpus =
        Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../crates/{package}/fuzz/corpus/{target}"));
    let files = std::fs::read_dir(&corpus).expect("each target has a corpus");
    let files: Vec<PathBuf> = files.map(|file| file.expect("the corpus is readable").path()).collect();
    assert!(!files.is_empty(), "{} is empty", corpus.display());
    for file in files {
        let input = std::fs::read(&file).expect("the corpus is readable");
        if catch_unwind(|| check(&input)).is_err() {
            panic!("{} breaks a rule", file.display());
        }
    }
}

#[test]
fn configuration_files() {
    check("relay-config", "config", relay_config_fuzz::config::check);
}

#[test]
fn request_bodies() {
    check("relay-messages", "body", relay_messages_fuzz::body::check);
}

#[test]
fn adapted_requests() {
    check("relay-messages", "edits", relay_messages_fuzz::edits::check);
}

#[test]
fn compressed_bodies() {
    check("relay-transport", "intake", relay_transport_fuzz::intake::check);
}

#[test]
fn event_stream_messages() {
    check("relay-stream", "decoder", relay_stream_fuzz::decoder::check);
}

#[test]
fn server_sent_events() {
    check("relay-stream", "sse", relay_stream_fuzz::sse::check);
}

#[test]
fn streams_of_bedrock() {
    check("relay-stream", "translator", relay_stream_fuzz::translator::check);
}
