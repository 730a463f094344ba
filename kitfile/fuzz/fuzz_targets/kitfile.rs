//! Whatever is read as a Kitfile reads the same from what is written of it.
#![no_main]

use kitfile::Kitfile;

libfuzzer_sys::fuzz_target!(|text: &str| {
    let Ok(parsed) = Kitfile::parse(text) else { return };
    let again = Kitfile::parse(&parsed.kitfile.to_yaml()).expect("what was written is read");
    assert_eq!(again.kitfile, parsed.kitfile);
    let json = Kitfile::from_json(parsed.kitfile.to_json().as_bytes()).expect("what was written is read");
    assert_eq!(json, parsed.kitfile);
});
