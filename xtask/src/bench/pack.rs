//! Packing and unpacking, side by side with `kit`, `tar | sha256`, a plain copy, and one core's
//! SHA-256.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};
use fs_err as fs;
use serde_json::json;

use crate::build;
use crate::e2e::say;
use crate::measure::{Cost, Side, alternate, machine, run as measured};
use crate::peers::{KIT, Peers, run_quietly};
use crate::scratch::{MIB, Scratch};

const SHA256: &str = "openssl dgst -sha256";

/// Pack and unpack a large project, side by side with `kit` and plain tools
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Size of the one large file, in MiB
    #[arg(long, default_value_t = 2048)]
    large: u64,
    /// Number of files of 10 MiB
    #[arg(long, default_value_t = 100)]
    medium: u64,
    /// Number of small files, of 10 KiB on average
    #[arg(long, default_value_t = 100_000)]
    small: u64,
    /// How often each side runs
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// The `kit-rs` to measure, if it is built already
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
    /// Where everything lies, in a folder of its own
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// The programs, and the folders they work in.
struct Setup {
    kit: PathBuf,
    ours: PathBuf,
    root: PathBuf,
    project: PathBuf,
    n_rounds: usize,
}

/// What of the project is packed: a Kitfile's name, and the folders it names.
struct Part {
    name: &'static str,
    folders: &'static [&'static str],
}

/// The small files are ten layers: `kit` keeps every file of a layer open until its end, and has no
/// more than the system allows.
const PARTS: [Part; 3] = [
    Part { name: "large", folders: &["large"] },
    Part { name: "small", folders: &SMALL },
    Part {
        name: "all",
        folders: &[
            "large", "medium", "small/0", "small/1", "small/2", "small/3", "small/4", "small/5",
            "small/6", "small/7", "small/8", "small/9",
        ],
    },
];

const SMALL: [&str; 10] = [
    "small/0", "small/1", "small/2", "small/3", "small/4", "small/5", "small/6", "small/7",
    "small/8", "small/9",
];

/// Runs the benchmark.
pub(crate) fn run(args: &Args, workspace: &Path) -> anyhow::Result<()> {
    let peers = Peers::new(workspace)?;
    let ours = match &args.program {
        Some(program) => fs::canonicalize(program)?,
        None => build::optimised(workspace)?,
    };
    let kit = peers.kit()?;
    // Its SHA-256 uses the processor's own instructions, which that of coreutils often does not.
    peers.debian("openssl", "openssl")?;
    let dir = args.dir.clone().unwrap_or_else(|| workspace.join("target/bench"));
    let scratch = Scratch::new(&dir.join("kit-rs-bench-pack"), bytes(args))?;
    let root = scratch.path().to_owned();
    let project = root.join("project");
    make_project(&project, args)?;
    let setup = Setup { kit, ours, root, project, n_rounds: args.rounds };
    say(&format!(
        "\n{}\nkit {}, kit-rs of this tree, {} rounds, medians\n",
        machine(),
        KIT,
        args.rounds
    ));
    let mut tables = Vec::new();
    for part in &PARTS {
        tables.push(setup.measure(part, "pack", &mut setup.pack_sides(part))?);
        setup.fill(part)?;
        tables.push(setup.measure(part, "unpack", &mut setup.unpack_sides(part))?);
    }
    let again = setup.second_pack()?;
    let document = json!({ "machine": machine(), "kit": KIT, "rounds": args.rounds, "tables": tables, "again": again });
    let path = workspace.join("target/bench/pack.json");
    fs::create_dir_all(path.parent().context("a file has a folder")?)?;
    fs::write(&path, serde_json::to_string_pretty(&document)?)?;
    say(&format!("written to {}", path.display()));
    Ok(())
}

/// The most that lies there at a time: the project, both homes, what was unpacked, and the small
/// files that were put aside, of three sides in one part and two in another.
fn bytes(args: &Args) -> u64 {
    let small = args.small * 11 * 1024;
    4 * (args.large * MIB + args.medium * 10 * MIB + small) + 5 * args.rounds as u64 * small
}

