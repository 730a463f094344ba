//! The model card of what was trained: it says nothing that changes from run to run, for it is part
//! of the model.

use std::fmt::Write as _;

use trainer::{Measured, Report, Scores};

use crate::steps::front_matter::{FrontMatter, quoted};

/// Writes the card. Licence and language are those of the checkpoint's own.
pub(super) fn text(theirs: &FrontMatter, report: &Report) -> String {
    let best = report.best();
    let mut card = String::from("---\n");
    let mut line =
        |text: std::fmt::Arguments<'_>| card.write_fmt(text).expect("a string takes everything");
    if let Some(license) = &theirs.license {
        line(format_args!("license: {}\n", quoted(license)));
    }
    for language in &theirs.language {
        line(format_args!("language: {}\n", quoted(language)));
    }
    line(format_args!("library_name: transformers\npipeline_tag: text-classification\n"));
    let labels: Vec<String> =
        report.labels.iter().map(|label| format!("`{}`", plain(label))).collect();
    let (metrics, does) = match &best.scores {
        Scores::SingleLabel(_) => ("accuracy, f1", format!("Tells {} apart.", labels.join(", "))),
        Scores::MultiLabel(_) => {
            ("f1, roc_auc", format!("Tells which of {} are right.", labels.join(", ")))
        }
        Scores::Regression(_) => ("mse, mae, r_squared", "Answers a figure.".to_owned()),
    };
    line(format_args!("metrics: [{metrics}]\n---\n\n# Text classifier\n\n{does}\n\n"));
    let measured = match report.measured_on {
        Measured::Validation => "held-out examples",
        Measured::Train => "the training examples themselves, because none were held out",
    };
    line(format_args!("| on {} {measured} | |\n|---|---|\n", best.n_examples));
    for (name, value) in best.figures() {
        line(format_args!("| {name} | {value:.4} |\n"));
    }
    match &best.scores {
        Scores::SingleLabel(single) => {
            let error = single.calibration.expected_error;
            line(format_args!("| expected calibration error | {error:.4} |\n\n"));
            line(format_args!(
                "| label | examples | precision | recall | F1 |\n|---|---|---|---|---|\n"
            ));
            for score in &single.labels {
                let label = format!("`{}`", plain(&score.label));
                let (precision, recall, f1) = (score.precision, score.recall, score.f1);
                line(format_args!(
                    "| {label} | {} | {precision:.4} | {recall:.4} | {f1:.4} |\n",
                    score.n_examples
                ));
            }
        }
        Scores::MultiLabel(multi) => {
            line(format_args!("\nA label is given where its score reaches its threshold.\n\n"));
            line(format_args!(
                "| label | examples | threshold | precision | recall | F1 | ROC AUC |\n|---|---|---|---|---|---|---|\n"
            ));
            for score in &multi.labels {
                let label = format!("`{}`", plain(&score.label));
                let trainer::Averages { precision, recall, f1 } = score.figures;
                let auc = score.roc_auc.map_or("–".to_owned(), |auc| format!("{auc:.4}"));
                line(format_args!(
                    "| {label} | {} | {} | {precision:.4} | {recall:.4} | {f1:.4} | {auc} |\n",
                    score.n_examples, score.threshold
                ));
            }
        }
        Scores::Regression(_) => (),
    }
    let config = &report.config;
    line(format_args!(
        "\nFine-tuned by kit-rs {} on {} examples, epoch {} of {} kept: batches of {} × {}, learning rate {:e}, seed {}.\n\n",
        report.versions.get("kit-trainer").map_or("", String::as_str),
        report.train.n_examples,
        report.best_epoch,
        report.epochs.len(),
        config.batch_size,
        config.accumulation,
        config.learning_rate,
        config.seed,
    ));
    line(format_args!(
        "- checkpoint: `{}`\n- training data: `{}`\n",
        report.base_weights, report.train.digest
    ));
    line(format_args!("- held-out data: `{}`\n", report.validation.digest));
    card
}

/// A label inside of a table's code, where nothing is markup, whatever it holds.
fn plain(label: &str) -> String {
    label.chars().map(|c| if c == '|' || c == '`' || c.is_control() { ' ' } else { c }).collect()
}
