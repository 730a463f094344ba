//! The images that the embedded registry has of every ModelKit, although nobody has pushed them.

use std::error::Error;
use std::path::PathBuf;

use modelkit::ModelKit;
use modelkit::image::{self, ImageOptions};
use registry::content::{Descriptor, Hasher};
use registry::server::ReadyImages;
use registry::{Digest, Layout};

/// Makes the runtime image of a ModelKit, with this program.
#[derive(Debug)]
pub(crate) struct Images {
    program: PathBuf,
    /// The program's digest.
    id: String,
}

impl Images {
    pub(crate) fn new(program: PathBuf) -> anyhow::Result<Self> {
        let mut hasher = Hasher::default();
        std::io::copy(&mut fs_err::File::open(&program)?, &mut Sink(&mut hasher))?;
        let id: Digest = hasher.finish();
        Ok(Self { program, id: id.to_string() })
    }
}

impl ReadyImages for Images {
    fn id(&self) -> &str {
        &self.id
    }

    fn make(
        &self,
        layout: &Layout,
        of: &Descriptor,
    ) -> Result<Option<Descriptor>, Box<dyn Error + Send + Sync>> {
        let kit = match ModelKit::read(layout, of) {
            Err(modelkit::Error::NotAModelKit { .. } | modelkit::Error::Index { .. }) => {
                return Ok(None);
            }
            kit => kit?,
        };
        // What it builds on may lie in a repository that whoever asks may not read.
        if kit.kitfile().model.as_ref().is_some_and(|model| model.parent().is_some()) {
            return Ok(None);
        }
        // No reference and no time is in it: whatever tag it is asked for by, it is the same image.
        let options = ImageOptions { binary: Some(self.program.clone()), ..Default::default() };
        Ok(Some(image::build(&kit, layout, &options)?))
    }
}

/// Hashes what is written.
struct Sink<'a>(&'a mut Hasher);

impl std::io::Write for Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
