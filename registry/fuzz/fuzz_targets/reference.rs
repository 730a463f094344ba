//! A reference is printed as it is read.
#![no_main]

use registry::Reference;

libfuzzer_sys::fuzz_target!(|text: &str| {
    let Ok(reference) = text.parse::<Reference>() else { return };
    assert_eq!(reference.to_string().parse::<Reference>().expect("what was printed is read"), reference);
});
