//! What an image must know of the binary in it.
//! Source: "System V Application Binary Interface", chapters 4 (ELF header) and 5 (program header).

use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use fs_err as fs;
use registry::content::Arch;

use crate::error::Result;

const PT_INTERP: u32 = 3;
const PROGRAM_HEADER_SIZE: usize = 56;

/// What an executable's own headers say of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binary {
    /// The processor it runs on, by OCI's name; that of this program where the file is no ELF
    /// executable of a known processor.
    pub architecture: String,
    /// Whether it needs nothing but a kernel. One that is not static cannot run in an image without
    /// a C library.
    pub is_static: bool,
}

impl Binary {
    /// Reads an executable's headers.
    pub fn read(path: &Path) -> Result<Self> {
        let mut file = fs::File::open(path)?;
        let mut header = [0; 64];
        let is_elf = file.read_exact(&mut header).is_ok() && header.starts_with(b"\x7fELF\x02\x01");
        if !is_elf {
            return Ok(Self { architecture: host(), is_static: false });
        }
        let architecture = match u16::from_le_bytes([header[18], header[19]]) {
            62 => "amd64".into(),
            183 => "arm64".into(),
            243 => "riscv64".into(),
            _ => host(),
        };
        Ok(Self { architecture, is_static: !has_interpreter(&mut file, &header)? })
    }
}

/// The processor that this program runs on.
pub(super) fn host() -> String {
    Arch::default().to_string()
}

fn has_interpreter(file: &mut fs::File, header: &[u8; 64]) -> Result<bool> {
    let start = u64::from_le_bytes(header[32..40].try_into().expect("eight bytes"));
    let n_headers = u16::from_le_bytes([header[56], header[57]]);
    file.seek(SeekFrom::Start(start))?;
    let mut headers = Vec::new();
    let length = u64::from(n_headers) * PROGRAM_HEADER_SIZE as u64;
    file.by_ref().take(length).read_to_end(&mut headers)?;
    let kinds = headers
        .chunks_exact(PROGRAM_HEADER_SIZE)
        .map(|it| u32::from_le_bytes([it[0], it[1], it[2], it[3]]));
    Ok(kinds.into_iter().any(|kind| kind == PT_INTERP))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_test_is_an_executable_of_this_processor() {
        let own = Binary::read(&std::env::current_exe().unwrap()).unwrap();
        assert_eq!(own.architecture, host());
    }

    #[test]
    fn what_is_no_executable_is_not_static() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "#!/bin/sh\n").unwrap();
        assert!(!Binary::read(file.path()).unwrap().is_static);
    }
}
