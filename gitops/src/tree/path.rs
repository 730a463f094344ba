//! Paths within a tree: relative, `/` between their parts, never out of it.

use crate::{Error, Result};

/// Normalises a relative path: `./a//b/../c` becomes `a/c`; one that is absolute or climbs out is
/// refused.
pub(crate) fn normalize(path: &str) -> Result<String> {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.pop().is_none() => return Err(Error::Outside { path: path.to_owned() }),
            ".." => {}
            part => parts.push(part),
        }
    }
    if path.starts_with('/') || path.contains('\\') || path.contains('\0') {
        return Err(Error::Outside { path: path.to_owned() });
    }
    Ok(parts.join("/"))
}

/// Where a path leads that nothing takes out of the tree: `../a` and `/a` are `a`.
pub(crate) fn confine(path: &str) -> String {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// Resolves a path that a file in a folder of the tree refers to.
pub(crate) fn resolve(folder: &str, path: &str) -> Result<String> {
    match path.starts_with('/') {
        true => Err(Error::Outside { path: path.to_owned() }),
        false => normalize(&join(folder, path)),
    }
}

/// Joins a folder of the tree and a path relative to it.
pub(crate) fn join(folder: &str, path: &str) -> String {
    match folder {
        "" => path.to_owned(),
        folder => format!("{folder}/{path}"),
    }
}
