//! The image of the server alone, for models that are mounted, brought or followed.

use std::collections::HashMap;
use std::path::PathBuf;

use registry::Layout;
use registry::content::Descriptor;

use super::build::{architecture, binary_layer, configuration, put, started};
use super::{BINARY, PROGRAM};
use crate::error::Result;
use crate::time::rfc3339;

/// How to build the image of the server alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerOptions {
    /// The static binary; it goes into the image as `/kit-rs`.
    pub binary: PathBuf,
    /// The port to serve on.
    pub port: u16,
    /// When it was built, in seconds since 1970; without it the same binary always gives the same
    /// image.
    pub created: Option<u64>,
}

/// Builds the image of the server alone, which serves `/model` unless it is given other arguments.
///
/// Its one layer is the one that images of [`build`](super::build()) begin with, so that a registry
/// and a node have it once.
pub fn server(layout: &Layout, options: &ServerOptions) -> Result<Descriptor> {
    let _hold = layout.hold()?;
    let layers = vec![binary_layer(layout, &options.binary)?];
    let created = options.created.map(rfc3339).transpose()?;
    let config = started(options.port, None, &[])
        .cmd(["serve", "/model"].map(str::to_owned).to_vec())
        .labels(HashMap::from([(PROGRAM.to_owned(), BINARY.to_owned())]));
    let architecture = architecture(Some(&options.binary))?;
    let config = configuration(config, &architecture, created, &layers);
    put(layout, &config, layers, |manifest| manifest)
}
