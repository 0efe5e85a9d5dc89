//! The program from a user's view: output, exit codes and behaviour.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, also in its helpers")]

#[cfg(all(unix, feature = "ledger"))]
mod absurd_costs;
#[cfg(unix)]
mod activation;
mod admin;
#[cfg(all(unix, feature = "ledger"))]
mod advisor;
#[cfg(all(unix, feature = "ledger"))]
mod cache_losses;
#[cfg(unix)]
mod claude_settings;
mod config;
#[cfg(target_os = "linux")]
mod crowds;
mod dashboard;
#[cfg(unix)]
mod day;
mod doctor;
mod explain;
#[cfg(unix)]
mod google_log;
#[cfg(target_os = "linux")]
mod handover;
#[cfg(target_os = "linux")]
mod handshakes;
mod hint;
mod import;
#[cfg(unix)]
mod key_names;
#[cfg(all(unix, feature = "ledger"))]
mod ledger;
#[cfg(all(unix, feature = "ledger"))]
mod ledger_place;
#[cfg(unix)]
mod limits;
#[cfg(unix)]
mod listeners;
#[cfg(unix)]
mod log_ids;
#[cfg(unix)]
mod log_secrets;
#[cfg(unix)]
mod logs;
#[cfg(target_os = "linux")]
#[cfg(target_os = "linux")]
mod measure;
#[cfg(all(unix, not(feature = "otlp")))]
mod no_traces;
#[cfg(unix)]
mod notify;
#[cfg(target_os = "linux")]
mod open_files;
mod process;
mod proxy;
#[cfg(unix)]
mod real_claude;
#[cfg(unix)]
mod reload;
#[cfg(unix)]
mod run;
#[cfg(unix)]
mod run_tls;
mod serve;
#[cfg(target_os = "linux")]
mod service;
#[cfg(target_os = "linux")]
mod soak;
mod status;
#[cfg(unix)]
mod stop;
#[cfg(all(unix, feature = "top"))]
mod top;
#[cfg(all(unix, feature = "otlp"))]
mod traces;
mod trouble;
#[cfg(all(unix, feature = "ledger"))]
mod unknown_prices;
mod usage;
#[cfg(all(unix, feature = "ledger"))]
mod views;
