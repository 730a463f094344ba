//! What looks like a signature and is none: each test is called after its class.

mod bundles;
pub(crate) mod certificates;
mod files;
mod older;
mod referrers;
mod rules;