/// Makes the project.
fn make_project(project: &Path, args: &Args) -> anyhow::Result<()> {
    say(&format!(
        "making {} MiB + {} × 10 MiB + {} small files",
        args.large, args.medium, args.small
    ));
    let mut noise = Noise(0x9E37_79B9_7F4A_7C15);
    write_noise(&project.join("large/model.bin"), args.large * MIB, &mut noise)?;
    for i in 0..args.medium {
        write_noise(&project.join(format!("medium/{i:03}.bin")), 10 * MIB, &mut noise)?;
    }
    for i in 0..args.small {
        let size = 512 + i.wrapping_mul(7919) % 20_000;
        write_noise(
            &project.join(format!("small/{}/{:03}/{i:06}.txt", i % 10, i / 2500)),
            size,
            &mut noise,
        )?;
    }
    for part in &PARTS {
        let entries: String =
            part.folders.iter().map(|folder| format!("  - path: {folder}\n")).collect();
        fs::write(
            project.join(format!("Kitfile-{}", part.name)),
            format!("manifestVersion: 1.0.0\ndatasets:\n{entries}"),
        )?;
    }
    Ok(())
}

/// Bytes that no compressor gets smaller: xorshift64.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

fn write_noise(path: &Path, size: u64, noise: &mut Noise) -> anyhow::Result<()> {
    fs::create_dir_all(path.parent().context("a file has a folder")?)?;
    let mut file = std::io::BufWriter::with_capacity(1 << 20, fs::File::create(path)?);
    let mut left = size;
    while left > 0 {
        let word = noise.next().to_le_bytes();
        let n = left.min(8);
        file.write_all(&word[..n as usize])?;
        left -= n;
    }
    Ok(file.flush()?)
}

impl Setup {
    fn pack_sides<'a>(&'a self, part: &'a Part) -> Vec<Side<'a>> {
        let kitfile = self.project.join(format!("Kitfile-{}", part.name));
        let pack = move |program: &Path, more: &[&str]| {
            let mut command = self.tool(program);
            command
                .arg("pack")
                .arg(&self.project)
                .arg("-f")
                .arg(&kitfile)
                .args(["-t", "bench:v1"])
                .args(more);
            command
        };
        let ours = pack(&self.ours, &["--no-index"]);
        let kit = pack(&self.kit, &[]);
        let mut sides = vec![self.side("kit-rs pack", ours), self.side("kit pack", kit)];
        let folders = part.folders.join(" ");
        sides.push(
            self.side("tar | sha256", self.shell(&format!("tar -cf - {folders} | {SHA256}"))),
        );
        if part.name == "large" {
            sides.push(self.side("cp -r", self.shell(&format!("cp -r {folders} \"$OUT\""))));
            sides.push(
                self.side("one core's SHA-256", self.shell(&format!("{SHA256} < large/model.bin"))),
            );
        }
        sides
    }

    fn unpack_sides<'a>(&'a self, part: &'a Part) -> Vec<Side<'a>> {
        let unpack = |program: &Path| {
            let mut command = self.tool(program);
            command.args(["unpack", "bench:v1", "-d"]).arg(self.out().join("unpacked"));
            command
        };
        let mut sides = vec![
            self.side_keeping("kit-rs unpack", unpack(&self.ours)),
            self.side_keeping("kit unpack", unpack(&self.kit)),
        ];
        if part.name != "all" {
            let copy = self.shell(&format!("cp -r {} \"$OUT\"", part.folders.join(" ")));
            sides.push(self.side_keeping("cp -r", copy));
        }
        sides
    }

    fn out(&self) -> PathBuf {
        self.root.join("out")
    }

