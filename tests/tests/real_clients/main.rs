//! The real clients: Claude Code, and the `anthropic` package of Python.

mod claude_code;
mod claude_code_outages;
mod nginx;
mod python_sdk;
mod vendor_clients;
