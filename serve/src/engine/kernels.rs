//! The inner loops: matrix products by the gemm crate, and elementwise loops that are compiled once per instruction set and chosen at run time.
#![expect(
    unsafe_code,
    reason = "gemm takes pointers, which come from checked views; code for an instruction set may run only where it was detected"
)]

use gemm::Parallelism;

/// A matrix somewhere in a slice: element (row, column) is at `row * row_stride + column * column_stride`.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    data: &'a [f32],
    n_rows: usize,
    n_columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a> View<'a> {
    /// Rows of `n_columns` adjacent elements.
    pub(super) fn rows(data: &'a [f32], n_rows: usize, n_columns: usize, row_stride: usize) -> Self {
        let last = (n_rows.max(1) - 1) * row_stride + n_columns;
        assert!(
            data.len() >= last,
            "{n_rows} rows of {n_columns} elements at a stride of {row_stride} need {last} elements, not {}",
            data.len()
        );
        Self { data, n_rows, n_columns, row_stride, column_stride: 1 }
    }

    /// The same elements with rows and columns exchanged.
    pub(super) fn transposed(self) -> Self {
        let Self { data, n_rows, n_columns, row_stride, column_stride } = self;
        Self { data, n_rows: n_columns, n_columns: n_rows, row_stride: column_stride, column_stride: row_stride }
    }
}

/// Where a product goes: `n_columns` adjacent elements per row, rows `row_stride` apart.
pub(super) struct Target<'a> {
    pub(super) data: &'a mut [f32],
    pub(super) row_stride: usize,
    /// Whether the product is added to what is there.
    pub(super) add: bool,
}

/// Computes `scale * left * right`.
/// `left`: `[m, k]`; `right`: `[k, n]`; `target`: `[m, n]`.
pub(super) fn multiply(left: View<'_>, right: View<'_>, scale: f32, target: Target<'_>, parallelism: Parallelism) {
    let Target { data, row_stride, add } = target;
    let (m, n, k) = (left.n_rows, right.n_columns, left.n_columns);
    assert_eq!(k, right.n_rows, "the matrices fit together");
    assert!(row_stride >= n && data.len() >= (m.max(1) - 1) * row_stride + n, "the product fits into its target");
    let signed = |stride: usize| isize::try_from(stride).expect("a slice is never longer than isize::MAX");
    // SAFETY: both views and the target have been checked to hold every element that their sizes and strides reach, and the rows of the
    // target do not overlap.
    // The product is asked for transposed, as gemm is at its best when adjacent elements stand in one column.
    unsafe {
        gemm::gemm(
            n,
            m,
            k,
            data.as_mut_ptr(),
            signed(row_stride),
            1,
            add,
            right.data.as_ptr(),
            signed(right.row_stride),
            signed(right.column_stride),
            left.data.as_ptr(),
            signed(left.row_stride),
            signed(left.column_stride),
            1.0,
            scale,
            false,
            false,
            false,
            parallelism,
        );
    }
}

/// Defines a function that runs a loop compiled for the best instruction set of this CPU.
macro_rules! for_each_cpu {
    ($(#[$docs:meta])* fn $name:ident($($argument:ident: $kind:ty),*) = $plain:ident) => {
        $(#[$docs])*
        pub(super) fn $name($($argument: $kind),*) {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f")]
                fn avx512($($argument: $kind),*) {
                    $plain($($argument),*);
                }
                #[target_feature(enable = "avx2")]
                fn avx2($($argument: $kind),*) {
                    $plain($($argument),*);
                }
                if std::arch::is_x86_feature_detected!("avx512f") {
                    // SAFETY: the CPU has it.
                    return unsafe { avx512($($argument),*) };
                }
                if std::arch::is_x86_feature_detected!("avx2") {
                    // SAFETY: the CPU has it.
                    return unsafe { avx2($($argument),*) };
                }
            }
            $plain($($argument),*);
        }
    };
}

for_each_cpu! {
    /// GELU by the error function, in place.
    fn gelu(data: &mut [f32]) = gelu_loop
}
for_each_cpu! {
    /// Softmax over each row of `n_columns` elements, in place.
    fn softmax(rows: &mut [f32], n_columns: usize) = softmax_loop
}
for_each_cpu! {
    /// Adds `residual` to `rows` and normalises each row.
    /// `rows`, `residual`: `[any, dim]`; `weight`, `bias`: `[dim]`. Same as `LayerNorm` with an epsilon of 1e-12 in torch.
    fn add_and_norm(rows: &mut [f32], residual: &[f32], weight: &[f32], bias: &[f32]) = add_and_norm_loop
}

/// As many sums as the widest vector has lanes: they add up without waiting for each other, and lose less than a single one.
const LANES: usize = 16;

#[inline(always)]
fn fold(data: &[f32], start: f32, combine: impl Fn(f32, f32) -> f32) -> f32 {
    let (chunks, rest) = data.as_chunks::<LANES>();
    let mut lanes = [start; LANES];
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane = combine(*lane, *value);
        }
    }
    rest.iter().chain(&lanes).fold(start, |sum, value| combine(sum, *value))
}

