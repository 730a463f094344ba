//! The learning rate over time.

/// Rises linearly, then falls linearly to zero.
/// Same as `get_linear_schedule_with_warmup` in `transformers`: the first step of a warm-up has
/// rate 0.
#[derive(Debug, Clone, Copy)]
pub(super) struct Schedule {
    pub(super) peak: f64,
    pub(super) n_warmup: usize,
    pub(super) n_steps: usize,
}

impl Schedule {
    pub(super) fn new(peak: f64, warmup: f64, n_steps: usize) -> Self {
        Self { peak, n_warmup: (n_steps as f64 * warmup).ceil() as usize, n_steps }
    }

    /// The rate of a step, counted from 0.
    pub(super) fn rate(&self, step: usize) -> f64 {
        if step < self.n_warmup {
            return self.peak * step as f64 / self.n_warmup as f64;
        }
        let n_falling = self.n_steps - self.n_warmup;
        self.peak * self.n_steps.saturating_sub(step) as f64 / n_falling.max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_rises_to_its_peak_and_falls_to_zero() {
        let schedule = Schedule::new(1.0, 0.2, 10);
        let rates: Vec<f64> = (0..=10).map(|step| schedule.rate(step)).collect();
        let expected = [0.0, 0.5, 1.0, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125, 0.0];
        assert_eq!(rates, expected);
    }
}
