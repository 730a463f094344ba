//! Texts as tensors, padded to the longest of them.

use burn::tensor::{Device, Int, Tensor, TensorData};

/// Some texts, ready for the network.
#[derive(Debug, Clone)]
pub(crate) struct Batch {
    pub(crate) n_texts: usize,
    /// Tokens of the longest text.
    pub(crate) longest: usize,
    /// `[n_texts, longest]`.
    pub(crate) ids: Tensor<2, Int>,
    /// What is added to the attention scores, `[n_texts, 1, 1, longest]`; none where no text is padded.
    pub(crate) padding: Option<Tensor<4>>,
}

impl Batch {
    /// Puts the token ids of some texts together.
    pub(crate) fn new(rows: &[&[u32]], pad_token: u32, device: &Device) -> Self {
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
            padding: is_padded.then(|| Tensor::from_data(padding, device)),
        }
    }
}