#[inline(always)]
fn gelu_loop(data: &mut [f32]) {
    for x in data {
        *x = 0.5 * *x * (1.0 + erf(*x * std::f32::consts::FRAC_1_SQRT_2));
    }
}

#[inline(always)]
fn softmax_loop(rows: &mut [f32], n_columns: usize) {
    for row in rows.chunks_exact_mut(n_columns.max(1)) {
        let greatest = fold(row, f32::NEG_INFINITY, |a, b| if a < b { b } else { a });
        for x in &mut *row {
            *x = exp(*x - greatest);
        }
        let scale = 1.0 / fold(row, 0.0, |a, b| a + b);
        for x in row {
            *x *= scale;
        }
    }
}

#[inline(always)]
fn add_and_norm_loop(rows: &mut [f32], residual: &[f32], weight: &[f32], bias: &[f32]) {
    let dim = weight.len();
    for (row, residual) in rows.chunks_exact_mut(dim).zip(residual.chunks_exact(dim)) {
        for (x, residual) in row.iter_mut().zip(residual) {
            *x += residual;
        }
        let mean = fold(row, 0.0, |a, b| a + b) / dim as f32;
        for x in &mut *row {
            *x -= mean;
        }
        // Each lane must start from 0, so the squares are summed on their own.
        let variance = sum_of_squares(row) / dim as f32;
        let scale = 1.0 / (variance + 1e-12).sqrt();
        for ((x, weight), bias) in row.iter_mut().zip(weight).zip(bias) {
            *x = *x * scale * weight + bias;
        }
    }
}

#[inline(always)]
fn sum_of_squares(data: &[f32]) -> f32 {
    let (chunks, rest) = data.as_chunks::<LANES>();
    let mut lanes = [0.0; LANES];
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane += value * value;
        }
    }
    lanes.iter().sum::<f32>() + rest.iter().map(|value| value * value).sum::<f32>()
}

/// The error function as x·P(x²)/Q(x²) up to where it is 1; the coefficients are a least-squares fit to it, weighted until the greatest error was least.
/// Greatest error 4e-7.
#[inline(always)]
fn erf(x: f32) -> f32 {
    // The last coefficient of P is the slope at 0.
    const P: [f32; 6] =
        [2.050_078e-6, 2.848_623_3e-4, 3.765_049_4e-3, 5.274_692_6e-2, 0.190_394_33, std::f32::consts::FRAC_2_SQRT_PI];
    const Q: [f32; 6] = [3.809_055_6e-5, 1.162_384e-3, 1.496_807_9e-2, 0.114_103_92, 0.502_065_3, 1.0];
    let x = if x < -3.92 { -3.92 } else { x };
    let x = if x > 3.92 { 3.92 } else { x };
    let z = x * x;
    x * horner(&P, z) / horner(&Q, z)
}

/// e^x for x up to 0; below -87, where it is next to nothing, that of -87.
/// x is split into n·ln 2 + r: the power of 2 is made of bits, e^r by a polynomial fitted as in [`erf`]. Greatest relative error 2e-7.
#[inline(always)]
fn exp(x: f32) -> f32 {
    const P: [f32; 7] = [1.381_461e-3, 8.368_71e-3, 4.166_839e-2, 0.166_665_22, 0.499_999_94, 1.0, 1.0];
    /// Added and taken off again, it rounds to a whole number, whose bits it shows.
    const ROUND: f32 = 12_582_912.0;
    /// ln 2 in two parts; the first has so few bits that n times it is exact.
    const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];
    let x = if x < -87.0 { -87.0 } else { x };
    let rounded = x * std::f32::consts::LOG2_E + ROUND;
    let n = rounded - ROUND;
    let r = x - n * LN_2[0] - n * LN_2[1];
    let exponent = rounded.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127);
    horner(&P, r) * f32::from_bits(exponent << 23)
}

