//! The report as one page that needs no network: numbers, curves as SVG, sentences.

use std::fmt::{self, Write as _};

use super::chart::{Chart, Line};
use super::{About, Measured, Report};
use crate::evaluate::{Calibration, Evaluation, Mistake};

/// How the page looks; colours follow the reader's own light or dark.
const STYLE: &str = "
:root { color-scheme: light dark; --ink: light-dark(#1c1f24, #e6e6e6); --quiet: light-dark(#555d68, #a9b1bc); --line: light-dark(#d5d8de, #3a3f47);
  --one: light-dark(#2457c5, #7aa5ff); --two: light-dark(#b04a10, #ff9d5c); --cell: 36, 87, 197; --paper: light-dark(#fff, #16181b); }
* { box-sizing: border-box }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 62rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.5rem } h2 { font-size: 1.1rem; margin-top: 2rem } figure { margin: 0 } figcaption { color: var(--quiet) }
p, td, th { overflow-wrap: anywhere } td:not(.n), th:not(.n) { min-width: 5.5rem }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 17rem), 1fr)); gap: 1.5rem; align-items: start }
.numbers { display: flex; flex-wrap: wrap; gap: 1rem 2rem; margin: 1rem 0 } .numbers b { display: block; font-size: 1.8rem; font-weight: 600 }
.wide { overflow-x: auto } .wide:focus-visible { outline: 2px solid var(--one) }
table { border-collapse: collapse; width: 100% } th, td { text-align: left; padding: .25rem .6rem .25rem 0; border-bottom: 1px solid var(--line); vertical-align: top }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; overflow-wrap: normal } code { overflow-wrap: anywhere }
.origin th { white-space: nowrap } .confusion { width: auto } .confusion th, .confusion td { padding: .15rem .35rem; font-size: .8rem } .confusion th:first-child { min-width: 7rem; max-width: 14rem }
@media (max-width: 36rem) { th, td { padding-right: .35rem; font-size: .85rem } }
svg { width: 100%; height: auto } svg text { font-size: 11px; fill: var(--quiet) } svg .grid { stroke: var(--line) }
svg .line { fill: none; stroke-width: 2 } svg .one { stroke: var(--one) } svg .two { stroke: var(--two) }
";

impl Report {
    /// The report as one HTML page; it loads nothing from anywhere.
    #[must_use]
    pub fn to_html(&self) -> String {
        let mut page = String::new();
        self.write_page(&mut page).expect("a string takes everything");
        page
    }

