//! Shows how training goes: a bar on a terminal, a line for each epoch.

use std::cell::OnceCell;
use std::ops::ControlFlow;

use trainer::{Event, Measured};

use crate::ui::Ui;

pub(super) struct Show<'a> {
    ui: &'a Ui,
    bar: OnceCell<indicatif::ProgressBar>,
}

impl<'a> Show<'a> {
    pub(super) fn new(ui: &'a Ui) -> Self {
        Self { ui, bar: OnceCell::new() }
    }

    /// Takes the bar away.
    pub(super) fn end(&self) {
        if let Some(bar) = self.bar.get() {
            bar.finish_and_clear();
        }
    }

    pub(super) fn event(&self, event: Event) -> ControlFlow<()> {
        match event {
            Event::Started { n_train, n_validation, n_steps, n_done, n_cut } => {
                self.ui.note(format_args!(
                    "{n_train} examples to learn from, {n_validation} held out, {n_steps} steps"
                ));
                if n_cut > 0 {
                    self.ui.note(format_args!(
                        "{n_cut} texts are cut: --max-length while learning, what the network takes while measuring"
                    ));
                }
                if n_done > 0 {
                    self.ui.note(format_args!("going on after step {n_done}"));
                }
                let bar = self.ui.steps_bar("training", n_steps as u64);
                bar.set_position(n_done as u64);
                bar.reset_eta();
                self.bar.get_or_init(|| bar);
            }
            Event::Step { step, loss, examples_per_second, .. } => {
                if let Some(bar) = self.bar.get() {
                    bar.set_position(step as u64);
                    bar.set_message(format!("loss {loss:.4}, {examples_per_second:.0} texts/s"));
                }
            }
            Event::Measure { n_done, n_texts, .. } => {
                if let Some(bar) = self.bar.get() {
                    bar.set_message(format!("measuring {n_done}/{n_texts}"));
                }
            }
            Event::Epoch { epoch, train_loss, evaluation, measured_on } => {
                let on = match measured_on {
                    Measured::Validation => "held out",
                    Measured::Train => "on the same examples",
                };
                let figures: String = evaluation
                    .figures()
                    .iter()
                    .map(|(name, value)| format!(", {name} {value:.4}"))
                    .collect();
                self.ui.note(format_args!(
                    "epoch {epoch}: training loss {train_loss:.4}, {on}: loss {:.4}{figures}",
                    evaluation.loss
                ));
            }
            _ => (),
        }
        self.ui.interrupt().flow()
    }
}
