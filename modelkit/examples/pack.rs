//! Packs a folder into a layout as a ModelKit, and unpacks it again.

use std::error::Error;
use std::ops::ControlFlow;

use kitfile::Kitfile;
use modelkit::{ModelKit, PackOptions, Selection, Sources, UnpackOptions};
use registry::Layout;

const KITFILE: &str = "
manifestVersion: 1.0.0
package:
  name: sentiment
model:
  path: model
";

fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let context = folder.path().join("project");
    std::fs::create_dir_all(context.join("model"))?;
    std::fs::write(context.join("model/config.json"), "{}")?;

    let layout = Layout::init(&folder.path().join("layout"))?;
    let kitfile = Kitfile::parse(KITFILE)?.kitfile;
    let quiet = &|_| ControlFlow::Continue(());
    let packed = modelkit::pack(&kitfile, &context, &layout, &PackOptions::default(), quiet)?;

    let kit = ModelKit::read(&layout, &packed.descriptor)?;
    let into = folder.path().join("unpacked");
    let sources = Sources::local(kit, &layout, Selection::default())?;
    let unpacked = modelkit::unpack(&sources, &into, &UnpackOptions::default(), quiet)?;
    assert_eq!(unpacked.files, 2); // the model's file, and the Kitfile
    assert_eq!(std::fs::read_to_string(into.join("model/config.json"))?, "{}");
    Ok(())
}
