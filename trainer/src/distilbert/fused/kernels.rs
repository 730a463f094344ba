//! The numeric loops of the fused encoder layer, on rows of plain `f32`.
//!
//! Work is divided by rows, and every sum has a fixed order, so that any number of threads gives
//! the same bits.

use rayon::prelude::*;

use crate::vectors::vectors;

/// Rows that a thread works on at once.
pub(super) const ROWS: usize = 16;

/// How a matrix lies in memory: the steps from row to row and from column to column.
#[derive(Clone, Copy)]
pub(super) struct Matrix<'a> {
    pub(super) values: &'a [f32],
    pub(super) row: usize,
    pub(super) column: usize,
}

impl<'a> Matrix<'a> {
    /// Rows one after the other, `width` values each.
    pub(super) fn rows(values: &'a [f32], width: usize) -> Self {
        Self { values, row: width, column: 1 }
    }

    /// Rows and columns swapped.
    pub(super) fn transposed(self) -> Self {
        Self { row: self.column, column: self.row, ..self }
    }

    fn at(self, row: usize, column: usize) -> f32 {
        self.values[row * self.row + column * self.column]
    }

    /// Whether a matrix of this shape lies inside of the values.
    fn holds(&self, rows: usize, columns: usize) -> bool {
        rows == 0
            || columns == 0
            || (rows - 1) * self.row + (columns - 1) * self.column < self.values.len()
    }
}

/// The longest sums that the crate gemm never takes apart; longer ones it divides by the sizes of
/// the processor's caches.
const LONGEST_SUM: usize = 512;

/// `to = a × b × scale`, or added to it. `to`: `[m, n]` with rows `row` values apart; `a`: `[m,
/// k]`; `b`: `[k, n]`.
///
/// Every value is a sum in the order of `k`, so that its bits are the same on all processors that
/// fuse a product with a sum.
#[expect(
    unsafe_code,
    reason = "the product of the crate gemm takes pointers; the shapes are checked before"
)]
pub(super) fn product(
    (to, row): (&mut [f32], usize),
    [m, n, k]: [usize; 3],
    a: Matrix<'_>,
    b: Matrix<'_>,
    scale: f32,
    adds: bool,
    is_shared: bool,
) {
    assert!(
        a.holds(m, k) && b.holds(k, n) && Matrix::rows(to, row).holds(m, n),
        "a matrix is larger than its memory"
    );
    if m < 2 || n < 2 || k < 3 {
        return slim_product((to, row), [m, n, k], a, b, scale, adds);
    }
    // Of few rows by few columns it sums in as many lanes as a vector has.
    let in_rows: Vec<f32>;
    let b = if a.column == 1 && b.row == 1 && m * n <= 16 * 16 {
        in_rows = (0..k * n).map(|at| b.at(at / n, at % n)).collect();
        Matrix::rows(&in_rows, n)
    } else {
        b
    };
    let parallelism = if is_shared { gemm::Parallelism::Rayon(0) } else { gemm::Parallelism::None };
    let step = |step: usize| step as isize;
    let (a_row, a_column, b_row, b_column) =
        (step(a.row), step(a.column), step(b.row), step(b.column));
    let depth = k.div_ceil(k.div_ceil(LONGEST_SUM));
    // gemm may or may not fuse what it adds with its scale.
    assert!(scale == 1.0 || (!adds && depth == k), "a scale goes with sums of one part");
    for first in (0..k).step_by(depth) {
        let (a, b) = (&a.values[first * a.column..], &b.values[first * b.row..]);
        // SAFETY: the assertion above holds all of the m × n, m × k and k × n elements inside of
        // the slices, and this part of the sum begins `first` elements into each row of `a` and
        // column of `b`; the slices' lifetimes span the call; `to` is borrowed exclusively and
        // overlaps neither `a` nor `b`.
        unsafe {
            gemm::gemm(
                m,
                n,
                depth.min(k - first),
                to.as_mut_ptr(),
                1,
                step(row),
                adds || first > 0,
                a.as_ptr(),
                a_column,
                a_row,
                b.as_ptr(),
                b_column,
                b_row,
                1.0,
                scale,
                false,
                false,
                false,
                parallelism,
            );
        }
    }
}

