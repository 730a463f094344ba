//! Activations and their derivatives, which are told by what goes in.

use checkpoint::Activation;
use rayon::prelude::*;

use super::kernels::exp;
use crate::vectors::vectors;

/// √(2/π), and the share of the cube: GELU by tanh.
const SLOPE: f32 = 0.797_884_6;
const CUBIC: f32 = 0.044_715;

/// Values after an activation.
pub(super) fn activated(values: &[f32], activation: Activation) -> Vec<f32> {
    // A loop for each, so that the compiler makes vectors of it.
    match activation {
        Activation::Gelu => each(values, |x| x * normal_below(x)),
        Activation::GeluTanh => each(values, |x| x * sigmoid(2.0 * inner(x))),
        Activation::Relu => each(values, relu),
        Activation::Silu => each(values, |x| x * sigmoid(x)),
        Activation::Tanh => each(values, libm::tanhf),
    }
}

/// Multiplies a gradient with the derivative of an activation at `values`.
pub(super) fn activated_backward(gradient: &mut [f32], values: &[f32], activation: Activation) {
    const PEAK: f32 = 0.398_942_3; // 1/√(2π)
    match activation {
        Activation::Gelu => {
            times(gradient, values, |x| normal_below(x) + x * PEAK * exp(-0.5 * x * x));
        }
        Activation::GeluTanh => times(gradient, values, |x| {
            let share = sigmoid(2.0 * inner(x));
            let slope = SLOPE * (1.0 + 3.0 * CUBIC * x * x);
            share + 2.0 * x * slope * share * (1.0 - share)
        }),
        Activation::Relu => times(gradient, values, |x| if x > 0.0 { 1.0 } else { 0.0 }),
        Activation::Silu => times(gradient, values, |x| {
            let share = sigmoid(x);
            share * (1.0 + x * (1.0 - share))
        }),
        Activation::Tanh => times(gradient, values, |x| {
            let y = libm::tanhf(x);
            1.0 - y * y
        }),
    }
}

fn each(values: &[f32], of: impl Fn(f32) -> f32 + Sync) -> Vec<f32> {
    let mut output = vec![0.0; values.len()];
    output.par_chunks_mut(1 << 12).zip(values.par_chunks(1 << 12)).for_each(|(to, from)| {
        vectors(|| to.iter_mut().zip(from).for_each(|(to, x)| *to = of(*x)));
    });
    output
}

fn times(values: &mut [f32], others: &[f32], of: impl Fn(f32) -> f32 + Sync) {
    values.par_chunks_mut(1 << 12).zip(others.par_chunks(1 << 12)).for_each(|(to, from)| {
        vectors(|| to.iter_mut().zip(from).for_each(|(to, x)| *to *= of(*x)));
    });
}

/// What is negative becomes 0; NaN stays NaN, which `f32::max` would turn into 0 and so hide.
fn relu(value: f32) -> f32 {
    if value < 0.0 { 0.0 } else { value }
}

/// What tanh is taken of.
#[inline(always)]
fn inner(x: f32) -> f32 {
    SLOPE * (x + CUBIC * x * x * x)
}

#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// The share of a normal distribution that lies below `x`: `(1 + erf(x / √2)) / 2`, within 2e-7.
/// Inlined, and without branches but for a choice of values, so that the compiler makes vectors of
/// its callers' loops.
#[expect(clippy::excessive_precision, reason = "the coefficients as they are published")]
#[inline(always)]
fn normal_below(x: f32) -> f32 {
    let z = (x * std::f32::consts::FRAC_1_SQRT_2).abs();
    // erfc(z) = t·exp(-z² + P(t)), t = 1/(1 + z/2): Numerical Recipes, 6.2.2 (Chebyshev, fractional
    // error below 1.2e-7).
    let t = 1.0 / (1.0 + 0.5 * z);
    let mut p = 0.170_872_77_f32;
    p = p * t - 0.822_152_23;
    p = p * t + 1.488_515_87;
    p = p * t - 1.135_203_98;
    p = p * t + 0.278_868_07;
    p = p * t - 0.186_288_06;
    p = p * t + 0.096_784_18;
    p = p * t + 0.374_091_96;
    p = p * t + 1.000_023_68;
    p = p * t - 1.265_512_23;
    let tail = 0.5 * t * exp(-z * z + p);
    if x < 0.0 { tail } else { 1.0 - tail }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Activation; 5] = [
        Activation::Gelu,
        Activation::GeluTanh,
        Activation::Relu,
        Activation::Silu,
        Activation::Tanh,
    ];

    #[test]
    fn activations_are_those_of_pytorch() {
        // `torch.nn.functional.gelu`, `gelu(approximate="tanh")`, `relu`, `silu` and `tanh` in
        // double precision.
        let known: [(f32, [f32; 5]); 8] = [
            (-6.0, [-5.919_526e-9, -8.439_65e-11, 0.0, -0.014_835_739, -0.999_987_7]),
            (-3.0, [-0.004_049_694, -0.003_637_392, 0.0, -0.142_277_62, -0.995_054_75]),
            (-1.0, [-0.158_655_25, -0.158_808, 0.0, -0.268_941_42, -0.761_594_16]),
            (-0.1, [-0.046_017_215, -0.046_017_25, 0.0, -0.047_502_08, -0.099_667_996]),
            (0.0, [0.0; 5]),
            (0.5, [0.345_731_23, 0.345_714, 0.5, 0.311_229_67, 0.462_117_16]),
            (2.0, [1.954_499_7, 1.954_597_7, 2.0, 1.761_594_2, 0.964_027_6]),
            (5.0, [4.999_998_6, 4.999_999_8, 5.0, 4.966_535_7, 0.999_909_2]),
        ];
        for (x, expected) in known {
            for (activation, y) in ALL.into_iter().zip(expected) {
                let found = activated(&[x], activation)[0];
                let bound = 3e-7 * (1.0 + y.abs());
                assert!((found - y).abs() < bound, "{activation:?} {x}: {found} {y}");
            }
        }
    }

    #[test]
    fn derivatives_are_those_of_pytorch() {
        let known: [(f32, [f32; 5]); 8] = [
            (-6.0, [-3.546_871e-8, -7.709_976e-10, 0.0, -0.012_326_433, 2.457_654_7e-5]),
            (-3.0, [-0.011_945_647, -0.011_584_167, 0.0, -0.088_104_106, 0.009_866_037]),
            (-1.0, [-0.083_315_47, -0.082_964_08, 0.0, 0.072_329_49, 0.419_974_34]),
            (-0.1, [0.420_476_9, 0.420_478_2, 0.0, 0.450_083_2, 0.990_066_3]),
            (0.0, [0.5, 0.5, 0.0, 0.5, 1.0]),
            (0.5, [0.867_495_1, 0.867_369_9, 1.0, 0.739_961_2, 0.786_447_7]),
            (2.0, [1.085_231_8, 1.086_099_3, 1.0, 1.090_784_2, 0.070_650_82]),
            (5.0, [1.000_007_2, 1.000_001_5, 1.0, 1.026_547_4, 0.000_181_583_23]),
        ];
        for (x, expected) in known {
            for (activation, y) in ALL.into_iter().zip(expected) {
                let mut found = [1.0];
                activated_backward(&mut found, &[x], activation);
                let found = found[0];
                // A sigmoid near 1 keeps few digits of what is left to 1.
                assert!((found - y).abs() < 3e-6, "{activation:?} {x}: {found} {y}");
            }
        }
    }
}
