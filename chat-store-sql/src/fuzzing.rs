//! A way for fuzz targets to the reading of rows. No part of the API.

pub use crate::row::fuzzing::row;