    /// `kit` keeps every file of a layer open until its end, so it gets as many as the system
    /// allows.
    fn tool(&self, program: &Path) -> Command {
        let mut command = Command::new("sh");
        command
            .args(["-c", "ulimit -n $(ulimit -H -n); umask 022; exec \"$@\"", "sh"])
            .arg(program);
        for variable in ["KITOPS_HOME", "KIT_RS_HOME"] {
            command.env(variable, self.home(program));
        }
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    fn home(&self, program: &Path) -> PathBuf {
        self.root.join(if program == self.kit { "kit-home" } else { "our-home" })
    }

    fn shell(&self, line: &str) -> Command {
        let mut command = Command::new("sh");
        command
            .args(["-c", line])
            .current_dir(&self.project)
            .env("OUT", self.out())
            .stdout(Stdio::null());
        command
    }

    /// A side whose runs begin with empty homes and an empty folder for what comes out.
    fn side<'a>(&'a self, name: &'a str, mut command: Command) -> Side<'a> {
        let run = move || {
            self.clear(true)?;
            measured(&mut command)
        };
        Side { name, run: Box::new(run) }
    }

    /// The same, with what was packed before.
    fn side_keeping<'a>(&'a self, name: &'a str, mut command: Command) -> Side<'a> {
        let run = move || {
            self.clear(false)?;
            measured(&mut command)
        };
        Side { name, run: Box::new(run) }
    }

    /// Empties what a run begins with. Small files are only put aside until the end: a file system
    /// that has just lost many of them makes new ones slowly for a while (ext4 without a journal
    /// looks at every inode that was freed in the last minutes).
    fn clear(&self, homes: bool) -> anyhow::Result<()> {
        if homes {
            for home in [self.home(&self.kit), self.home(&self.ours)] {
                if home.exists() {
                    fs::remove_dir_all(&home)?;
                }
                fs::create_dir_all(&home)?;
                fs::write(home.join("disable-update-notifications"), "")?;
            }
        }
        if self.out().exists() {
            run_quietly(Command::new("find").arg(self.out()).args(["-size", "+1M", "-delete"]))?;
            let aside = self.root.join("aside");
            fs::create_dir_all(&aside)?;
            let n = fs::read_dir(&aside)?.count();
            fs::rename(self.out(), aside.join(n.to_string()))?;
        }
        fs::create_dir_all(self.out())?;
        // What one side wrote is not to be written to the disk while the next one is measured.
        run_quietly(&mut Command::new("sync"))?;
        Ok(())
    }

    /// Packs once with both, for unpacking.
    fn fill(&self, part: &Part) -> anyhow::Result<()> {
        self.clear(true)?;
        for program in [&self.ours, &self.kit] {
            let kitfile = self.project.join(format!("Kitfile-{}", part.name));
            let mut command = self.tool(program);
            command.arg("pack").arg(&self.project).arg("-f").arg(kitfile).args(["-t", "bench:v1"]);
            measured(&mut command)?;
        }
        Ok(())
    }

    fn measure(
        &self,
        part: &Part,
        verb: &str,
        sides: &mut [Side<'_>],
    ) -> anyhow::Result<serde_json::Value> {
        let names: Vec<String> = sides.iter().map(|side| side.name.to_owned()).collect();
        let costs = alternate(self.n_rounds, sides)?;
        self.clear(false)?;
        let mut table = format!("{verb} {}\n", part.name);
        let ours = costs.first().context("there are sides")?.wall.as_secs_f64();
        for (name, cost) in names.iter().zip(&costs) {
            let Cost { wall, cpu, peak } = cost;
            let (wall, cpu, peak) = (wall.as_secs_f64(), cpu.as_secs_f64(), peak / MIB);
            let _ = writeln!(
                table,
                "  {name:20} {wall:8.2} s  {:5.2}×  {cpu:8.2} s cpu  {peak:6} MiB",
                wall / ours
            );
        }
        say(&table);
        let rows = names.iter().zip(&costs).map(|(name, cost)| {
            json!({"side": name, "wall": cost.wall.as_secs_f64(), "cpu": cost.cpu.as_secs_f64(), "peakBytes": cost.peak})
        });
        Ok(json!({ "what": format!("{verb} {}", part.name), "sides": rows.collect::<Vec<_>>() }))
    }

    /// Packs an unchanged tree again: with the index, and without. The layout stays as it is.
    fn second_pack(&self) -> anyhow::Result<serde_json::Value> {
        self.fill(&PARTS[2])?;
        let before = self.layout()?;
        let mut costs = Vec::new();
        for more in [&[][..], &["--no-index"]] {
            let mut command = self.tool(&self.ours);
            command.arg("pack").arg(&self.project).arg("-f").arg(self.project.join("Kitfile-all"));
            command.args(["-t", "bench:v1"]).args(more);
            let cost = measured(&mut command)?;
            ensure!(self.layout()? == before, "the second pack changed the layout");
            costs.push(cost.wall.as_secs_f64());
        }
        say(&format!(
            "pack all again\n  with its index       {:8.2} s\n  --no-index           {:8.2} s\n  the layout is the same, byte for byte",
            costs[0], costs[1]
        ));
        Ok(json!({ "withIndex": costs[0], "noIndex": costs[1] }))
    }

    /// The digests of all files of our layout, but for what it remembers of files and their times.
    fn layout(&self) -> anyhow::Result<String> {
        let line = format!(
            "find . -type f ! -name pack-index.json | LC_ALL=C sort | while read -r file; do {SHA256} < \"$file\"; done"
        );
        run_quietly(
            Command::new("sh")
                .args(["-c", &line])
                .current_dir(self.home(&self.ours).join("storage")),
        )
    }
}
