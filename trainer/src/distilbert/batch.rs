//! Texts as tensors: one after the other, or padded to the longest of them.

use burn::tensor::{Device, Int, Tensor, TensorData};

/// Some texts, ready for the network.
#[derive(Debug, Clone)]
pub(crate) struct Batch {
    pub(crate) n_texts: usize,
    /// Tokens of the longest text.
    pub(crate) longest: usize,
    /// `[n_texts, longest]`, or all tokens in one row.
    pub(crate) ids: Tensor<2, Int>,
    /// The tokens of each text, where the network takes all texts' tokens one after the other; then
    /// `ids` is `[1, tokens]`.
    pub(crate) packed: Option<Vec<usize>>,
    /// The places of the tokens in their texts, `[1, tokens]`, and of the texts' first tokens among
    /// all, `[n_texts]`.
    pub(crate) places: Option<(Tensor<2, Int>, Tensor<1, Int>)>,
    /// What is added to the attention scores, `[n_texts, 1, 1, longest]`; none where no text is
    /// padded.
    pub(crate) padding: Option<Tensor<4>>,
}

impl Batch {
    /// Puts the token ids of some texts together.
    pub(crate) fn new(rows: &[&[u32]], pad_token: u32, device: &Device) -> Self {
        let packs = *device == Device::flex() || *device == Device::flex().autodiff();
        if packs && rows.iter().all(|row| !row.is_empty()) {
            Self::packed(rows, device)
        } else {
            Self::padded(rows, pad_token, device)
        }
    }

    /// All tokens one after the other: for the fused layer, which has no use for padding.
    fn packed(rows: &[&[u32]], device: &Device) -> Self {
        let lengths: Vec<usize> = rows.iter().map(|row| row.len()).collect();
        let n_tokens: usize = lengths.iter().sum();
        let ids = rows.iter().flat_map(|row| row.iter().map(|id| i64::from(*id))).collect();
        let within = lengths.iter().flat_map(|length| 0..*length as i64).collect();
        let firsts = lengths.iter().scan(0_i64, |next, length| {
            let first = *next;
            *next += *length as i64;
            Some(first)
        });
        let row =
            |values: Vec<i64>| Tensor::from_data(TensorData::new(values, [1, n_tokens]), device);
        let firsts = TensorData::new(firsts.collect::<Vec<i64>>(), [rows.len()]);
        Self {
            n_texts: rows.len(),
            longest: lengths.iter().copied().max().unwrap_or(0),
            ids: row(ids),
            places: Some((row(within), Tensor::from_data(firsts, device))),
            packed: Some(lengths),
            padding: None,
        }
    }

    fn padded(rows: &[&[u32]], pad_token: u32, device: &Device) -> Self {
        let longest = rows.iter().map(|row| row.len()).max().unwrap_or(0).max(1);
        let n_texts = rows.len();
        let mut ids = vec![i64::from(pad_token); n_texts * longest];
        let mut padding = vec![f32::MIN; n_texts * longest];
        for (n, row) in rows.iter().enumerate() {
            for (column, id) in row.iter().enumerate() {
                ids[n * longest + column] = i64::from(*id);
                padding[n * longest + column] = 0.0;
            }
        }
        let is_padded = rows.iter().any(|row| row.len() < longest);
        let padding = TensorData::new(padding, [n_texts, 1, 1, longest]);
        Self {
            n_texts,
            longest,
            ids: Tensor::from_data(TensorData::new(ids, [n_texts, longest]), device),
            packed: None,
            places: None,
            padding: is_padded.then(|| Tensor::from_data(padding, device)),
        }
    }
}
