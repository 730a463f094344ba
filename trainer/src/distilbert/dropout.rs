//! Dropout whose masks are a function of seed and step.

use burn::tensor::{Tensor, TensorData};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;
use rayon::prelude::*;

use super::fused::Kept;
use crate::random::{Purpose, stream};

/// Values of a mask that are drawn from one stream; part of what a seed means, so it stays as it
/// is.
const CHUNK: usize = 1 << 14;

/// The dropout of one step; each place in the network draws its own mask.
#[derive(Debug)]
pub(crate) struct Dropout {
    rng: Option<ChaCha8Rng>,
    /// How many places have drawn a mask in this step.
    place: u64,
    /// How many values each of them has.
    #[cfg(test)]
    n_values: Vec<usize>,
}

impl Dropout {
    /// No dropout: inference.
    pub(crate) fn off() -> Self {
        Self::of(None)
    }

    /// The masks of one step.
    pub(crate) fn of_step(seed: u64, step: u64) -> Self {
        Self::of(Some(stream(seed, Purpose::Dropout, step)))
    }

    fn of(rng: Option<ChaCha8Rng>) -> Self {
        Self {
            rng,
            place: 0,
            #[cfg(test)]
            n_values: Vec::new(),
        }
    }

    /// The next place's number.
    fn next(&mut self, _n_values: usize) -> u64 {
        #[cfg(test)]
        self.n_values.push(_n_values);
        self.place += 1;
        self.place - 1
    }

    /// Zeroes values with this probability, if any, and scales the others up.
    pub(crate) fn apply<const D: usize>(
        &mut self,
        values: Tensor<D>,
        probability: Option<f64>,
    ) -> Tensor<D> {
        let Some(probability) = probability.filter(|share| *share > 0.0) else { return values };
        if self.rng.is_none() {
            return values;
        }
        let shape = values.shape();
        let place = self.next(shape.num_elements());
        let Some(rng) = &self.rng else { return values };
        let mask = mask(shape.num_elements(), probability, place, rng);
        let mask = Tensor::from_data(TensorData::new(mask, shape), &values.device());
        values * mask
    }
}

impl Dropout {
    /// The mask of one place, for an operation that applies it by itself; none where nothing is
    /// dropped.
    pub(super) fn kept(&mut self, n_values: usize, probability: Option<f64>) -> Option<Kept> {
        let probability = probability.filter(|share| *share > 0.0)?;
        let rng = self.rng.clone()?;
        let (place, rng) = (self.next(n_values), &rng);
        Some(Kept { flags: flags(n_values, probability, place, rng), scale: scale(probability) })
    }
}

/// Zeros, and the inverse of the share that is kept.
/// Every chunk has a stream of its own, so that any number of threads draws the same.
fn mask(n_values: usize, probability: f64, place: u64, rng: &ChaCha8Rng) -> Vec<f32> {
    let scale = scale(probability);
    let flags = flags(n_values, probability, place, rng);
    flags
        .into_par_iter()
        .with_min_len(CHUNK)
        .map(|is_kept| if is_kept { scale } else { 0.0 })
        .collect()
}

fn scale(probability: f64) -> f32 {
    (1.0 / (1.0 - probability)) as f32
}

/// Which values are kept.
fn flags(n_values: usize, probability: f64, place: u64, rng: &ChaCha8Rng) -> Vec<bool> {
    let dropped = (probability * 65536.0).round() as u32;
    let mut flags = vec![false; n_values];
    flags.par_chunks_mut(CHUNK).enumerate().for_each(|(number, chunk)| {
        let mut rng = rng.clone();
        rng.set_stream((place << 32) | number as u64);
        let mut bytes = vec![0; chunk.len() * 2];
        rng.fill_bytes(&mut bytes);
        for (value, drawn) in chunk.iter_mut().zip(bytes.chunks_exact(2)) {
            let drawn = u32::from(u16::from_le_bytes([drawn[0], drawn[1]]));
            *value = drawn >= dropped;
        }
    });
    flags
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use checkpoint::Attention;
    use serde::Deserialize;

    use super::*;
    use crate::classifier::Classifier;
    use crate::dataset::Example;
    use crate::device::DeviceKind;
    use crate::distilbert::Batch;
    use crate::distilbert::relation::Relation;

    #[derive(Deserialize)]
    struct Golden {
        text: String,
        /// By checkpoint: how many values PyTorch's dropout is given, in whatever order.
        dropped: BTreeMap<String, Vec<usize>>,
    }

    #[test]
    fn dropout_is_where_transformers_has_it() {
        let testdata = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/architectures");
        let golden = fs_err::read(testdata.join("dropouts.json")).expect("readable");
        let golden: Golden = serde_json::from_slice(&golden).expect("dropouts.json");
        for (checkpoint, dropped) in &golden.dropped {
            for kind in [DeviceKind::Flex, DeviceKind::NdArray] {
                let classifier =
                    Classifier::load(&testdata.join(checkpoint), kind).expect("it loads");
                let example = Example::labelled(golden.text.clone(), 0);
                let rows = classifier.encode(&[example]).expect("tokenized");
                let mut network = classifier.config.network.clone();
                network.dropout = network.dropout.all(0.1);
                let batch = Batch::of(&[&rows[0][0]], &network, &kind.device());
                let mut dropout = Dropout::of_step(1, 1);
                classifier.network.forward(&batch, &network, &mut dropout);
                dropout.n_values.sort_unstable();
                // Of DeBERTa's distances only those are there that the text has.
                let (mut whole, mut there) = (0, 0);
                if let (Attention::Disentangled(kind), Relation::Disentangled(distances, _)) =
                    (&network.attention, &batch.relations[0])
                {
                    whole = kind.n_distances() * network.dim;
                    there = distances.n_rows * network.dim;
                }
                let dropped = dropped.iter().map(|n| if *n == whole { there } else { *n });
                assert_eq!(dropout.n_values, dropped.collect::<Vec<_>>(), "{checkpoint} on {kind}");
            }
        }
    }

    #[test]
    fn a_mask_depends_on_seed_step_and_place_and_on_nothing_else() {
        let draw =
            |seed, step, place| mask(40_000, 0.1, place, &stream(seed, Purpose::Dropout, step));
        let first = draw(1, 1, 0);
        let one_thread = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread");
        assert_eq!(first, one_thread.install(|| draw(1, 1, 0)));
        for other in [draw(2, 1, 0), draw(1, 2, 0), draw(1, 1, 1)] {
            assert_ne!(first, other);
        }
        assert_ne!(first[..CHUNK], first[CHUNK..2 * CHUNK]);
    }

    #[test]
    fn a_mask_drops_its_share_and_keeps_the_mean() {
        let mask = mask(100_000, 0.2, 0, &stream(5, Purpose::Dropout, 9));
        let dropped = mask.iter().filter(|value| **value == 0.0).count();
        assert!((19_500..20_500).contains(&dropped), "{dropped}");
        let mean = mask.iter().sum::<f32>() / 100_000.0;
        assert!((mean - 1.0).abs() < 0.01, "{mean}");
    }
}
