//! The content of requests and responses: fidelity, adaptation, refusals, thinking, counts, models, the inputs of the
//! fuzz targets, and the examples of the documentation.

mod adaptation;
mod count_tokens;
mod deepseek_thinking;
mod discovered_models;
mod documentation;
mod fidelity;
mod fuzz_corpora;
mod model_names;
mod models;
mod named_tests;
mod prompt_too_long_in_success;
mod refusals;
mod replaced;
mod shared_refusals;
mod thinking;
