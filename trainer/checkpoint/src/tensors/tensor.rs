//! One tensor in its file, and its elements as `f32`.

use std::sync::Arc;

use memmap2::Mmap;
use safetensors::tensor::Dtype;

use super::Place;

/// One tensor in its file; its elements become `f32` where they are read.
#[derive(Debug)]
pub struct Tensor {
    map: Arc<Mmap>,
    place: Place,
}

impl Tensor {
    pub(super) fn new(map: Arc<Mmap>, place: Place) -> Self {
        Self { map, place }
    }

    /// Its dimensions, the outermost first.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        &self.place.shape
    }

    /// Reads a run of elements that begins at `from`.
    ///
    /// # Panics
    /// Where the tensor has not as many.
    pub fn read(&self, from: usize, into: &mut [f32]) {
        let bytes = self
            .map
            .get(self.place.range.clone())
            .expect("the file is as long as when it was mapped");
        match self.place.dtype {
            Dtype::F32 => read_as(bytes, from, into, f32::from_le_bytes),
            Dtype::BF16 => {
                read_as(bytes, from, into, |[low, high]| f32::from_le_bytes([0, 0, low, high]))
            }
            Dtype::F64 => read_as(bytes, from, into, |eight| f64::from_le_bytes(eight) as f32),
            _ => read_as(bytes, from, into, |pair| half(u16::from_le_bytes(pair))),
        }
    }

    /// Reads all elements.
    #[must_use]
    pub fn floats(&self) -> Vec<f32> {
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
