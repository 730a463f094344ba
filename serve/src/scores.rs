//! From logits to scores, at the last step.

/// The label with the highest score, as the field's `text-classification` pipelines answer it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Top {
    /// Place among the labels; the first one where several are equal.
    pub(crate) index: usize,
    /// Between 0 and 1.
    pub(crate) score: f32,
}

/// Finds the best label of one row of finite logits.
pub(crate) fn top(logits: &[f32]) -> Top {
    let scores = scores(logits);
    let better = |best: Top, (index, &score): (usize, &f32)| {
        if score > best.score { Top { index, score } } else { best }
    };
    scores.iter().enumerate().fold(Top { index: 0, score: f32::NEG_INFINITY }, better)
}

/// Softmax; for a single logit its sigmoid, as `transformers` does.
pub(crate) fn scores(logits: &[f32]) -> Vec<f32> {
    if logits.len() == 1 { sigmoid(logits) } else { softmax(logits) }
}

/// Each logit for itself.
pub(crate) fn sigmoid(logits: &[f32]) -> Vec<f32> {
    logits.iter().map(|logit| 1.0 / (1.0 + (-logit).exp())).collect()
}

pub(crate) fn softmax(logits: &[f32]) -> Vec<f32> {
    // The greatest logit is subtracted, not the one of greatest magnitude: no exponential is above
    // 1.
    let greatest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let exponentials: Vec<f32> = logits.iter().map(|logit| (logit - greatest).exp()).collect();
    let sum: f32 = exponentials.iter().sum();
    exponentials.iter().map(|exponential| exponential / sum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_finite_and_sum_to_one_for_extreme_logits() {
        for logits in [
            &[-100.0, 1.0][..],
            &[100.0, -1.0],
            &[f32::MAX, f32::MIN],
            &[f32::MIN, f32::MIN],
            &[0.0; 7],
            &[1e30, 1e30, 1.0],
        ] {
            let scores = scores(logits);
            assert!(
                scores.iter().all(|score| (0.0..=1.0).contains(score)),
                "{logits:?} gives {scores:?}"
            );
            assert!((scores.iter().sum::<f32>() - 1.0).abs() < 1e-6, "{logits:?} gives {scores:?}");
        }
    }

    #[test]
    fn scores_are_softmax() {
        let [a, b] = [1.5f64, -0.25].map(f64::exp);
        let expected = [(a / (a + b)) as f32, (b / (a + b)) as f32];
        for (score, expected) in scores(&[1.5, -0.25]).iter().zip(expected) {
            assert!((score - expected).abs() < 1e-6);
        }
    }

    #[test]
    fn a_single_logit_is_a_sigmoid() {
        assert_eq!(top(&[0.0]), Top { index: 0, score: 0.5 });
        assert_eq!(top(&[-200.0]), Top { index: 0, score: 0.0 });
    }

    #[test]
    fn the_first_of_equal_labels_wins() {
        assert_eq!(top(&[2.0, 2.0]).index, 0);
        assert_eq!(top(&[-100.0, 1.0]), Top { index: 1, score: 1.0 });
    }
}