/// The same for shapes that are no work, and that the crate gemm sums in an order of the
/// processor's too.
fn slim_product(
    (to, row): (&mut [f32], usize),
    [m, n, k]: [usize; 3],
    a: Matrix<'_>,
    b: Matrix<'_>,
    scale: f32,
    adds: bool,
) {
    for i in 0..m {
        let to = &mut to[i * row..][..n];
        if !adds {
            to.fill(0.0);
        }
        for l in 0..k {
            let factor = a.at(i, l) * scale;
            to.iter_mut().enumerate().for_each(|(j, to)| *to += factor * b.at(l, j));
        }
    }
}

/// `[n, inputs] × [inputs, outputs] + bias`.
pub(super) fn linear(input: &[f32], weight: &[f32], bias: &[f32]) -> Vec<f32> {
    let outputs = bias.len();
    let inputs = weight.len() / outputs;
    let n = input.len() / inputs;
    let mut output = vec![0.0; n * outputs];
    product(
        (&mut output, outputs),
        [n, outputs, inputs],
        Matrix::rows(input, inputs),
        Matrix::rows(weight, outputs),
        1.0,
        false,
        true,
    );
    output.par_chunks_mut(ROWS * outputs).for_each(|rows| {
        vectors(|| {
            for row in rows.chunks_exact_mut(outputs) {
                row.iter_mut().zip(bias).for_each(|(value, bias)| *value += bias);
            }
        });
    });
    output
}

/// The gradients of a linear layer: of its weight and its bias; that of its input is added to `to`.
pub(super) fn linear_backward(
    gradient: &[f32],
    input: &[f32],
    weight: &[f32],
    outputs: usize,
    to: Option<(&mut [f32], bool)>,
) -> (Vec<f32>, Vec<f32>) {
    let inputs = weight.len() / outputs;
    let n = gradient.len() / outputs;
    if let Some((to, adds)) = to {
        let weight = Matrix::rows(weight, outputs).transposed();
        product(
            (to, inputs),
            [n, inputs, outputs],
            Matrix::rows(gradient, outputs),
            weight,
            1.0,
            adds,
            true,
        );
    }
    let mut of_weight = vec![0.0; weight.len()];
    let input = Matrix::rows(input, inputs).transposed();
    product(
        (&mut of_weight, outputs),
        [inputs, outputs, n],
        input,
        Matrix::rows(gradient, outputs),
        1.0,
        false,
        true,
    );
    (of_weight, sum_of_rows(gradient, outputs))
}

/// The sum over all rows, in blocks whose sums are added in their order.
pub(super) fn sum_of_rows(values: &[f32], width: usize) -> Vec<f32> {
    const BLOCK: usize = 256;
    let block = |rows: &[f32]| {
        let mut sum = vec![0.0; width];
        vectors(|| {
            for row in rows.chunks_exact(width) {
                sum.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
            }
        });
        sum
    };
    let blocks: Vec<Vec<f32>> = values.par_chunks(BLOCK * width).map(block).collect();
    let mut sum = vec![0.0; width];
    for block in blocks {
        sum.iter_mut().zip(block).for_each(|(sum, value)| *sum += value);
    }
    sum
}

/// Normalises each row of `values` in place to mean 0 and variance 1, and returns what each was
/// divided by, inverted.
pub(super) fn normalize(values: &mut [f32], width: usize, epsilon: f32) -> Vec<f32> {
    let mut inverses = vec![0.0; values.len() / width];
    let rows = values.par_chunks_mut(ROWS * width).zip(inverses.par_chunks_mut(ROWS));
    rows.for_each(|(rows, inverses)| {
        vectors(|| {
            for (row, inverse) in rows.chunks_exact_mut(width).zip(inverses) {
                let mean = sum(row) / width as f32;
                row.iter_mut().for_each(|value| *value -= mean);
                let variance = dot(row, row) / width as f32;
                *inverse = 1.0 / (variance + epsilon).sqrt();
                row.iter_mut().for_each(|value| *value *= *inverse);
            }
        });
    });
    inverses
}

