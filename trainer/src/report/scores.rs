//! What is measured, in tables that fit the task.

use std::fmt::{self, Write as _};

use super::chart::{Chart, Line};
use super::html::escaped;
use crate::evaluate::{
    Averages, Calibration, Evaluation, Mistake, MultiLabel, Regression, Scores, SingleLabel,
};

/// All that is measured.
pub(super) fn write_scores(page: &mut String, scores: &Scores) -> fmt::Result {
    match scores {
        Scores::SingleLabel(single) => {
            write_confusion(page, single)?;
            writeln!(page, "<h2>Calibration</h2>\n<div class=\"figures\">")?;
            write_calibration(page, &single.calibration)?;
            writeln!(page, "</div>")
        }
        Scores::MultiLabel(multi) => write_labels(page, multi),
        Scores::Regression(regression) => write_regression(page, regression),
    }
}

fn write_labels(page: &mut String, multi: &MultiLabel) -> fmt::Result {
    writeln!(
        page,
        "<h2>Labels</h2>\n<p>A label is given where its score reaches its threshold.\n<table>\n<tr><th>label<th class=\"n\">examples<th class=\"n\">threshold<th class=\"n\">precision<th class=\"n\">recall<th class=\"n\">F1<th class=\"n\">ROC AUC"
    )?;
    for label in &multi.labels {
        write!(page, "<tr><td>{}<td class=\"n\">{}", escaped(&label.label), label.n_examples)?;
        write!(page, "<td class=\"n\">{}", label.threshold)?;
        write_figures(page, &label.figures)?;
        writeln!(page, "<td class=\"n\">{}", maybe(label.roc_auc))?;
    }
    let averages = [
        ("over all decisions (micro)", &multi.micro, None),
        ("mean of the labels (macro)", &multi.by_label, multi.roc_auc),
        ("mean of the examples (samples)", &multi.samples, None),
    ];
    for (name, figures, auc) in averages {
        write!(page, "<tr><th>{name}<td><td>")?;
        write_figures(page, figures)?;
        writeln!(page, "<td class=\"n\">{}", auc.map_or(String::new(), |auc| maybe(Some(auc))))?;
    }
    writeln!(page, "</table>\n<p>Wrong decisions (Hamming loss): {:.4}.", multi.hamming_loss)
}

fn write_figures(page: &mut String, figures: &Averages) -> fmt::Result {
    let Averages { precision, recall, f1 } = figures;
    [precision, recall, f1]
        .into_iter()
        .try_for_each(|share| write!(page, "<td class=\"n\">{share:.4}"))
}

fn write_regression(page: &mut String, regression: &Regression) -> fmt::Result {
    let Regression { mse, rmse, mae, r2, pearson, spearman } = *regression;
    writeln!(page, "<h2>Figures</h2>\n<table>")?;
    let rows = [
        ("mean squared error", Some(mse)),
        ("its root (RMSE)", Some(rmse)),
        ("mean absolute error", Some(mae)),
        ("R²", r2),
        ("correlation (Pearson)", pearson),
        ("correlation of ranks (Spearman)", spearman),
    ];
    for (name, value) in rows {
        writeln!(page, "<tr><th>{name}<td class=\"n\">{}", maybe(value))?;
    }
    writeln!(page, "</table>")
}

/// A figure, where there is one.
fn maybe(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{value:.4}"))
}

fn write_confusion(page: &mut String, best: &SingleLabel) -> fmt::Result {
    writeln!(
        page,
        "<h2>Labels</h2>\n<table>\n<tr><th>label<th class=\"n\">examples<th class=\"n\">precision<th class=\"n\">recall<th class=\"n\">F1"
    )?;
    for label in &best.labels {
        write!(page, "<tr><td>{}<td class=\"n\">{}", escaped(&label.label), label.n_examples)?;
        for share in [label.precision, label.recall, label.f1] {
            write!(page, "<td class=\"n\">{share:.4}")?;
        }
        writeln!(page)?;
    }
    writeln!(
        page,
        "</table>\n<h2>Confusion</h2>\n<p>A row for each label that examples have, a column for each that they were given, by its number.\n<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"Confusion\"><table class=\"confusion\">\n<tr><th>has ↓ given →"
    )?;
    for (n, label) in best.labels.iter().enumerate() {
        write!(page, "<th class=\"n\" title=\"{}\">{}", escaped(&label.label), n + 1)?;
    }
    for (n, (label, row)) in best.labels.iter().zip(&best.confusion).enumerate() {
        write!(page, "\n<tr><th>{} {}", n + 1, escaped(&label.label))?;
        let all = row.iter().sum::<usize>().max(1);
        for count in row {
            let depth = *count as f64 / all as f64 * 0.35;
            write!(
                page,
                "<td class=\"n\" style=\"background: rgba(var(--cell), {depth:.3})\">{count}"
            )?;
        }
    }
    writeln!(page, "\n</table></div>")
}

fn write_calibration(page: &mut String, calibration: &Calibration) -> fmt::Result {
    let found = calibration.bins.iter().filter(|bin| bin.n_examples > 0);
    let points = found.map(|bin| (bin.confidence, bin.accuracy)).collect();
    let lines = [
        Line::new("were it as right as it is sure", "two", vec![(0.0, 0.0), (1.0, 1.0)]),
        Line::new("measured", "one", points),
    ];
    writeln!(
        page,
        "{}",
        Chart::new("Accuracy by confidence", &lines).within((0.0, 1.0), (0.0, 1.0))
    )?;
    writeln!(page, "<table><tr><th>confidence<th class=\"n\">examples<th class=\"n\">accuracy")?;
    for (n, bin) in calibration.bins.iter().enumerate().filter(|(_, bin)| bin.n_examples > 0) {
        let (from, to) = (n as f64 / 10.0, (n + 1) as f64 / 10.0);
        writeln!(
            page,
            "<tr><td>{from:.1} to {to:.1}<td class=\"n\">{}<td class=\"n\">{:.4}",
            bin.n_examples, bin.accuracy
        )?;
    }
    writeln!(page, "</table>")
}

/// The sentences that are most wrong.
pub(super) fn write_mistakes(page: &mut String, best: &Evaluation) -> fmt::Result {
    let (title, score) = match &best.scores {
        Scores::SingleLabel(_) => ("Most confidently wrong", "score"),
        Scores::MultiLabel(_) => ("Most confidently wrong", "worst score"),
        Scores::Regression(_) => ("Farthest off", "distance"),
    };
    writeln!(page, "<h2>{title}</h2>")?;
    if best.mistakes.is_empty() {
        return writeln!(page, "<p>None is wrong.");
    }
    writeln!(page, "<table>\n<tr><th>text<th>has<th>was given<th class=\"n\">{score}")?;
    for Mistake { text, pair, label, given, score } in &best.mistakes {
        let [text, label, given] = [text, label, given].map(|text| escaped(text));
        let pair = pair.as_ref().map_or(String::new(), |pair| format!("<br>{}", escaped(pair)));
        writeln!(page, "<tr><td>{text}{pair}<td>{label}<td>{given}<td class=\"n\">{score:.4}")?;
    }
    writeln!(page, "</table>")
}
