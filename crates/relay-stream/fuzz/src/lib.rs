//! The rules that the fuzz targets check. A test of the workspace checks them with the inputs in `corpus`.

mod chunks;
pub mod decoder;
pub mod sse;
pub mod translator;
