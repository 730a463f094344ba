//! Whatever is read as a pickle is written as safetensors that can be read; what is refused leaves
//! the folder as it was.
#![no_main]

use kit_checkpoint::to_safetensors;
use safetensors::SafeTensors;

libfuzzer_sys::fuzz_target!(|file: &[u8]| {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let pickle = folder.path().join("pytorch_model.bin");
    std::fs::write(&pickle, file).expect("written");
    match to_safetensors(folder.path()) {
        Ok(_) => {
            let made = std::fs::read(folder.path().join("model.safetensors")).expect("it is there");
            SafeTensors::deserialize(&made).expect("what was written is read");
        }
        Err(_) => assert!(pickle.exists() && !folder.path().join("model.safetensors").exists()),
    }
});
