//! Elementwise loops, compiled once per instruction set and chosen at run time.
#![expect(unsafe_code, reason = "code for an instruction set may run only where it was detected")]

use checkpoint::Activation;

/// Defines a function that runs a loop compiled for the best instruction set of this CPU.
macro_rules! for_each_cpu {
    ($(#[$docs:meta])* fn $name:ident($($argument:ident: $kind:ty),*) = $plain:ident) => {
        $(#[$docs])*
        pub(in super::super) fn $name($($argument: $kind),*) {
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
    /// The approximation of GELU by tanh, in place.
    fn gelu_tanh(data: &mut [f32]) = gelu_tanh_loop
}
for_each_cpu! {
    /// `x` times its sigmoid, in place.
    fn silu(data: &mut [f32]) = silu_loop
}
for_each_cpu! {
    /// Multiplies each element with the other.
    fn multiply_by(data: &mut [f32], others: &[f32]) = multiply_by_loop
}
for_each_cpu! {
    /// Normalises each row, in place.
    /// `rows`: `[any, dim]`; `weight`, `bias`: `[dim]`. Same as torch's `LayerNorm`.
    fn norm(rows: &mut [f32], weight: &[f32], bias: &[f32], epsilon: f32) = norm_loop
}
for_each_cpu! {
    /// Softmax of `scale` times the first `n_columns` elements of each row, in place; rows are
    /// `stride` apart.
    fn softmax(rows: &mut [f32], stride: usize, n_columns: usize, scale: f32) = softmax_loop
}
for_each_cpu! {
    /// Adds `residual` to `rows` and normalises each row.
    /// `rows`, `residual`: `[any, dim]`; `weight`, `bias`: `[dim]`. Same as torch's `LayerNorm`.
    fn add_and_norm(rows: &mut [f32], residual: &[f32], weight: &[f32], bias: &[f32], epsilon: f32) = add_and_norm_loop
}
for_each_cpu! {
    /// Attention of one query over the keys and values of one head.
    /// `query`, `context`: `[head_dim]`; `keys`, `values`: begin with the head's first element of
    /// the first token, tokens are `stride` apart; `scores`: `[tokens]`, overwritten.
    fn attend_first(query: &[f32], keys: &[f32], values: &[f32], stride: usize, scores: &mut [f32], context: &mut [f32]) = attend_first_loop
}

/// Applies an activation, in place.
pub(in super::super) fn activate(data: &mut [f32], activation: Activation) {
    match activation {
        Activation::Gelu => gelu(data),
        Activation::GeluTanh => gelu_tanh(data),
        // What is no number stays so.
        Activation::Relu => data.iter_mut().for_each(|x| *x = if *x < 0.0 { 0.0 } else { *x }),
        Activation::Silu => silu(data),
        Activation::Tanh => data.iter_mut().for_each(|x| *x = x.tanh()),
    }
}

/// As many sums as the widest vector has lanes: they add up without waiting for each other, and
/// lose less than a single one.
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
fn gelu_tanh_loop(data: &mut [f32]) {
    const FACTOR: f32 = 0.044_715;
    let slope = std::f32::consts::FRAC_2_SQRT_PI * std::f32::consts::FRAC_1_SQRT_2;
    for x in data {
        // (1 + tanh u) / 2 is the sigmoid of 2u.
        *x *= sigmoid(2.0 * slope * (*x + FACTOR * *x * *x * *x));
    }
}

#[inline(always)]
fn silu_loop(data: &mut [f32]) {
    for x in data {
        *x *= sigmoid(*x);
    }
}

#[inline(always)]
fn multiply_by_loop(data: &mut [f32], others: &[f32]) {
    for (x, other) in data.iter_mut().zip(others) {
        *x *= other;
    }
}

/// By the exponential of what is not positive, which never overflows.
#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    let small = exp(-x.abs());
    let of_negative = small / (1.0 + small);
    if x < 0.0 { of_negative } else { 1.0 - of_negative }
}

#[inline(always)]
fn softmax_loop(rows: &mut [f32], stride: usize, n_columns: usize, scale: f32) {
    for row in rows.chunks_mut(stride.max(1)) {
        let row = &mut row[..n_columns];
        let greatest = fold(row, f32::NEG_INFINITY, |a, b| if a < b { b } else { a });
        for x in &mut *row {
            *x = exp((*x - greatest) * scale);
        }
        let share = 1.0 / fold(row, 0.0, |a, b| a + b);
        for x in row {
            *x *= share;
        }
    }
}

#[inline(always)]
fn attend_first_loop(
    query: &[f32],
    keys: &[f32],
    values: &[f32],
    stride: usize,
    scores: &mut [f32],
    context: &mut [f32],
) {
    let head_dim = query.len();
    for (score, key) in scores.iter_mut().zip(keys.chunks(stride)) {
        *score = dot(query, &key[..head_dim]);
    }
    softmax_loop(scores, scores.len(), scores.len(), 1.0 / (head_dim as f32).sqrt());
    context.fill(0.0);
    for (score, value) in scores.iter().zip(values.chunks(stride)) {
        for (x, value) in context.iter_mut().zip(&value[..head_dim]) {
            *x += score * value;
        }
    }
}

#[inline(always)]
fn add_and_norm_loop(
    rows: &mut [f32],
    residual: &[f32],
    weight: &[f32],
    bias: &[f32],
    epsilon: f32,
) {
    let dim = weight.len();
    for (row, residual) in rows.chunks_exact_mut(dim).zip(residual.chunks_exact(dim)) {
        for (x, residual) in row.iter_mut().zip(residual) {
            *x += residual;
        }
        norm_row(row, weight, bias, epsilon);
    }
}

#[inline(always)]
fn norm_loop(rows: &mut [f32], weight: &[f32], bias: &[f32], epsilon: f32) {
    for row in rows.chunks_exact_mut(weight.len()) {
        norm_row(row, weight, bias, epsilon);
    }
}

#[inline(always)]
fn norm_row(row: &mut [f32], weight: &[f32], bias: &[f32], epsilon: f32) {
    let mean = fold(row, 0.0, |a, b| a + b) / weight.len() as f32;
    for x in &mut *row {
        *x -= mean;
    }
    let variance = dot(row, row) / weight.len() as f32;
    let scale = 1.0 / (variance + epsilon).sqrt();
    for ((x, weight), bias) in row.iter_mut().zip(weight).zip(bias) {
        *x = *x * scale * weight + bias;
    }
}

#[inline(always)]
fn dot(left: &[f32], right: &[f32]) -> f32 {
    let ((left, left_rest), (right, right_rest)) =
        (left.as_chunks::<LANES>(), right.as_chunks::<LANES>());
    let mut lanes = [0.0; LANES];
    for (left, right) in left.iter().zip(right) {
        for ((lane, a), b) in lanes.iter_mut().zip(left).zip(right) {
            *lane += a * b;
        }
    }
    lanes.iter().sum::<f32>() + left_rest.iter().zip(right_rest).map(|(a, b)| a * b).sum::<f32>()
}

/// The error function as x·P(x²)/Q(x²) up to where it is 1; the coefficients are a least-squares
/// fit to it, weighted until the greatest error was least. Greatest error 4e-7.
#[inline(always)]
fn erf(x: f32) -> f32 {
    // The last coefficient of P is the slope at 0.
    const P: [f32; 6] = [
        2.050_078e-6,
        2.848_623_3e-4,
        3.765_049_4e-3,
        5.274_692_6e-2,
        0.190_394_33,
        std::f32::consts::FRAC_2_SQRT_PI,
    ];
    const Q: [f32; 6] =
        [3.809_055_6e-5, 1.162_384e-3, 1.496_807_9e-2, 0.114_103_92, 0.502_065_3, 1.0];
    let x = if x < -3.92 { -3.92 } else { x };
    let x = if x > 3.92 { 3.92 } else { x };
    let z = x * x;
    x * horner(&P, z) / horner(&Q, z)
}

/// e^x for x up to 0; below -87, where it is next to nothing, that of -87.
/// x is split into n·ln 2 + r: the power of 2 is made of bits, e^r by a polynomial fitted as in
/// [`erf`]. Greatest relative error 2e-7.
#[inline(always)]
fn exp(x: f32) -> f32 {
    const P: [f32; 7] =
        [1.381_461e-3, 8.368_71e-3, 4.166_839e-2, 0.166_665_22, 0.499_999_94, 1.0, 1.0];
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

    /// The error function by its Taylor series, and beyond 3 by its continued fraction; good to
    /// 1e-13.
    fn exact_erf(x: f64) -> f64 {
        if x.abs() > 3.0 {
            let fraction =
                (1..60).rev().fold(0.0, |below, n| f64::from(n) / 2.0 / (x.abs() + below));
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
                assert!(
                    (f64::from(*y) - exact).abs() <= 4e-7 * x.abs().max(0.1),
                    "gelu({x}) is {y}, not {exact}"
                );
            }
        }
    }

    #[test]
    fn other_activations_are_exact_to_the_last_bits() {
        let slope = (2.0 / std::f64::consts::PI).sqrt();
        type Exact = fn(f64, f64) -> f64;
        let cases: [(Activation, Exact); 2] = [
            (Activation::GeluTanh, |x, slope| {
                0.5 * x * (1.0 + (slope * (x + 0.044_715 * x.powi(3))).tanh())
            }),
            (Activation::Silu, |x, _| x / (1.0 + (-x).exp())),
        ];
        let xs = grid(-100.0, 100.0);
        for (activation, exact) in cases {
            let mut ys = xs.clone();
            activate(&mut ys, activation);
            for (x, y) in xs.iter().zip(&ys) {
                let exact = exact(f64::from(*x), slope);
                let bound = 5e-7 * f64::from(x.abs().max(0.1));
                assert!(
                    (f64::from(*y) - exact).abs() <= bound,
                    "{activation:?} of {x} is {y}, not {exact}"
                );
            }
            let mut none = [f32::NAN];
            activate(&mut none, activation);
            assert!(none[0].is_nan());
        }
    }

    #[test]
    fn exponentials_are_exact_to_the_last_bits() {
        for x in grid(-87.0, 0.0) {
            let exact = f64::from(x).exp();
            assert!(
                (f64::from(exp(x)) - exact).abs() <= 2e-7 * exact,
                "exp({x}) is {}, not {exact}",
                exp(x)
            );
        }
        assert_eq!(exp(0.0), 1.0);
        assert!(exp(f32::NEG_INFINITY) < 1e-37 && exp(f32::NAN).is_nan());
    }

    #[test]
    fn softmax_rows_sum_to_one_even_where_scores_are_extreme() {
        let mut rows = vec![
            0.0,
            -100.0,
            1.0,
            f32::NEG_INFINITY,
            1e30,
            1e30,
            3.0,
            -1e30,
            f32::MIN,
            f32::MIN,
            f32::MIN,
            f32::MIN,
        ];
        softmax(&mut rows, 4, 4, 1.0);
        for row in rows.chunks(4) {
            assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-6, "{row:?}");
        }
        assert!((rows[2] - 0.731_058_6).abs() < 1e-6 && rows[4] == 0.5);
    }

    #[test]
    fn normalised_rows_match_plain_arithmetic() {
        let row = |seed: u32, dim: u32| {
            (0..dim)
                .map(|n| ((n * 7919 + seed * 104_729) % 1000) as f32 / 100.0 - 5.0)
                .collect::<Vec<_>>()
        };
        for dim in [1, 15, 16, 33, 768] {
            let (mut rows, residual, weight, bias) =
                (row(1, 2 * dim), row(2, 2 * dim), row(3, dim), row(4, dim));
            let sums: Vec<f64> =
                rows.iter().zip(&residual).map(|(a, b)| f64::from(*a) + f64::from(*b)).collect();
            add_and_norm(&mut rows, &residual, &weight, &bias, 1e-12);
            for (sums, row) in sums.chunks(dim as usize).zip(rows.chunks(dim as usize)) {
                let mean = sums.iter().sum::<f64>() / f64::from(dim);
                let variance =
                    sums.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / f64::from(dim);
                for (n, x) in row.iter().enumerate() {
                    let exact = (sums[n] - mean) / (variance + 1e-12).sqrt() * f64::from(weight[n])
                        + f64::from(bias[n]);
                    assert!(
                        (f64::from(*x) - exact).abs() < 1e-5 * (1.0 + exact.abs()),
                        "{dim}: {x} is not {exact}"
                    );
                }
            }
        }
    }

    #[test]
    fn one_query_attends_as_plain_arithmetic_does() {
        let number = |n: usize| (n * 7919 % 1000) as f32 / 250.0 - 2.0;
        for (head_dim, n_tokens) in [(8, 1), (64, 33), (20, 512)] {
            let stride = 3 * head_dim + 5;
            let (query, keys): (Vec<f32>, Vec<f32>) = (
                (0..head_dim).map(number).collect(),
                (0..n_tokens * stride).map(|n| number(n + 77)).collect(),
            );
            let values = &keys[head_dim..];
            let (mut scores, mut context) = (vec![0.0; n_tokens], vec![9.0; head_dim]);
            attend_first(&query, &keys, values, stride, &mut scores, &mut context);
            let score = |token: usize| {
                let key = &keys[token * stride..];
                let dot: f64 =
                    query.iter().zip(key).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
                (dot / (head_dim as f64).sqrt()).exp()
            };
            let total: f64 = (0..n_tokens).map(score).sum();
            for (n, x) in context.iter().enumerate() {
                let exact = (0..n_tokens)
                    .map(|token| score(token) * f64::from(values[token * stride + n]))
                    .sum::<f64>();
                assert!(
                    (f64::from(*x) - exact / total).abs() < 2e-5,
                    "{head_dim}: {x} is not {}",
                    exact / total
                );
            }
        }
    }
}
