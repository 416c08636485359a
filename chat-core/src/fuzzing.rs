//! Ways for fuzz targets into what is private here, with what must hold there. No part of the API.

pub use crate::{command::fuzzing::job, engine::fuzzing::hint};
