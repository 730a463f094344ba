//! The tensors of a safetensors file while it streams by.
//! Source: the format's README: a length in eight bytes, little end first; a JSON header of that
//! length; the tensors' bytes.

use std::collections::BTreeMap;
use std::io::{self, Read};

use registry::content::Hasher;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Headers longer than this are not read, in bytes; the format allows 100 MB, models have some
/// hundred KB.
const MAX_HEADER: u64 = 32 << 20;

/// Tensors by name.
pub(super) type Tensors = BTreeMap<String, Tensor>;

/// A tensor in a comparison.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Tensor {
    /// The type of its numbers, such as `F32`.
    pub dtype: String,
    /// Its shape.
    pub shape: Vec<u64>,
    /// The digest of its bytes.
    pub digest: String,
}

#[derive(Deserialize)]
struct Header {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: (u64, u64),
}

/// Reads a file from its first byte on; none when it is not in this format. What of the file is
/// left unread is not looked at.
pub(super) fn read(file: &mut dyn Read) -> io::Result<Option<Tensors>> {
    let Some(headers) = headers(file)? else { return Ok(None) };
    let mut tensors = Tensors::new();
    let mut at = 0;
    for (name, Header { dtype, shape, data_offsets: (from, to) }) in headers {
        if from < at || to < from {
            return Ok(None);
        }
        let skipped = io::copy(&mut file.take(from - at), &mut io::sink())?;
        let mut hasher = Hasher::default();
        let hashed = hash(&mut file.take(to - from), &mut hasher)?;
        if skipped != from - at || hashed != to - from {
            return Ok(None);
        }
        at = to;
        tensors.insert(name, Tensor { dtype, shape, digest: hasher.finish().to_string() });
    }
    Ok(Some(tensors))
}

/// The header's entries, in the order of their bytes.
fn headers(file: &mut dyn Read) -> io::Result<Option<Vec<(String, Header)>>> {
    let mut length = Vec::new();
    file.take(8).read_to_end(&mut length)?;
    let Ok(length) = <[u8; 8]>::try_from(length) else { return Ok(None) };
    let length = u64::from_le_bytes(length);
    if length > MAX_HEADER {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    file.take(length).read_to_end(&mut bytes)?;
    let Ok(entries) = serde_json::from_slice::<BTreeMap<String, Value>>(&bytes) else {
        return Ok(None);
    };
    let tensors = entries.into_iter().filter(|(name, _)| name != "__metadata__");
    let mut headers = Vec::new();
    for (name, value) in tensors {
        let Ok(header) = serde_json::from_value::<Header>(value) else { return Ok(None) };
        headers.push((name, header));
    }
    headers.sort_by_key(|(_, header)| header.data_offsets);
    Ok(Some(headers))
}

fn hash(from: &mut dyn Read, hasher: &mut Hasher) -> io::Result<u64> {
    let mut chunk = vec![0; 64 * 1024];
    let mut n_bytes = 0;
    loop {
        match from.read(&mut chunk)? {
            0 => return Ok(n_bytes),
            n => {
                hasher.update(&chunk[..n]);
                n_bytes += n as u64;
            }
        }
    }
}
