//! `golden.json`: texts, and the logits that whoever made the model got for them.

use std::io::ErrorKind;
use std::path::Path;

use fs_err as fs;
use serde::Deserialize;

use crate::error::{Error, Result};

#[derive(Deserialize)]
struct Golden {
    texts: Vec<String>,
    logits: Vec<Vec<f32>>,
}

/// Reads the golden values of a folder (`{"texts": [..], "logits": [[..], ..]}`); none where there
/// is no such file.
pub fn golden(dir: &Path) -> Result<Vec<(String, Vec<f32>)>> {
    let path = dir.join("golden.json");
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(Error::Folder { dir: dir.to_owned(), source }),
    };
    let Golden { texts, logits } = serde_json::from_slice(&bytes)
        .map_err(|source| Error::Document { path: path.clone(), source })?;
    if texts.len() != logits.len() {
        let problems = vec!["it has not as many rows of logits as texts".to_owned()];
        return Err(Error::Unsupported { path, problems });
    }
    Ok(texts.into_iter().zip(logits).collect())
}