    fn write_page(&self, page: &mut String) -> fmt::Result {
        let best = self.best();
        let held_out = match self.measured_on {
            Measured::Validation => "held-out examples",
            Measured::Train => "training examples, because none were held out",
        };
        writeln!(page, "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">")?;
        writeln!(page, "<meta name=\"viewport\" content=\"width=device-width\">")?;
        writeln!(page, "<title>Training report</title>\n<style>{STYLE}</style>")?;
        writeln!(page, "<h1>Training report</h1>")?;
        writeln!(
            page,
            "<p>Epoch {} of {} was kept; measured on {held_out}.",
            self.best_epoch,
            self.epochs.len()
        )?;
        if let Some(About { model, checkpoint, dataset, validation, day }) = &self.about {
            let [model, checkpoint, dataset] =
                [model, checkpoint, dataset].map(|name| escaped(name));
            write!(
                page,
                "<p><b>{model}</b>, trained on {} from <b>{checkpoint}</b> with <b>{dataset}</b>",
                escaped(day)
            )?;
            if let Some(validation) = validation {
                write!(page, ", held out <b>{}</b>", escaped(validation))?;
            }
            writeln!(page, ".")?;
        }
        write!(page, "<div class=\"numbers\">")?;
        let percent = |share: f64| format!("{:.2} %", share * 100.0);
        let numbers = [
            ("accuracy", percent(best.accuracy)),
            ("macro F1", percent(best.macro_f1)),
            ("loss", format!("{:.4}", best.loss)),
            ("calibration error", percent(best.calibration.expected_error)),
            ("examples", best.n_examples.to_string()),
            ("time", format!("{:.0} s", self.seconds)),
        ];
        for (name, value) in numbers {
            write!(page, "<div><b>{value}</b>{name}</div>")?;
        }
        writeln!(page, "</div>\n<h2>Course</h2>\n<div class=\"figures\">")?;
        self.write_curves(page)?;
        writeln!(page, "</div>")?;
        write_confusion(page, best)?;
        writeln!(page, "<h2>Calibration</h2>\n<div class=\"figures\">")?;
        write_calibration(page, &best.calibration)?;
        writeln!(page, "</div>")?;
        write_mistakes(page, &best.mistakes)?;
        self.write_origin(page)
    }

    fn write_curves(&self, page: &mut String) -> fmt::Result {
        let n_steps = self.losses.len();
        let at = |values: &mut dyn Iterator<Item = f64>| -> Vec<(f64, f64)> {
            thinned(values.enumerate().map(|(n, value)| (n as f64 + 1.0, value)).collect())
        };
        let losses = at(&mut self.losses.iter().map(|loss| f64::from(*loss)));
        let epoch_end = |epoch: usize| (epoch * n_steps) as f64 / self.epochs.len() as f64;
        let by_epoch = |of: fn(&Evaluation) -> f64| -> Vec<(f64, f64)> {
            self.epochs.iter().map(|report| (report.epoch as f64, of(&report.evaluation))).collect()
        };
        let held_out: Vec<(f64, f64)> = by_epoch(|evaluation| evaluation.loss)
            .into_iter()
            .map(|(n, loss)| (epoch_end(n as usize), loss))
            .collect();
        let lines = [
            Line::new("training", "one", smoothed(&losses)),
            Line::new("after each epoch", "two", held_out),
        ];
        writeln!(page, "{}", Chart::new("Loss by step", &lines))?;
        let rates = at(&mut self.learning_rates.iter().copied());
        writeln!(
            page,
            "{}",
            Chart::new("Learning rate by step", &[Line::new("learning rate", "one", rates)])
        )?;
        let lines = [
            Line::new("accuracy", "one", by_epoch(|evaluation| evaluation.accuracy)),
            Line::new("macro F1", "two", by_epoch(|evaluation| evaluation.macro_f1)),
        ];
        writeln!(page, "{}", Chart::new("Accuracy and macro F1 by epoch", &lines))
    }

    fn write_origin(&self, page: &mut String) -> fmt::Result {
        writeln!(page, "<h2>Origin</h2>\n<table class=\"origin\">")?;
        let mut row = |name: &str, value: &dyn fmt::Display| {
            writeln!(page, "<tr><th>{name}<td><code>{}</code>", escaped(&value.to_string()))
        };
        row("checkpoint", &self.base_weights)?;
        row("parameters", &self.n_parameters)?;
        row(
            "training data",
            &format_args!("{} examples, {}", self.train.n_examples, self.train.digest),
        )?;
        row(
            "held-out data",
            &format_args!("{} examples, {}", self.validation.n_examples, self.validation.digest),
        )?;
        row("options", &serde_json::to_string(&self.config).unwrap_or_default())?;
        row(
            "device",
            &format_args!("{}, {} threads, {}", self.device, self.n_threads, self.instruction_set),
        )?;
        for (name, version) in &self.versions {
            row(name, version)?;
        }
        writeln!(page, "</table>")
    }
}

fn write_confusion(page: &mut String, best: &Evaluation) -> fmt::Result {
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

fn write_mistakes(page: &mut String, mistakes: &[Mistake]) -> fmt::Result {
    writeln!(page, "<h2>Most confidently wrong</h2>")?;
    if mistakes.is_empty() {
        return writeln!(page, "<p>None is wrong.");
    }
    writeln!(page, "<table>\n<tr><th>text<th>has<th>was given<th class=\"n\">score")?;
    for Mistake { text, label, given, score } in mistakes {
        let [text, label, given] = [text, label, given].map(|text| escaped(text));
        writeln!(page, "<tr><td>{text}<td>{label}<td>{given}<td class=\"n\">{score:.4}")?;
    }
    writeln!(page, "</table>")
}

/// At most some hundred points: a page stays small, whatever the number of steps.
fn thinned(points: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    const MOST: usize = 800;
    let every = points.len().div_ceil(MOST).max(1);
    points.into_iter().step_by(every).collect()
}

/// Each point becomes the mean of its neighbourhood.
fn smoothed(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let reach = points.len() / 50;
    let mean = |n: usize| {
        let near = &points[n.saturating_sub(reach)..(n + reach + 1).min(points.len())];
        near.iter().map(|(_, value)| value).sum::<f64>() / near.len() as f64
    };
    points.iter().enumerate().map(|(n, (step, _))| (*step, mean(n))).collect()
}

/// Text of the data is text on the page, never markup.
pub(super) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c if c.is_control() && !c.is_whitespace() => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}
