//! The same inputs give the same bytes.

use std::path::Path;

use kit_trainer::{Classifier, DeviceKind, TrainConfig, train};

use crate::fixture::{base, go_on, split, tiny};

/// The bytes of the weights that a training with this many threads ends with.
fn trained(dir: &Path, device: DeviceKind, seed: u64, threads: usize) -> Vec<u8> {
    let start = Classifier::load(dir, device).expect("the checkpoint loads");
    let start = start.with_labels(["bad", "good"].map(str::to_owned).to_vec(), seed);
    let config = TrainConfig { epochs: 2, seed, learning_rate: 1e-3, threads: Some(threads), ..TrainConfig::default() };
    let (classifier, _) = train(start, &split(48), &config, &mut go_on).expect("trained");
    let folder = tempfile::tempdir().expect("a temporary folder");
    classifier.save(folder.path()).expect("saved");
    fs_err::read(folder.path().join("model.safetensors")).expect("readable")
}

#[test]
fn weights_do_not_depend_on_the_number_of_threads() {
    let one = trained(&tiny(), DeviceKind::Flex, 1, 1);
    assert!(one == trained(&tiny(), DeviceKind::Flex, 1, 2), "one and two threads");
    assert!(one == trained(&tiny(), DeviceKind::Flex, 1, 5), "one and five threads");
    assert!(one != trained(&tiny(), DeviceKind::Flex, 2, 1), "another seed");
}

#[test]
fn weights_of_matrices_that_threads_share_do_not_depend_on_their_number() {
    let folder = base(128, 512);
    for device in [DeviceKind::Flex, DeviceKind::NdArray] {
        let one = trained(folder.path(), device, 1, 1);
        assert!(one == trained(folder.path(), device, 1, 2), "{device}: one and two threads");
        assert!(one == trained(folder.path(), device, 1, 4), "{device}: one and four threads");
    }
}
