//! The real clients: Claude Code, the `anthropic` package of Python, and a browser with the dashboard.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails, its helpers included")]

mod claude_code;
mod claude_code_outages;
mod dashboard;
mod https;
mod nginx;
mod python_sdk;
mod vendor_clients;
