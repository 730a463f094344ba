//! The report as one page that needs no network: numbers, curves as SVG, sentences.

use std::fmt::{self, Write as _};

use super::chart::{Chart, Line};
use super::scores::{write_mistakes, write_scores};
use super::{About, Measured, Report};
use crate::evaluate::{Evaluation, Scores};

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
        let is_share = !matches!(best.scores, Scores::Regression(_));
        let shown = |value: f64| match is_share {
            true => format!("{:.2} %", value * 100.0),
            false => format!("{value:.4}"),
        };
        let mut numbers: Vec<(&str, String)> =
            best.figures().into_iter().map(|(name, value)| (name, shown(value))).collect();
        numbers.push(("loss", format!("{:.4}", best.loss)));
        if let Scores::SingleLabel(single) = &best.scores {
            numbers.push(("calibration error", shown(single.calibration.expected_error)));
        }
        numbers.push(("examples", best.n_examples.to_string()));
        numbers.push(("time", format!("{:.0} s", self.seconds)));
        for (name, value) in numbers {
            write!(page, "<div><b>{value}</b>{name}</div>")?;
        }
        writeln!(page, "</div>\n<h2>Course</h2>\n<div class=\"figures\">")?;
        self.write_curves(page)?;
        writeln!(page, "</div>")?;
        write_scores(page, &best.scores)?;
        write_mistakes(page, best)?;
        self.write_origin(page)
    }

    fn write_curves(&self, page: &mut String) -> fmt::Result {
        let n_steps = self.losses.len();
        let at = |values: &mut dyn Iterator<Item = f64>| -> Vec<(f64, f64)> {
            thinned(values.enumerate().map(|(n, value)| (n as f64 + 1.0, value)).collect())
        };
        let losses = at(&mut self.losses.iter().map(|loss| f64::from(*loss)));
        let epoch_end = |epoch: usize| (epoch * n_steps) as f64 / self.epochs.len() as f64;
        let by_epoch = |of: &dyn Fn(&Evaluation) -> f64| -> Vec<(f64, f64)> {
            self.epochs.iter().map(|report| (report.epoch as f64, of(&report.evaluation))).collect()
        };
        let held_out: Vec<(f64, f64)> = by_epoch(&|evaluation| evaluation.loss)
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
        // The first two of the main figures.
        let names: Vec<&str> =
            self.best().figures().iter().map(|(name, _)| *name).take(2).collect();
        let line = |(n, class): (usize, &'static str)| {
            let points = by_epoch(&|evaluation| evaluation.figures()[n].1);
            Line::new(names[n], class, points)
        };
        let lines = [(0, "one"), (1, "two")].map(line);
        let title = format!("Measured by epoch: {}", names.join(" and "));
        writeln!(page, "{}", Chart::new(&title, &lines))
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