/// `normalized × scale + shift`.
pub(super) fn scaled(normalized: &[f32], scale: &[f32], shift: &[f32]) -> Vec<f32> {
    let width = scale.len();
    let mut output = vec![0.0; normalized.len()];
    output.par_chunks_mut(ROWS * width).zip(normalized.par_chunks(ROWS * width)).for_each(
        |(to, from)| {
            vectors(|| {
                for (to, from) in to.chunks_exact_mut(width).zip(from.chunks_exact(width)) {
                    let factors = scale.iter().zip(shift);
                    to.iter_mut()
                        .zip(from)
                        .zip(factors)
                        .for_each(|((to, from), (scale, shift))| *to = from * scale + shift);
                }
            });
        },
    );
    output
}

/// Turns the gradient of a LayerNorm's output into that of its input, in place; returns those of
/// scale and shift.
pub(super) fn normalize_backward(
    gradient: &mut [f32],
    normalized: &[f32],
    inverses: &[f32],
    scale: &[f32],
) -> (Vec<f32>, Vec<f32>) {
    let width = scale.len();
    let of_shift = sum_of_rows(gradient, width);
    let products: Vec<f32> =
        gradient.par_iter().zip(normalized).with_min_len(1 << 14).map(|(g, x)| g * x).collect();
    let of_scale = sum_of_rows(&products, width);
    drop(products);
    let rows = gradient.par_chunks_mut(ROWS * width).zip(normalized.par_chunks(ROWS * width));
    rows.zip(inverses.par_chunks(ROWS)).for_each(|((rows, normalized), inverses)| {
        let rows = rows.chunks_exact_mut(width).zip(normalized.chunks_exact(width)).zip(inverses);
        vectors(|| {
            for ((row, normalized), inverse) in rows {
                row.iter_mut().zip(scale).for_each(|(value, scale)| *value *= scale);
                let mean = sum(row) / width as f32;
                let along = dot(row, normalized) / width as f32;
                row.iter_mut()
                    .zip(normalized)
                    .for_each(|(value, x)| *value = (*value - mean - x * along) * inverse);
            }
        });
    });
    (of_scale, of_shift)
}

/// The exponential function by a polynomial: the same bits on every machine, and no call in the
/// loop. Source: Cephes' `expf`; within 2 units in the last place.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    // Adding it rounds to the nearest whole number, which is then in the lowest bits.
    const ROUND: f32 = 12_582_912.0;
    let x = x.clamp(-87.0, 88.0);
    let rounded = x * std::f32::consts::LOG2_E + ROUND;
    let n = rounded - ROUND;
    let r = (x - n * 0.693_359_4) + n * 2.121_944_4e-4;
    let mut p = 1.987_569_1e-4_f32;
    p = p * r + 1.398_199_9e-3;
    p = p * r + 8.333_452e-3;
    p = p * r + 4.166_579_6e-2;
    p = p * r + 0.166_666_65;
    p = p * r + 0.5;
    let power =
        f32::from_bits(rounded.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127) << 23);
    (p * r * r + r + 1.0) * power
}

/// Softmax of a row in place.
#[inline(always)]
pub(super) fn softmax(row: &mut [f32]) {
    let highest = row.iter().copied().fold(f32::MIN, f32::max);
    row.iter_mut().for_each(|value| *value = exp(*value - highest));
    let inverse = 1.0 / sum(row);
    row.iter_mut().for_each(|value| *value *= inverse);
}

const LANES: usize = 16;

/// The sum, in sixteen lanes.
#[inline(always)]
pub(super) fn sum(values: &[f32]) -> f32 {
    let chunks = values.chunks_exact(LANES);
    let rest: f32 = chunks.remainder().iter().sum();
    let mut lanes = [0.0_f32; LANES];
    chunks.for_each(|chunk| lanes.iter_mut().zip(chunk).for_each(|(lane, value)| *lane += value));
    lanes.iter().sum::<f32>() + rest
}

