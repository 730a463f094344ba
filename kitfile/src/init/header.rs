//! What the first bytes of a weights file tell.

use serde_json::{Map, Value};

use super::FileInfo;

/// The longest header that the safetensors format allows, in bytes.
const MAX_HEADER: u64 = 100_000_000;
/// How many of a GGUF file's values are looked at.
const MAX_GGUF_VALUES: u64 = 10_000;

/// A weights file that says itself what it is.
#[derive(Debug)]
pub(super) struct Weights {
    pub(super) format: &'static str,
    /// What the header says, as far as the first bytes hold it.
    pub(super) parameters: Map<String, Value>,
    pub(super) license: Option<String>,
}

impl Weights {
    pub(super) fn of(file: &FileInfo) -> Option<Self> {
        safetensors(file).or_else(|| gguf(&file.head)).or_else(|| {
            let is_hdf5 = file.head.starts_with(b"\x89HDF\r\n\x1a\n");
            is_hdf5.then(|| Self { format: "h5", parameters: Map::new(), license: None })
        })
    }
}

/// A length in eight bytes, little end first, then a JSON object: dtype, shape and place of each
/// tensor.
fn safetensors(file: &FileInfo) -> Option<Weights> {
    let (length, rest) = file.head.split_first_chunk()?;
    let length = u64::from_le_bytes(*length);
    if length > MAX_HEADER || length.checked_add(8)? > file.size || rest.first() != Some(&b'{') {
        return None;
    }
    let header = rest.get(..usize::try_from(length).ok()?);
    let tensors =
        header.and_then(|header| serde_json::from_slice::<Map<String, Value>>(header).ok());
    Some(Weights {
        format: "safetensors",
        parameters: tensors.map(|tensors| counted(&tensors)).unwrap_or_default(),
        license: None,
    })
}

/// How many numbers the tensors hold, and of which types.
fn counted(tensors: &Map<String, Value>) -> Map<String, Value> {
    let mut total: u64 = 0;
    let mut dtypes: Vec<&str> = Vec::new();
    for (_, tensor) in tensors.iter().filter(|(name, _)| *name != "__metadata__") {
        let shape = tensor["shape"].as_array().map(Vec::as_slice).unwrap_or_default();
        let size = shape.iter().filter_map(Value::as_u64).fold(1, u64::saturating_mul);
        total = total.saturating_add(size);
        dtypes.extend(tensor["dtype"].as_str());
    }
    dtypes.sort_unstable();
    dtypes.dedup();
    if dtypes.is_empty() {
        return Map::new();
    }
    Map::from_iter([
        ("num_parameters".to_owned(), total.into()),
        ("dtype".to_owned(), dtypes.join(", ").into()),
    ])
}

/// `GGUF`, a version, two counts, then values with names.
fn gguf(head: &[u8]) -> Option<Weights> {
    let mut reader = Gguf(head.strip_prefix(b"GGUF")?);
    let mut weights = Weights { format: "gguf", parameters: Map::new(), license: None };
    let version = reader.u32()?;
    let counts = reader.u64().zip(reader.u64()).filter(|_| version >= 2);
    for _ in 0..counts.map_or(0, |(_, n_values)| n_values.min(MAX_GGUF_VALUES)) {
        // The first bytes end somewhere in the values; what came before is known.
        let Some((name, value)) = reader.text().zip(reader.value()) else {
            break;
        };
        let short = name
            .strip_prefix("general.")
            .unwrap_or_else(|| name.split_once('.').map_or(&*name, |(_, short)| short));
        match short {
            "license" => weights.license = value.as_str().map(str::to_owned),
            "architecture" | "size_label" | "context_length" | "embedding_length"
            | "block_count" => {
                weights.parameters.insert(short.to_owned(), value);
            }
            _ => {}
        }
    }
    Some(weights)
}

/// Reads a GGUF file's values, as far as the bytes go.
struct Gguf<'a>(&'a [u8]);

impl Gguf<'_> {
    fn bytes<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.bytes().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.bytes().map(u64::from_le_bytes)
    }

    fn text(&mut self) -> Option<String> {
        let length = usize::try_from(self.u64()?).ok()?;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        String::from_utf8(text.to_vec()).ok()
    }

    /// A value with its type in front; of a list only that it is one.
    fn value(&mut self) -> Option<Value> {
        let kind = self.u32()?;
        if kind != 9 {
            return self.typed(kind);
        }
        let kind = self.u32()?;
        let length = self.u64()?;
        for _ in 0..length {
            self.typed(kind)?;
        }
        Some(Value::Array(Vec::new()))
    }

    fn typed(&mut self, kind: u32) -> Option<Value> {
        Some(match kind {
            0 => u8::from_le_bytes(self.bytes()?).into(),
            1 => i8::from_le_bytes(self.bytes()?).into(),
            2 => u16::from_le_bytes(self.bytes()?).into(),
            3 => i16::from_le_bytes(self.bytes()?).into(),
            4 => self.u32()?.into(),
            5 => i32::from_le_bytes(self.bytes()?).into(),
            6 => f32::from_le_bytes(self.bytes()?).into(),
            7 => (self.bytes::<1>()? != [0]).into(),
            8 => self.text()?.into(),
            10 => self.u64()?.into(),
            11 => i64::from_le_bytes(self.bytes()?).into(),
            12 => f64::from_le_bytes(self.bytes()?).into(),
            _ => return None,
        })
    }
}
