//! What is trained for other tasks than one label of one text opens in transformers, says there what
//! it is for, and answers the same; and it is derived again from its record.

use super::{Bench, say, shown};
use crate::report::Report;

/// A dataset of `peer.py datasets`, and what it is read and trained with.
struct Case {
    task: &'static str,
    file: &'static str,
    options: &'static [&'static str],
    problem_type: &'static str,
    n_labels: &'static str,
}

const CASES: [Case; 3] = [
    Case {
        task: "several labels at once",
        file: "multi.jsonl",
        options: &[],
        problem_type: "multi_label_classification",
        n_labels: "3",
    },
    Case {
        task: "a figure",
        file: "figures.csv",
        options: &["--task", "regression"],
        problem_type: "regression",
        n_labels: "1",
    },
    Case {
        task: "pairs of texts",
        file: "pairs.tsv",
        options: &["--pair-column", "text_pair"],
        problem_type: "single_label_classification",
        n_labels: "2",
    },
];

/// Runs a claim for each task; the checkpoint of the shape `bert` is there.
pub(super) fn run(bench: &Bench, report: &mut Report) -> anyhow::Result<()> {
    bench.peer(&["datasets", shown(&bench.dir)?])?;
    for case in CASES {
        let claim = format!("what was trained for {} opens and gives the same logits", case.task);
        report.claim("transformers", &claim, || opens(bench, &case));
    }
    Ok(())
}

fn opens(bench: &Bench, case: &Case) -> anyhow::Result<()> {
    let model = format!("of-{}", case.file.replace('.', "-"));
    let train = ["train", "--model", "bert", "--dataset", case.file, "--output", &model];
    let rest = ["--epochs", "3", "--learning-rate", "1e-3", "--no-kitfile"];
    bench.kit_rs(&[&train[..], &rest, case.options].concat())?;
    let place = format!("./{model}");
    let verify = ["verify", &place, "--retrain", "--base", "bert", "--dataset", case.file];
    bench.kit_rs(&verify)?;
    // What is learned stands in the model; which columns are read does not.
    let reading = if case.options.first() == Some(&"--task") { &[][..] } else { case.options };
    let evaluate = ["evaluate", &model, case.file, "--predictions", "of-task.jsonl"];
    bench.kit_rs(&[&evaluate[..], reading].concat())?;
    let (model, predictions) = (bench.dir.join(&model), bench.dir.join("of-task.jsonl"));
    let folder = [shown(&model)?, shown(&predictions)?];
    let found = bench.peer(&["task", folder[0], folder[1], case.problem_type, case.n_labels])?;
    say(&format!("          {}", found.trim()));
    Ok(())
}
