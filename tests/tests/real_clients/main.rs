//! The real clients: Claude Code, the `anthropic` package of Python, and a browser with the dashboard.

mod claude_code;
mod claude_code_outages;
mod dashboard;
mod nginx;
mod python_sdk;
mod vendor_clients;
