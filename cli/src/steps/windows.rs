//! Long texts in windows, for whoever serves or measures.

// One type, of the crate that both of them read checkpoints with.
#[cfg(not(feature = "full"))]
use serve::engine::Windows;
#[cfg(feature = "full")]
use trainer::Windows;

/// What is asked of long texts.
#[derive(clap::Args)]
#[command(next_help_heading = "Long texts")]
pub(crate) struct WindowArgs {
    /// Look at a text that is longer than the network takes in windows that overlap, at most N of
    /// them, and answer with the mean of their logits, weighted by tokens; without this it is cut
    #[arg(long, value_name = "N", num_args = 0..=1, require_equals = true, default_missing_value = "16", value_parser = at_least_one)]
    pub(crate) windows: Option<usize>,
    /// Tokens that two neighbours share [default: a quarter of a window]
    #[arg(long, value_name = "TOKENS", requires = "windows")]
    window_overlap: Option<usize>,
}

impl WindowArgs {
    pub(crate) fn asked(&self) -> Option<Windows> {
        self.windows.map(|most| Windows { overlap: self.window_overlap, most })
    }
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("a text needs at least one".to_owned()),
        Ok(most) => Ok(most),
        Err(_) => Err("it is no number".to_owned()),
    }
}
