//! The peers of the workloads, by their names in the table.

use crate::peer::{Kind, Spec, Variant};
use crate::upstream::handle::Protocol;

pub(super) const HYPER: &str = "bare hyper";
pub(super) const NGINX: &str = "nginx";
pub(super) const HAPROXY: &str = "haproxy";
pub(super) const AGAIN: &str = "bare hyper, again";
/// The peers of the workloads with many connections.
pub(super) const MANY: [&str; 8] = [HYPER, AGAIN, NGINX, HAPROXY, RELAY, ALL, FALLBACKS, BEDROCK];
pub(super) const RELAY: &str = "cc-relay";
pub(super) const ALL: &str = "cc-relay, all features";
pub(super) const FALLBACKS: &str = "cc-relay, unused fallbacks";
pub(super) const BEDROCK: &str = "cc-relay, Bedrock";
pub(super) const KEYS_10: &str = "cc-relay, 10 keys";
pub(super) const KEYS_1000: &str = "cc-relay, 1000 keys";
pub(super) const KEYS_10000: &str = "cc-relay, 10000 keys";
pub(super) const SIX: &str = "cc-relay, 6 providers";
pub(super) const RELAY_TLS1: &str = "cc-relay, TLS HTTP/1.1";
pub(super) const RELAY_TLS2: &str = "cc-relay, TLS HTTP/2";
pub(super) const HYPER_TLS1: &str = "bare hyper, TLS HTTP/1.1";
pub(super) const HYPER_TLS2: &str = "bare hyper, TLS HTTP/2";

pub(super) fn peers(names: &[&str]) -> Vec<Spec> {
    names.iter().map(|name| spec(name)).collect()
}

fn spec(name: &str) -> Spec {
    let kind = match name {
        "direct" => Kind::Direct,
        NGINX | "nginx, TLS HTTP/1.1" => Kind::Nginx,
        HAPROXY => Kind::Haproxy,
        RELAY | RELAY_TLS1 | RELAY_TLS2 => Kind::Relay(Variant::Lone),
        ALL => Kind::Relay(Variant::AllFeatures),
        FALLBACKS => Kind::Relay(Variant::Fallbacks),
        BEDROCK => Kind::Relay(Variant::Bedrock),
        KEYS_10 => Kind::Relay(Variant::Keys(10)),
        KEYS_1000 => Kind::Relay(Variant::Keys(1_000)),
        KEYS_10000 => Kind::Relay(Variant::Keys(10_000)),
        SIX => Kind::Relay(Variant::SixProviders),
        _ => Kind::Hyper,
    };
    let protocol = match name.rsplit_once(", TLS ") {
        Some((_, "HTTP/1.1")) => Protocol::TlsHttp1,
        Some((_, "HTTP/2")) => Protocol::TlsHttp2,
        _ => Protocol::Plain,
    };
    Spec::new(name, kind).over(protocol)
}
