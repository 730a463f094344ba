//! From logits to scores, at the last step.

use crate::predictor::Task;

/// The label with the highest score, as the field's `text-classification` pipelines answer it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Top {
    /// Place among the labels; the first one where several are equal.
    pub(crate) index: usize,
    /// Between 0 and 1, but for a regression.
    pub(crate) score: f32,
}

/// Finds the best label of one row of finite logits.
pub(crate) fn top(logits: &[f32], task: Task) -> Top {
    let scores = scores(logits, task);
    let better = |best: Top, (index, &score): (usize, &f32)| {
        if score > best.score { Top { index, score } } else { best }
    };
    scores.iter().enumerate().fold(Top { index: 0, score: f32::NEG_INFINITY }, better)
}

/// The labels whose scores reach their thresholds, the best first; maybe none.
pub(crate) fn given(scores: &[f32], thresholds: &[f64]) -> Vec<Top> {
    let all = scores.iter().zip(thresholds).enumerate();
    let mut given: Vec<Top> = all
        .filter(|(_, (score, threshold))| f64::from(**score) >= **threshold)
        .map(|(index, (score, _))| Top { index, score: *score })
        .collect();
    given.sort_by(|a, b| b.score.total_cmp(&a.score));
    given
}

/// What `transformers`' pipeline makes of logits.
pub(crate) fn scores(logits: &[f32], task: Task) -> Vec<f32> {
    match task {
        Task::SingleLabel if logits.len() == 1 => sigmoid(logits),
        Task::SingleLabel => softmax(logits),
        Task::MultiLabel => sigmoid(logits),
        Task::Regression => logits.to_vec(),
    }
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
            let scores = scores(logits, Task::SingleLabel);
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
        for (score, expected) in scores(&[1.5, -0.25], Task::SingleLabel).iter().zip(expected) {
            assert!((score - expected).abs() < 1e-6);
        }
    }

    #[test]
    fn a_single_logit_is_a_sigmoid() {
        assert_eq!(top(&[0.0], Task::SingleLabel), Top { index: 0, score: 0.5 });
        assert_eq!(top(&[-200.0], Task::SingleLabel), Top { index: 0, score: 0.0 });
    }

    #[test]
    fn the_first_of_equal_labels_wins() {
        assert_eq!(top(&[2.0, 2.0], Task::SingleLabel).index, 0);
        assert_eq!(top(&[-100.0, 1.0], Task::SingleLabel), Top { index: 1, score: 1.0 });
    }

    #[test]
    fn other_tasks_score_each_logit_for_itself() {
        let logits = [2.0, -1.0, 0.0];
        let sigmoids = scores(&logits, Task::MultiLabel);
        for (score, expected) in sigmoids.iter().zip([0.880_797, 0.268_941_43, 0.5]) {
            assert!((score - expected).abs() < 1e-6);
        }
        assert_eq!(top(&logits, Task::MultiLabel).index, 0);
        assert_eq!(scores(&logits, Task::Regression), logits);
        assert_eq!(top(&[-3.25], Task::Regression), Top { index: 0, score: -3.25 });
    }
}
