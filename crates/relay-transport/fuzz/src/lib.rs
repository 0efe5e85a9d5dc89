//! The rules that the fuzz targets check. A test of the workspace checks them with the inputs in `corpus`.

pub mod intake;
