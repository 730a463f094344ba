//! A person may change their mind.

use std::ops::ControlFlow;

use kit_trainer::{Error, Event, TrainConfig, train};

use crate::fixture::{load, split, tiny};

#[test]
fn breaking_ends_training_at_once() {
    let mut n_steps = 0;
    let result = train(load(&tiny()), &split(64), &TrainConfig::default(), &mut |event| match event {
        Event::Step { step, .. } => {
            n_steps = step;
            if step == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        }
        _ => ControlFlow::Continue(()),
    });
    assert!(matches!(result, Err(Error::Cancelled)), "{result:?}");
    assert_eq!(n_steps, 3);
}

#[test]
fn options_out_of_range_are_refused_by_name() {
    let refused = |config: TrainConfig| {
        let result = train(load(&tiny()), &split(4), &config, &mut |_| ControlFlow::Continue(()));
        result.expect_err("refused").to_string()
    };
    let default = TrainConfig::default;
    assert_eq!(refused(TrainConfig { epochs: 0, ..default() }), "cannot train with epochs: it is 0");
    assert_eq!(
        refused(TrainConfig { learning_rate: f64::NAN, ..default() }),
        "cannot train with learning_rate: it is negative or no number"
    );
    assert_eq!(
        refused(TrainConfig { max_length: 2, ..default() }),
        "cannot train with max_length: it leaves no room for a token of the text"
    );
}

#[test]
fn a_loss_that_is_no_number_is_an_error() {
    let config = TrainConfig { learning_rate: 1e30, warmup: 0.0, batch_size: 4, ..TrainConfig::default() };
    let result = train(load(&tiny()), &split(64), &config, &mut |_| ControlFlow::Continue(()));
    assert!(matches!(result, Err(Error::Diverged { .. })), "{result:?}");
}
