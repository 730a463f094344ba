//! Bars of what is being packed, unpacked and moved.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Mutex;

use indicatif::ProgressBar;

use crate::ui::Ui;

/// Moves a bar on. Where it begins is what was there before, which says nothing of how fast the rest
/// comes.
fn advance(bar: &ProgressBar, bytes: u64) {
    let is_first = bar.position() == 0;
    bar.set_position(bytes);
    if is_first {
        bar.reset_eta();
    }
}

/// Moves a bar on with the file of a hub that it stands for.
#[cfg(feature = "full")]
pub(crate) fn move_on(bar: &ProgressBar) -> impl Fn(registry::Event) + Sync {
    |event| {
        if let registry::Event::FileProgress { bytes, .. } = event {
            advance(bar, bytes);
        }
    }
}

/// A bar for each layer at work.
pub(crate) struct LayerBars<'a> {
    ui: &'a Ui,
    bars: Mutex<BTreeMap<usize, ProgressBar>>,
}

impl<'a> LayerBars<'a> {
    pub(crate) fn new(ui: &'a Ui) -> Self {
        Self { ui, bars: Mutex::default() }
    }

    /// Shows an event; breaks off when the user wants to end.
    pub(crate) fn show(&self, event: modelkit::Event) -> ControlFlow<()> {
        let mut bars = self.bars.lock().expect("no holder panics");
        match event {
            modelkit::Event::LayerStarted { layer, path, bytes, .. } => {
                let bar = self.ui.bytes_bar(path.as_str(), bytes);
                bars.insert(layer, bar);
            }
            modelkit::Event::Progress { layer, bytes } => {
                if let Some(bar) = bars.get(&layer) {
                    bar.set_position(bytes);
                }
            }
            modelkit::Event::LayerDone { layer, .. } => {
                if let Some(bar) = bars.remove(&layer) {
                    bar.finish_and_clear();
                }
            }
            _ => (),
        }
        self.ui.interrupt().flow()
    }
}

/// A bar for each blob on its way.
pub(crate) struct BlobBars<'a> {
    ui: &'a Ui,
    bars: Mutex<BTreeMap<String, ProgressBar>>,
}

impl<'a> BlobBars<'a> {
    pub(crate) fn new(ui: &'a Ui) -> Self {
        Self { ui, bars: Mutex::default() }
    }

    /// Shows an event of a transfer.
    pub(crate) fn show(&self, event: registry::Event) {
        let mut bars = self.bars.lock().expect("no holder panics");
        match event {
            registry::Event::BlobStarted { descriptor, .. } => {
                let digest = descriptor.digest().to_string();
                let bar = self.ui.bytes_bar(&short(&digest), descriptor.size());
                bars.insert(digest, bar);
            }
            registry::Event::BlobProgress { digest, bytes } => {
                if let Some(bar) = bars.get(&digest.to_string()) {
                    advance(bar, bytes);
                }
            }
            registry::Event::BlobDone { digest, .. } => {
                if let Some(bar) = bars.remove(&digest.to_string()) {
                    bar.finish_and_clear();
                }
            }
            registry::Event::Warning(text) => self.ui.warn(text),
            _ => (),
        }
    }
}

/// The algorithm and the first digits of a digest, enough for people.
fn short(digest: &str) -> String {
    digest.chars().take("sha256:".len() + 12).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_there_before_is_no_speed() {
        let bar = ProgressBar::hidden();
        bar.set_length(100_000_000_000);
        advance(&bar, 90_000_000_000);
        assert_eq!((bar.position(), bar.per_sec()), (90_000_000_000, 0.0));
    }
}
