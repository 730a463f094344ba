//! Fine-tunes a tiny checkpoint on four sentences and saves what came of it.

use std::cell::RefCell;
use std::ops::ControlFlow;
use std::path::Path;

use kit_trainer::{Classifier, Dataset, DeviceKind, Event, ReadOptions, TrainConfig};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let checkpoint = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/tiny-distilbert");
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("sample_data.json");
    std::fs::write(
        &file,
        r#"{"samples": [
            {"text": "a wonderful film", "label": "good"}, {"text": "a dull mess", "label": "bad"},
            {"text": "i love it", "label": "good"}, {"text": "i hate it", "label": "bad"}
        ]}"#,
    )?;

    let dataset = Dataset::read(&[&file], &ReadOptions::default())?;
    let start =
        Classifier::load(&checkpoint, DeviceKind::Flex)?.with_labels(dataset.labels.clone(), 42);
    let split = dataset.aligned_to(start.labels())?.split(0.25, 42)?;
    let config = TrainConfig { epochs: 2, learning_rate: 1e-3, ..TrainConfig::default() };
    let losses = RefCell::new(Vec::new());
    let (classifier, report) = kit_trainer::train(start, &split, &config, None, &|event| {
        if let Event::Epoch { train_loss, .. } = event {
            losses.borrow_mut().push(train_loss); // or a line on the screen
        }
        ControlFlow::Continue(()) // Break would cancel
    })?;

    classifier.save(&folder.path().join("fine_tuned_model"), None)?;
    assert_eq!((losses.borrow().len(), report.best().accuracy().is_some()), (2, true));
    let logits = classifier.classify(&["a wonderful mess"])?;
    assert_eq!(logits[0].len(), 2);
    Ok(())
}
