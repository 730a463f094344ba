//! Texts as tensors: one after the other, or padded to the longest of them.

use burn::tensor::{Device, Int, Tensor, TensorData};
use checkpoint::{Encoded, Network, Positions};

use super::fused;
use super::relation::Relation;

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
    /// The texts' first tokens among all, `[n_texts]`.
    pub(crate) firsts: Tensor<1, Int>,
    /// The tokens' rows of the table of positions, of the shape of `ids`; none where they are those
    /// from 0 on.
    pub(crate) positions: Option<Tensor<2, Int>>,
    /// Each token's row of the table of kinds, in the shape of `ids`; none where all are of the
    /// first.
    pub(crate) kinds: Option<Tensor<2, Int>>,
    /// What is added to the attention scores, `[n_texts, 1, 1, longest]`; none where no text is
    /// padded.
    pub(crate) padding: Option<Tensor<4>>,
    /// How tokens relate by their places; the second is of layers that see their neighbours only.
    pub(crate) relations: Vec<Relation>,
    lengths: Vec<usize>,
}

impl Batch {
    /// Puts some texts, or pairs of them, together.
    pub(crate) fn of(sequences: &[&Encoded], network: &Network, device: &Device) -> Self {
        let rows: Vec<&[u32]> = sequences.iter().map(|sequence| &sequence.ids[..]).collect();
        let batch = Self::new(&rows, network, device);
        if sequences.iter().all(|sequence| sequence.kinds.is_empty()) {
            return batch;
        }
        let width = |row: &[u32]| if batch.packed.is_some() { row.len() } else { batch.longest };
        let mut kinds: Vec<i64> = Vec::new();
        for (sequence, row) in sequences.iter().zip(&rows) {
            let end = kinds.len() + width(row);
            kinds.extend(sequence.kinds.iter().map(|kind| i64::from(*kind)));
            kinds.resize(end, 0);
        }
        let kinds = TensorData::new(kinds, batch.ids.dims());
        Self { kinds: Some(Tensor::from_data(kinds, device)), ..batch }
    }

    /// Puts the token ids of some texts together.
    fn new(rows: &[&[u32]], network: &Network, device: &Device) -> Self {
        let packs = *device == Device::flex() || *device == Device::flex().autodiff();
        if packs && rows.iter().all(|row| !row.is_empty()) {
            Self::packed(rows, network, device)
        } else {
            Self::padded(rows, network, device)
        }
    }

    /// All tokens one after the other: for the fused layers, which have no use for padding.
    fn packed(rows: &[&[u32]], network: &Network, device: &Device) -> Self {
        let lengths: Vec<usize> = rows.iter().map(|row| row.len()).collect();
        let (n_tokens, longest) =
            (lengths.iter().sum(), lengths.iter().copied().max().unwrap_or(0));
        let ids = rows.iter().flat_map(|row| row.iter().map(|id| i64::from(*id))).collect();
        let within =
            rows.iter().flat_map(|row| network.positions(row).map(|at| at as i64)).collect();
        let row =
            |values: Vec<i64>| Tensor::from_data(TensorData::new(values, [1, n_tokens]), device);
        Self {
            n_texts: rows.len(),
            longest,
            ids: row(ids),
            positions: Some(row(within)),
            kinds: None,
            firsts: firsts(&lengths, device),
            padding: None,
            relations: Relation::all(network, longest.max(1)),
            packed: Some(lengths.clone()),
            lengths,
        }
    }

    fn padded(rows: &[&[u32]], network: &Network, device: &Device) -> Self {
        let pad_token = network.pad_token_id.unwrap_or(0);
        let lengths: Vec<usize> = rows.iter().map(|row| row.len()).collect();
        let longest = lengths.iter().copied().max().unwrap_or(0).max(1);
        let n_texts = rows.len();
        let mut ids = vec![i64::from(pad_token); n_texts * longest];
        let mut padding = vec![f32::MIN; n_texts * longest];
        for (n, row) in rows.iter().enumerate() {
            for (column, id) in row.iter().enumerate() {
                ids[n * longest + column] = i64::from(*id);
                padding[n * longest + column] = 0.0;
            }
        }
        let positions = matches!(network.positions, Positions::After(_)).then(|| {
            let mut positions = vec![0; n_texts * longest];
            for (n, row) in rows.iter().enumerate() {
                let places = positions[n * longest..].iter_mut().zip(network.positions(row));
                places.for_each(|(place, at)| *place = at as i64);
            }
            Tensor::from_data(TensorData::new(positions, [n_texts, longest]), device)
        });
        let is_padded = lengths.iter().any(|length| *length < longest);
        let padding = TensorData::new(padding, [n_texts, 1, 1, longest]);
        Self {
            n_texts,
            longest,
            ids: Tensor::from_data(TensorData::new(ids, [n_texts, longest]), device),
            packed: None,
            positions,
            kinds: None,
            firsts: firsts(&vec![longest; n_texts], device),
            padding: is_padded.then(|| Tensor::from_data(padding, device)),
            relations: Relation::all(network, longest),
            lengths,
        }
    }

    /// The mean of each text's rows of `hidden`, `[batch * seq, dim]`. Returns `[n_texts, dim]`.
    pub(super) fn means(&self, hidden: Tensor<2>) -> Tensor<2> {
        let n_rows = hidden.dims()[0];
        let mut shares = vec![0.0_f32; self.n_texts * n_rows];
        for (text, (first, length)) in self.texts().enumerate() {
            shares[text * n_rows + first..][..length].fill(1.0 / length as f32);
        }
        let shares = TensorData::new(shares, [self.n_texts, n_rows]);
        let shares = Tensor::<2>::from_data(shares, &hidden.device());
        if self.packed.is_some() {
            fused::affine(shares, hidden, None)
        } else {
            shares.matmul(hidden)
        }
    }

    /// Where each text's tokens begin among all rows, and how many they are.
    pub(super) fn texts(&self) -> impl Iterator<Item = (usize, usize)> {
        let step = self.packed.is_none().then_some(self.longest);
        self.lengths.iter().scan(0, move |next, length| {
            let first = *next;
            *next += step.unwrap_or(*length);
            Some((first, *length))
        })
    }
}

/// Where texts of these lengths begin.
fn firsts(lengths: &[usize], device: &Device) -> Tensor<1, Int> {
    let firsts = lengths.iter().scan(0_i64, |next, length| {
        let first = *next;
        *next += *length as i64;
        Some(first)
    });
    let firsts = TensorData::new(firsts.collect::<Vec<i64>>(), [lengths.len()]);
    Tensor::from_data(firsts, device)
}