/// The scalar product, in sixteen lanes.
#[inline(always)]
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let (a, b) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest: f32 = a.remainder().iter().zip(b.remainder()).map(|(a, b)| a * b).sum();
    let mut lanes = [0.0_f32; LANES];
    for (a, b) in a.zip(b) {
        lanes.iter_mut().zip(a.iter().zip(b)).for_each(|(lane, (a, b))| *lane += a * b);
    }
    lanes.iter().sum::<f32>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::instruction_set;

    /// What makes the bits independent of the vectors' width, of caches and of threads.
    #[test]
    fn every_value_of_a_product_is_a_sum_in_one_order() {
        // Without a fused multiply-add the order is the same, and every product is rounded.
        let fuses = instruction_set() != "x86-64";
        let added = |a: f32, b: f32, sum: f32| if fuses { a.mul_add(b, sum) } else { a * b + sum };
        let values = |n: usize| {
            (0..n).map(|i| ((i * 7919 + 13) % 1009) as f32 / 1009.0 - 0.4).collect::<Vec<f32>>()
        };
        let check = |[m, n, k]: [usize; 3], scale: f32, adds: bool, is_shared: bool| {
            let (a, b) = (values(m * k), values(k * n));
            let lies = |values, rows, columns| {
                [Matrix::rows(values, columns), Matrix::rows(values, rows).transposed()]
            };
            let layouts = lies(&a, m, k).into_iter().flat_map(|a| lies(&b, k, n).map(|b| (a, b)));
            for (a, b) in layouts {
                let mut found = values(m * n);
                let before = found.clone();
                product((&mut found, n), [m, n, k], a, b, scale, adds, is_shared);
                let depth = k.div_ceil(k.div_ceil(LONGEST_SUM));
                for (at, found) in found.iter().enumerate() {
                    let (i, j) = (at / n, at % n);
                    let part = |first: usize| {
                        let within = first..k.min(first + depth);
                        within.fold(0.0, |sum, l| added(a.at(i, l), b.at(l, j), sum)) * scale
                    };
                    let parts = (0..k).step_by(depth).map(part);
                    let start = if adds { before[at] } else { 0.0 };
                    let expected = parts.fold(start, |sum, part| sum + part);
                    assert_eq!(
                        *found, expected,
                        "{m} {n} {k} at {i} {j}, steps {} and {}",
                        a.row, b.row
                    );
                }
            }
        };
        for [m, n, k] in [
            [2, 2, 3],
            [8, 8, 8],
            [7, 5, 40],
            [24, 40, 32],
            [49, 65, 32],
            [17, 200, 513],
            [130, 33, 1537],
        ] {
            check([m, n, k], 1.0, false, false);
            check([m, n, k], 1.0, true, true);
        }
        for n in 2..70 {
            check([n, n, 8], 0.3, false, false);
            check([n, 8, n.max(3)], 1.0, true, false);
            check([8, n, 3 + n % 7], 1.0, false, false);
        }
    }

    #[test]
    fn slim_shapes_are_products_too() {
        let (a, b) = ([1.0, 2.0, 3.0], [4.0, 5.0, 6.0, 7.0, 8.0, 9.0]);
        let mut to = [100.0, 200.0];
        let (left, right) = (Matrix::rows(&a, 3), Matrix::rows(&b, 2));
        product((&mut to, 2), [1, 2, 3], left, right, 2.0, true, false);
        assert_eq!(to, [100.0 + 2.0 * (4.0 + 12.0 + 24.0), 200.0 + 2.0 * (5.0 + 14.0 + 27.0)]);
        let mut to = [0.0; 6];
        product((&mut to, 3), [2, 3, 1], right.transposed(), left, 1.0, false, false);
        assert_eq!(to, [4.0, 8.0, 12.0, 5.0, 10.0, 15.0]);
    }

    #[test]
    fn the_exponential_function_is_within_a_few_units() {
        for n in -800..=800 {
            let x = n as f32 * 0.1;
            let expected = f64::from(x).exp();
            assert!((f64::from(exp(x)) - expected).abs() <= 3e-7 * expected, "{x}");
        }
        assert!(exp(f32::MIN) < 1e-37);
    }
}
