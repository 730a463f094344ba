//! A person may change their mind.

use std::cell::Cell;
use std::ops::ControlFlow;

use kit_trainer::{Error, Event, Keep, TrainConfig, evaluate, train};

use crate::fixture::{go_on, load, split, tiny};

#[test]
fn breaking_ends_training_at_once() {
    let n_steps = Cell::new(0);
    let result =
        train(load(&tiny()), &split(64), &TrainConfig::default(), None, &|event| match event {
            Event::Step { step, .. } => {
                n_steps.set(step);
                if step == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            }
            _ => ControlFlow::Continue(()),
        });
    assert!(matches!(result, Err(Error::Cancelled)), "{result:?}");
    assert_eq!(n_steps.get(), 3);
}

#[test]
fn measuring_can_be_broken_off_and_is_gone_on_with() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let keep = |resume| Keep { dir: folder.path().to_owned(), every: 100, resume, states: None };
    let (data, config) = (split(64), TrainConfig { epochs: 2, ..TrainConfig::default() });
    let result = train(load(&tiny()), &data, &config, Some(&keep(false)), &|event| match event {
        Event::Measure { .. } => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    });
    assert!(matches!(result, Err(Error::Cancelled)), "{result:?}");
    let began_at = Cell::new(0);
    let resumed = train(load(&tiny()), &data, &config, Some(&keep(true)), &|event| {
        if let Event::Started { n_done, .. } = event {
            began_at.set(n_done);
        }
        ControlFlow::Continue(())
    });
    let whole = train(load(&tiny()), &data, &config, None, &go_on).expect("trained").1;
    assert_eq!(
        (began_at.get(), resumed.expect("trained").1.losses),
        (whole.losses.len() / 2, whole.losses)
    );
}

#[test]
fn evaluating_can_be_broken_off() {
    let examples = split(64).train;
    let result = evaluate(&load(&tiny()), &examples, &|_| ControlFlow::Break(()));
    assert!(matches!(result, Err(Error::Cancelled)));
}

#[test]
fn absurd_sizes_are_no_panic() {
    let config = TrainConfig {
        epochs: 1_000_000_000_000,
        patience: Some(1),
        batch_size: 1 << 62,
        ..TrainConfig::default()
    };
    train(load(&tiny()), &split(8), &config, None, &go_on).expect("patience ends it");
}

#[test]
fn options_out_of_range_are_refused_by_name() {
    let refused = |config: TrainConfig| {
        let result = train(load(&tiny()), &split(4), &config, None, &go_on);
        result.expect_err("refused").to_string()
    };
    let default = TrainConfig::default;
    assert_eq!(
        refused(TrainConfig { epochs: 0, ..default() }),
        "cannot train with epochs: it is 0"
    );
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
    let config =
        TrainConfig { learning_rate: 1e30, warmup: 0.0, batch_size: 4, ..TrainConfig::default() };
    let result = train(load(&tiny()), &split(64), &config, None, &go_on);
    assert!(matches!(result, Err(Error::Diverged { .. })), "{result:?}");
}
