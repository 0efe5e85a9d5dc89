//! The checks of the connection: proxy, name, TCP, TLS.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use relay_config::{ProviderConfig, ProviderKind};
use relay_server::check::{CertificateFacts, Diagnosis, ProviderCheck, Step, StepError, TlsFacts, TlsFault};

use crate::doctor::check::{Check, written};

/// The number of addresses of a host that are shown.
const ADDRESSES: usize = 3;
/// The time before the end of a certificate in which it is reported.
const ENDS_SOON: Duration = Duration::from_hours(7 * 24);

/// Returns the steps of the connection, up to the first that fails.
pub(super) fn checks(provider: &ProviderConfig, found: &ProviderCheck) -> Vec<Check> {
    let Some(diagnosis) = &found.connection else {
        return vec![Check::skip("connection", "the address is known with the first request")];
    };
    let mut checks = vec![proxy(diagnosis)];
    checks.extend(diagnosis.lookup.as_ref().map(|step| lookup(diagnosis, step, provider)));
    checks.extend(diagnosis.connect.as_ref().map(|step| connect(diagnosis, step, provider)));
    checks.extend(diagnosis.tls.as_ref().map(tls));
    checks
}

fn proxy(diagnosis: &Diagnosis) -> Check {
    match &diagnosis.proxy {
        Ok(None) => Check::ok("proxy", "none"),
        Ok(Some(address)) => Check::ok("proxy", format!("connections go through {address}")),
        Err(error) => Check::fail(
            "proxy",
            error.to_string(),
            "set HTTPS_PROXY to an http:// URL, or name the host in NO_PROXY",
        ),
    }
}

fn lookup(diagnosis: &Diagnosis, step: &Step<Vec<IpAddr>>, provider: &ProviderConfig) -> Check {
    let host = &diagnosis.host;
    let check = match &step.result {
        Ok(_) if host.parse::<IpAddr>().is_ok() => Check::ok("dns", "the URL has an address"),
        Ok(addresses) => Check::ok("dns", format!("{host} has {}", listed(addresses))),
        Err(error) => Check::fail("dns", format!("{host}: {error}"), unknown_name(diagnosis, provider)),
    };
    check.with_time(step.time)
}

fn listed(addresses: &[IpAddr]) -> String {
    let shown: Vec<_> = addresses.iter().take(ADDRESSES).map(ToString::to_string).collect();
    match addresses.len().saturating_sub(ADDRESSES) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

fn unknown_name(diagnosis: &Diagnosis, provider: &ProviderConfig) -> String {
    let setting = match &provider.kind {
        _ if matches!(diagnosis.proxy, Ok(Some(_))) => "HTTPS_PROXY",
        ProviderKind::Bedrock(config) if config.base_url.is_none() => "aws_region",
        ProviderKind::Vertex(config) if config.base_url.is_none() => "gcp_region",
        ProviderKind::Azure(_) => "azure_resource_name or base_url",
        _ => "base_url",
    };
    format!("check {setting}; if the name is right, check the DNS server of this machine")
}

fn connect(diagnosis: &Diagnosis, step: &Step<()>, provider: &ProviderConfig) -> Check {
    let check = match &step.result {
        Ok(()) => Check::ok("tcp", "connected"),
        Err(error) => Check::fail("tcp", error.to_string(), not_connected(diagnosis, error, provider)),
    };
    check.with_time(step.time)
}

fn not_connected(diagnosis: &Diagnosis, error: &StepError, provider: &ProviderConfig) -> String {
    if let Ok(Some(address)) = &diagnosis.proxy {
        return format!("check that the proxy at {address} runs, or name the host in NO_PROXY");
    }
    match &provider.kind {
        ProviderKind::Ollama { .. } => "start Ollama with `ollama serve`, or correct base_url".to_owned(),
        _ if error.is_timeout => {
            "a firewall may drop the packets; if the network is slow, raise connect_timeout_ms".to_owned()
        }
        _ => "check that the server runs, and the host and port of base_url".to_owned(),
    }
}

fn tls(step: &Step<TlsFacts>) -> Check {
    let check = match &step.result {
        Ok(facts) => secured(facts, SystemTime::now()),
        Err(error) => Check::fail("tls", failure(error), remedy(error)),
    };
    check.with_time(step.time)
}

fn secured(facts: &TlsFacts, now: SystemTime) -> Check {
    let version = facts.version;
    let Some(certificate) = &facts.certificate else { return Check::ok("tls", version) };
    let text = format!("{version}, certificate {}", described(certificate));
    match certificate.validity.until.duration_since(now) {
        Ok(left) if left > ENDS_SOON => Check::ok("tls", text),
        _ => Check::warn("tls", text, "renew the certificate of the server"),
    }
}

fn described(certificate: &CertificateFacts) -> String {
    let until = written(certificate.validity.until);
    let date = until.split('T').next().unwrap_or_default();
    match &certificate.issuer {
        Some(issuer) => format!("of {issuer} until {date}"),
        None => format!("until {date}"),
    }
}

fn failure(error: &StepError) -> String {
    let presented = error.certificate.as_ref();
    let presented = presented.map(|own| format!(" (certificate {})", described(own))).unwrap_or_default();
    match error.tls {
        Some(TlsFault::UnknownIssuer) => format!("the certificate is of an unknown authority{presented}"),
        Some(TlsFault::NotTls) => "the server does not speak TLS".to_owned(),
        _ => format!("{error}{presented}"),
    }
}

fn remedy(error: &StepError) -> &'static str {
    match error.tls {
        Some(TlsFault::UnknownIssuer) => {
            "set ca_file to a PEM file with the authority, for example that of a corporate proxy that intercepts TLS"
        }
        Some(TlsFault::WrongHost) => "correct the host of base_url: the certificate is for other names",
        Some(TlsFault::Expired) => "renew the certificate of the server, and check the clock of this machine",
        Some(TlsFault::NotYetValid) => "check the clock of this machine",
        Some(TlsFault::NotTls) => "check the port of base_url, or use http:// if the server has no TLS",
        _ => "a proxy or a firewall may end the connection; check base_url",
    }
}
