//! model.safetensors, mapped, and strict: a tensor missing, unused or misshapen is an error that
//! names it.

use std::collections::BTreeMap;
use std::sync::Arc;

use memmap2::Mmap;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, Metadata};

use super::map::give_back;
use crate::predictor::BoxError;

/// The tensors of one file.
pub(super) struct Weights {
    map: Arc<Mmap>,
    tensors: BTreeMap<String, Place>,
}

#[derive(Clone)]
struct Place {
    dtype: Dtype,
    shape: Vec<usize>,
    /// In the file, in bytes.
    start: usize,
    end: usize,
}

impl Weights {
    /// Reads a file's table of contents.
    pub(super) fn read(map: Mmap) -> Result<Self, BoxError> {
        let (header_size, metadata): (usize, Metadata) = SafeTensors::read_metadata(&map)?;
        let data = 8 + header_size;
        let place = |(name, info): (String, &safetensors::tensor::TensorInfo)| {
            let (start, end) = (data + info.data_offsets.0, data + info.data_offsets.1);
            (name, Place { dtype: info.dtype, shape: info.shape.clone(), start, end })
        };
        let tensors = metadata.tensors().into_iter().map(place).collect();
        Ok(Self { map: Arc::new(map), tensors })
    }

    /// The first dimension of a tensor, if it is there.
    pub(super) fn n_rows(&self, name: &str) -> Option<usize> {
        self.tensors.get(name)?.shape.first().copied()
    }

    /// Checks that the file has exactly these tensors, in these shapes, and perhaps the `ignored`
    /// one; says all that is wrong.
    pub(super) fn check(
        &self,
        expected: &BTreeMap<String, Vec<usize>>,
        ignored: &str,
    ) -> Result<(), BoxError> {
        let mut problems = Vec::new();
        for (name, shape) in expected {
            match self.tensors.get(name) {
                None => problems.push(format!("{name} is missing")),
                Some(place) if place.shape != *shape => {
                    problems.push(format!("{name} has the shape {:?}, not {shape:?}", place.shape))
                }
                Some(place) if !matches!(place.dtype, Dtype::F32 | Dtype::F16 | Dtype::BF16) => {
                    problems
                        .push(format!("{name} is of type {:?}, not F32, F16 or BF16", place.dtype));
                }
                Some(_) => {}
            }
        }
        let unused =
            self.tensors.keys().filter(|name| !expected.contains_key(*name) && *name != ignored);
        problems.extend(unused.map(|name| format!("{name} is not used")));
        if problems.is_empty() { Ok(()) } else { Err(problems.join("; ").into()) }
    }

    /// A tensor that [`check`](Self::check) has found.
    pub(super) fn tensor(&self, name: &str) -> Tensor {
        let place =
            self.tensors.get(name).expect("only tensors that were checked are asked for").clone();
        Tensor { map: Arc::clone(&self.map), place }
    }

    /// Gives back the pages of the file that were read.
    pub(super) fn give_pages_back(&self) {
        give_back(&self.map);
    }
}

/// One tensor in its file; becomes `f32` where it is read.
pub(super) struct Tensor {
    map: Arc<Mmap>,
    place: Place,
}

impl Tensor {
    /// Reads a run of elements that begins at `from`.
    pub(super) fn read(&self, from: usize, into: &mut [f32]) {
        let bytes = self
            .map
            .get(self.place.start..self.place.end)
            .expect("the file is as long as when it was mapped");
        match self.place.dtype {
            Dtype::F32 => read_as(bytes, from, into, f32::from_le_bytes),
            Dtype::BF16 => {
                read_as(bytes, from, into, |[low, high]| f32::from_le_bytes([0, 0, low, high]))
            }
            _ => read_as(bytes, from, into, |pair| half(u16::from_le_bytes(pair))),
        }
    }

    /// Reads all elements.
    pub(super) fn floats(&self) -> Vec<f32> {
        let mut floats = vec![0.0; self.place.shape.iter().product()];
        self.read(0, &mut floats);
        floats
    }
}

fn read_as<const N: usize>(
    bytes: &[u8],
    from: usize,
    into: &mut [f32],
    convert: impl Fn([u8; N]) -> f32,
) {
    let bytes = &bytes[from * N..(from + into.len()) * N];
    for (element, into) in bytes.as_chunks().0.iter().zip(into) {
        *into = convert(*element);
    }
}

/// IEEE 754 binary16 to binary32; exact.
fn half(bits: u16) -> f32 {
    let sign = u32::from(bits & 0x8000) << 16;
    let (exponent, fraction) = (u32::from(bits >> 10 & 0x1f), u32::from(bits & 0x3ff));
    let magnitude = match exponent {
        // Subnormal: a multiple of 2^-24.
        0 => (fraction as f32 * f32::from_bits(0x3380_0000)).to_bits(),
        0x1f => 0x7f80_0000 | fraction << 13,
        _ => (exponent + 112) << 23 | fraction << 13,
    };
    f32::from_bits(sign | magnitude)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_convert_exactly() {
        let cases = [
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x7bff, 65504.0),
            (0x0001, 5.960_464_5e-8),
            (0x0400, 6.103_515_6e-5),
            (0x8000, -0.0),
            (0x3555, 0.333_251_95),
        ];
        for (bits, value) in cases {
            assert_eq!(half(bits).to_bits(), f32::to_bits(value), "{bits:#x}");
        }
        assert!(half(0x7e00).is_nan() && half(0x7c00) == f32::INFINITY);
    }
}
