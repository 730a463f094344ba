//! Figures equal to those of scikit-learn and SciPy, which `testdata/metrics/make.py` wrote down.

use checkpoint::Task;
use serde::Deserialize;
use serde_json::Value;

use super::{Evaluation, Measuring, MultiLabel, Scores, Thresholds};
use crate::dataset::{Example, Target};

#[derive(Deserialize)]
struct Golden {
    single: Vec<Value>,
    multi: Vec<Value>,
    chosen: Vec<Value>,
    regression: Vec<Value>,
}

fn golden() -> Golden {
    let text = include_bytes!("../../testdata/metrics/golden.json");
    serde_json::from_slice(text).expect("golden.json")
}

/// Measures a case; its targets are what `Target` reads.
fn measured(task: Task, case: &Value) -> Evaluation {
    let logits: Vec<Vec<f32>> = serde_json::from_value(case["logits"].clone()).expect("logits");
    let targets: Vec<Target> = serde_json::from_value(case["targets"].clone()).expect("targets");
    let examples: Vec<Example> =
        targets.into_iter().map(|target| Example::of("text", target)).collect();
    let labels: Vec<String> = (0..logits[0].len()).map(|n| format!("l{n}")).collect();
    let thresholds: Option<Vec<f64>> =
        serde_json::from_value(case["thresholds"].clone()).expect("thresholds");
    let thresholds = thresholds.as_deref().map_or(Thresholds::Chosen, Thresholds::Given);
    Measuring { task, labels: &labels, thresholds }.measure(&logits, 0, &examples)
}

#[track_caller]
fn near(ours: impl Into<Option<f64>>, theirs: &Value) {
    match (ours.into(), theirs.as_f64()) {
        (None, None) => (),
        (Some(ours), Some(theirs)) => {
            assert!((ours - theirs).abs() <= 1e-9 * theirs.abs().max(1.0), "{ours} {theirs}");
        }
        (ours, theirs) => panic!("{ours:?} {theirs:?}"),
    }
}

#[test]
fn single_labels_are_measured_as_by_scikit_learn() {
    for case in &golden().single {
        let evaluation = measured(Task::SingleLabel, case);
        let Scores::SingleLabel(single) = &evaluation.scores else { panic!("single labels") };
        near(evaluation.loss, &case["loss"]);
        near(single.accuracy, &case["accuracy"]);
        near(single.macro_f1, &case["macro_f1"]);
        assert_eq!(serde_json::json!(single.confusion), case["confusion"]);
        for (n, label) in single.labels.iter().enumerate() {
            near(label.precision, &case["precision"][n]);
            near(label.recall, &case["recall"][n]);
            near(label.f1, &case["f1"][n]);
            assert_eq!(serde_json::json!(label.n_examples), case["n_examples"][n]);
        }
    }
}

#[test]
fn several_labels_are_measured_as_by_scikit_learn() {
    for case in &golden().multi {
        let evaluation = measured(Task::MultiLabel, case);
        let Scores::MultiLabel(multi) = &evaluation.scores else { panic!("several labels") };
        near(evaluation.loss, &case["loss"]);
        near(multi.exact_match, &case["exact_match"]);
        near(multi.hamming_loss, &case["hamming_loss"]);
        near(multi.roc_auc, &case["roc_auc"]);
        for (name, ours) in
            [("micro", multi.micro), ("macro", multi.by_label), ("samples", multi.samples)]
        {
            near(ours.precision, &case[name]["precision"]);
            near(ours.recall, &case[name]["recall"]);
            near(ours.f1, &case[name]["f1"]);
        }
        for (n, label) in multi.labels.iter().enumerate() {
            near(label.figures.precision, &case["precision"][n]);
            near(label.figures.recall, &case["recall"][n]);
            near(label.figures.f1, &case["f1"][n]);
            near(label.roc_auc, &case["aucs"][n]);
            assert_eq!(serde_json::json!(label.n_examples), case["n_examples"][n]);
        }
    }
}

#[test]
fn thresholds_that_are_chosen_have_the_best_f1_that_there_is() {
    for case in &golden().chosen {
        let evaluation = measured(Task::MultiLabel, case);
        let Scores::MultiLabel(multi) = &evaluation.scores else { panic!("several labels") };
        for (n, label) in multi.labels.iter().enumerate() {
            near(label.figures.f1, &case["best_f1"][n]);
        }
        // Whatever is written down comes back.
        let text = serde_json::to_string(&evaluation).expect("JSON");
        let read: Evaluation = serde_json::from_str(&text).expect("JSON");
        let Scores::MultiLabel(read) = read.scores else { panic!("several labels") };
        let thresholds = |multi: &MultiLabel| -> Vec<f64> {
            multi.labels.iter().map(|label| label.threshold).collect()
        };
        assert_eq!(thresholds(&read), thresholds(multi));
    }
}

#[test]
fn figures_are_measured_as_by_scikit_learn_and_scipy() {
    for case in &golden().regression {
        let evaluation = measured(Task::Regression, case);
        let Scores::Regression(regression) = &evaluation.scores else { panic!("figures") };
        near(evaluation.loss, &case["mse"]);
        near(regression.mse, &case["mse"]);
        near(regression.rmse, &case["rmse"]);
        near(regression.mae, &case["mae"]);
        near(regression.r2, &case["r2"]);
        near(regression.pearson, &case["pearson"]);
        near(regression.spearman, &case["spearman"]);
    }
}