/// A polynomial, highest power first.
#[inline(always)]
fn horner<const N: usize>(coefficients: &[f32; N], x: f32) -> f32 {
    let mut sum = coefficients[0];
    for coefficient in &coefficients[1..] {
        sum = sum * x + coefficient;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The error function by its Taylor series, and beyond 3 by its continued fraction; good to 1e-13.
    fn exact_erf(x: f64) -> f64 {
        if x.abs() > 3.0 {
            let fraction = (1..60).rev().fold(0.0, |below, n| f64::from(n) / 2.0 / (x.abs() + below));
            let rest = (-x * x).exp() / std::f64::consts::PI.sqrt() / (x.abs() + fraction);
            return (1.0 - rest).copysign(x);
        }
        let (mut term, mut sum) = (x, x);
        for n in 1..80 {
            term *= -x * x / f64::from(n);
            sum += term / f64::from(2 * n + 1);
        }
        sum * 2.0 / std::f64::consts::PI.sqrt()
    }

    fn grid(from: f32, to: f32) -> Vec<f32> {
        (0..=100_000u32).map(|n| from + (to - from) * n as f32 / 100_000.0).collect()
    }

    #[test]
    fn gelu_is_exact_to_the_last_bits() {
        assert!(
            (exact_erf(0.5) - 0.520_499_877_813_046_5).abs() < 1e-15
                && (exact_erf(3.5) - 0.999_999_256_901_627_7).abs() < 1e-13
        );
        let xs = grid(-12.0, 12.0);
        for detected in [true, false] {
            let mut ys = xs.clone();
            if detected {
                gelu(&mut ys)
            } else {
                gelu_loop(&mut ys)
            }
            for (x, y) in xs.iter().zip(&ys) {
                let x = f64::from(*x);
                let exact = 0.5 * x * (1.0 + exact_erf(x * std::f64::consts::FRAC_1_SQRT_2));
                assert!((f64::from(*y) - exact).abs() <= 4e-7 * x.abs().max(0.1), "gelu({x}) is {y}, not {exact}");
            }
        }
    }

    #[test]
    fn exponentials_are_exact_to_the_last_bits() {
        for x in grid(-87.0, 0.0) {
            let exact = f64::from(x).exp();
            assert!((f64::from(exp(x)) - exact).abs() <= 2e-7 * exact, "exp({x}) is {}, not {exact}", exp(x));
        }
        assert_eq!(exp(0.0), 1.0);
        assert!(exp(f32::NEG_INFINITY) < 1e-37 && exp(f32::NAN).is_nan());
    }

    #[test]
    fn softmax_rows_sum_to_one_even_where_scores_are_extreme() {
        let mut rows =
            vec![0.0, -100.0, 1.0, f32::NEG_INFINITY, 1e30, 1e30, 3.0, -1e30, f32::MIN, f32::MIN, f32::MIN, f32::MIN];
        softmax(&mut rows, 4);
        for row in rows.chunks(4) {
            assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-6, "{row:?}");
        }
        assert!((rows[2] - 0.731_058_6).abs() < 1e-6 && rows[4] == 0.5);
    }

    #[test]
    fn normalised_rows_match_plain_arithmetic() {
        let row = |seed: u32, dim: u32| {
            (0..dim).map(|n| ((n * 7919 + seed * 104_729) % 1000) as f32 / 100.0 - 5.0).collect::<Vec<_>>()
        };
        for dim in [1, 15, 16, 33, 768] {
            let (mut rows, residual, weight, bias) = (row(1, 2 * dim), row(2, 2 * dim), row(3, dim), row(4, dim));
            let sums: Vec<f64> = rows.iter().zip(&residual).map(|(a, b)| f64::from(*a) + f64::from(*b)).collect();
            add_and_norm(&mut rows, &residual, &weight, &bias);
            for (sums, row) in sums.chunks(dim as usize).zip(rows.chunks(dim as usize)) {
                let mean = sums.iter().sum::<f64>() / f64::from(dim);
                let variance = sums.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / f64::from(dim);
                for (n, x) in row.iter().enumerate() {
                    let exact =
                        (sums[n] - mean) / (variance + 1e-12).sqrt() * f64::from(weight[n]) + f64::from(bias[n]);
                    assert!((f64::from(*x) - exact).abs() < 1e-5 * (1.0 + exact.abs()), "{dim}: {x} is not {exact}");
                }
            }
        }
    }

    #[test]
    fn products_of_strided_views_match_plain_loops() {
        let left: Vec<f32> = (0..60).map(|n| n as f32 - 20.0).collect();
        let right: Vec<f32> = (0..60).map(|n| (n % 7) as f32).collect();
        // left: 3 rows of 4 at a stride of 10; right: 4 rows of 5, read from 5 rows of 4 at a stride of 9.
        let (a, b) = (View::rows(&left, 3, 4, 10), View::rows(&right, 5, 4, 9).transposed());
        let mut target = vec![1.0; 3 * 8];
        multiply(a, b, 0.5, Target { data: &mut target, row_stride: 8, add: true }, Parallelism::None);
        for (row, column) in (0..3).flat_map(|row| (0..8).map(move |column| (row, column))) {
            let product: f32 = (0..4).map(|k| left[row * 10 + k] * right[(column.min(4)) * 9 + k]).sum();
            let expected = if column < 5 { 1.0 + 0.5 * product } else { 1.0 };
            assert_eq!(target[row * 8 + column], expected, "at {row}, {column}");
        }
    }

    #[test]
    #[should_panic(expected = "need 24 elements, not 23")]
    fn a_view_beyond_its_slice_is_refused() {
        View::rows(&[0.0; 23], 3, 4, 10);
    }
}
