//! Whatever a file holds, looking at it ends; and what it calls is told, whatever stands behind it.
#![no_main]

use kit_pickle::{Finding, scan};

libfuzzer_sys::fuzz_target!(|file: &[u8]| {
    let found = scan("model.pkl", file);
    if let (Some(Finding::Calls(names)), [0x80, 0..=5, ..]) = (&found, file) {
        let longer = [file, b"\xff\xff"].concat();
        let Some(Finding::Calls(more)) = scan("model.pkl", &longer) else { panic!("it is hidden") };
        assert!(names.iter().all(|name| more.contains(name)));
    }
});
