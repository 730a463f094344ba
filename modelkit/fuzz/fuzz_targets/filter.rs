//! A filter is printed as it is read, and no pattern takes long.
#![no_main]

use modelkit::Filter;

libfuzzer_sys::fuzz_target!(|text: &str| {
    let Ok(filter) = text.parse::<Filter>() else { return };
    assert_eq!(filter.to_string().parse::<Filter>().expect("what was printed is read"), filter);
});
